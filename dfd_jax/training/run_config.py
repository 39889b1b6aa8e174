"""The config of a run, as its workdir keeps it in config.json."""

import json
import pathlib
from typing import Any

import jax
import ml_collections

from dfd_jax.runtime.config import Config
from dfd_jax.training import metrics_log

# What may change when a run continues: nothing that the trained weights depend on.
FREE_FIELDS = ("train.log_every", "train.checkpoint_every", "train.keep")
FREE_SECTIONS = ("evaluate", "name")


def write_config(config: Config, workdir: pathlib.Path) -> None:
    """Write `workdir/config.json`. ValueError if the workdir holds a run of another config."""
    path = workdir / "config.json"
    new = json.loads(config.to_json())
    if path.exists() and any((workdir / "checkpoints").glob("[0-9]*")):
        _refuse_changes(json.loads(path.read_text(encoding="utf-8")), new, workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    if jax.process_index() == 0:
        metrics_log.replace_text(path, json.dumps(new, indent=1, sort_keys=True) + "\n")


def read_config(workdir: pathlib.Path) -> Config:
    """The config of a run. FileNotFoundError if `workdir` is not a run's."""
    path = workdir / "config.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing, so {workdir} is not the workdir of a training run. "
            "Make one with: python -m dfd_jax.train --config configs/stargan.py --workdir …"
        )
    return ml_collections.ConfigDict(json.loads(path.read_text(encoding="utf-8")))


def _refuse_changes(old: dict[str, Any], new: dict[str, Any], workdir: pathlib.Path) -> None:
    there, now = _flat(old), _flat(new)
    changed = [
        f"{name}: {there.get(name)!r} there, {now.get(name)!r} now"
        for name in sorted({*there, *now})
        if there.get(name) != now.get(name)
        and name not in FREE_FIELDS
        and name.split(".")[0] not in FREE_SECTIONS
    ]
    if changed:
        listing = "\n  ".join(changed)
        raise ValueError(
            f"{workdir} holds a run with another config:\n  {listing}\n"
            "Continue it with the config it was started with, or choose another --workdir."
        )


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields by their dotted names."""
    flat = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        is_section = isinstance(value, dict) and value
        flat.update(_flat(value, f"{name}.") if is_section else {name: value})
    return flat
