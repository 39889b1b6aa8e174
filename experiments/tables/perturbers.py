"""Perturbers that a table compares and nobody ships: trained when the table is first made.

Each has a folder WORKDIR/perturbers/NAME of its own, with checkpoints: an interrupted table
continues there. All are trained alike but for what the table is about.
"""

import importlib
from typing import Any

from dfd_jax import train
from dfd_jax.runtime.config import Config
from experiments.tables.inputs import Inputs, TableRun


def trained(run: TableRun | Inputs, name: str, **changes: Any) -> str:
    """The weights file of a perturber, trained now or before.

    `changes` are `generator` (default stargan), `detectors`, both names of the config, `condition`,
    and C2 = C3 = 0 if `detectors` is empty. SystemExit if a signal stopped the training.
    """
    folder = run.workdir / "perturbers" / name
    path = folder / "perturber.safetensors"
    if not (folder / "finished").exists():
        run.console.print(f"training the perturber {name}", highlight=False)
        if not train.train(_config(run.config, name, **changes), folder, run.console):
            raise SystemExit(f"stopped; the same command continues with {name}")
        (folder / "finished").touch()
    return str(path)


def _config(
    config: Config,
    name: str,
    generator: str = "stargan",
    detectors: tuple[str, ...] = (),
    condition: str = "random",
) -> Config:
    made: Config = importlib.import_module(f"configs.{generator}").get_config(config.train.variant)
    made.name = name
    made.seed = config.seed
    made.data = config.data.copy_and_resolve_references()
    made.generators = (config.generators[generator],)
    made.detectors = tuple(config.detectors[d] for d in detectors)
    made.condition = condition
    made.driving.root = config.driving.root
    made.channel.crop_sides = (config.crop_side or config.data.size,)
    made.train.steps = config.train.steps
    made.objective.ramp = config.train.ramp
    made.objective.fake = config.train.fake if detectors else 0.0
    made.objective.real = made.objective.real if detectors else 0.0
    return made
