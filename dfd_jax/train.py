"""Train a perturber: python -m dfd_jax.train --config configs/stargan.py [--workdir runs/stargan]

Reads top to bottom: mesh → networks → data → state → step → loop → export → evaluate. Run the same
command again to continue an interrupted run; the result is bit for bit that of an uninterrupted
one.
"""

import dataclasses
import json
import pathlib
from typing import Any

import jax
from absl import flags
from rich.console import Console

from dfd_jax import models
from dfd_jax.models.frozen import Perturber
from dfd_jax.runtime import command_line, processes, provenance, sharding
from dfd_jax.runtime.config import Config
from dfd_jax.training import loop, photo_source, setup, steps
from dfd_jax.training.state import TrainState, create_state, with_params


def train(config: Config, workdir: pathlib.Path, console: Console) -> bool:
    """Train to the config's last step; write checkpoints and `workdir/perturber.safetensors`.

    Returns False if a signal stopped it early. ValueError if the config, its networks and the
    workdir do not fit together; RuntimeError, with the step, if a metric is not finite.
    """
    mesh = sharding.make_mesh()

    opponents = setup.opponents(config)
    setup.check(config, opponents)
    targets = setup.targets(config, opponents.generators)
    label_names = setup.label_names(opponents.generators)
    perturber = setup.perturber(config)

    batches = photo_source.perturber_batches(
        config, label_names, opponents.generators, mesh, workdir
    )

    tx = setup.make_optimizer(config)
    train_step = steps.make_train_step(
        perturber,
        tx,
        setup.budget(perturber.card),
        setup.terms(config),
        label_names,
        targets,
        mesh,
    )
    hashes = setup.network_hashes(opponents)
    state, opponents, key = sharding.replicate(
        (create_state(perturber, tx), opponents, jax.random.key(config.seed)), mesh
    )

    def compile_step(state: TrainState, batch: steps.Batch) -> loop.Step[TrainState]:
        compiled = processes.compile_step(train_step, state, opponents, batch, key)
        return lambda state, batch: compiled(state, opponents, batch, key)

    training = loop.Training(
        state=state,
        iterator=batches,
        next_batch=lambda: sharding.shard_batch(next(batches), mesh),
        compile_step=compile_step,
        photos_per_step=config.train.batch_size,
        save_every=config.train.checkpoint_every,
        depends_on=hashes,
        after_save=lambda step, state: _export(workdir, perturber, step, state, config, hashes),
    )
    return loop.run(training, config, workdir, console) is not None


def _export(
    workdir: pathlib.Path,
    perturber: Perturber,
    step: int,
    state: TrainState,
    config: Config,
    hashes: dict[str, Any],
) -> None:
    """Write the perturber, all that protecting needs, as a weights file with its card."""
    if jax.process_index():
        return
    info = {
        "step": step,
        "condition": config.condition,
        "command": provenance.command("dfd_jax.train"),
        "commit": provenance.commit(),
        "data": {"kind": config.data.kind, "split": "train", "seed": config.seed},
        "objective": json.loads(config.objective.to_json()),
        "regions": list(config.channel.crop_sides),
        "generators": list(config.generators),
        "detectors": list(config.detectors),
        **{f"{kind}_sha256": names for kind, names in hashes.items()},
    }
    card = dataclasses.replace(perturber.card, info=info)
    trained = with_params(perturber, jax.device_get(state.params))
    models.save(workdir / "perturber.safetensors", trained.variables, card)


def main() -> None:
    """Train, then evaluate and show the results."""
    config, workdir, console = flags.FLAGS.config, command_line.workdir(), command_line.console()
    is_finished = train(config, workdir, console)
    processes.disconnect()
    if is_finished and jax.process_index() == 0:
        from dfd_jax import evaluate  # its imports would delay the first step

        evaluate.evaluate_run(workdir, console)


if __name__ == "__main__":
    command_line.run(main, with_config=True, distributed=True)
