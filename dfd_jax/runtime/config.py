"""The type of a config, and the variants of a config file."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

Config = Any  # an ml_collections.ConfigDict, whose fields a type checker cannot know


def choose_variant(
    file: str,
    arg: str | None,
    defaults: Callable[[], Config],
    variants: Mapping[str | None, Callable[[Config], None]],
) -> Config:
    """The config of a config file's variant `arg`: the defaults with the variant's changes.

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
