"""The type of a run's settings, and how a config file offers several."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

Config = Any  # an ml_collections.ConfigDict: its fields have no types that a checker could know


def choose_variant(
    file: str,
    arg: str | None,
    defaults: Callable[[], Config],
    variants: Mapping[str | None, Callable[[Config], None]],
) -> Config:
    """The defaults, changed by a config file's variant called `arg`.

    ValueError if the file has no such variant.
    """
    if arg not in variants:
        known = ", ".join(f":{name}" for name in variants if name)
        raise ValueError(
            f"configs/{pathlib.Path(file).name} has no variant {arg!r}; it has {known}"
        )
    config = defaults()
    variants[arg](config)
    return config
