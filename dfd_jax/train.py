"""Train a perturber: python -m dfd_jax.train --config configs/stargan.py [--workdir runs/stargan]

Reads top to bottom: mesh → data → networks → state → step → write and save → evaluate. Run the same
command again to continue an interrupted run; the result is bit for bit that of a run that was never
interrupted.
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
from dfd_jax.runtime.kept import kept_step
from dfd_jax.runtime.progress import StepProgress, stop_on_signals
from dfd_jax.training import setup, steps
from dfd_jax.training.checkpoint import Checkpoints
from dfd_jax.training.metrics_log import MetricsLog
from dfd_jax.training.state import TrainState, create_state, with_params


def train(config: Config, workdir: pathlib.Path, console: Console) -> bool:
    """Train to the config's last step; write checkpoints and `workdir/perturber.safetensors`.

    Returns False if a signal stopped it early. RuntimeError if a figure is no longer finite, with
    its step.
    """
    total, batch_size = config.train.steps, config.train.batch_size
    mesh = sharding.make_mesh()

    against = setup.opponents(config)
    setup.check(config, against)
    batches = setup.batches(config, against.generators, mesh, workdir)
    depends_on = setup.networks_used(against)

    perturber = setup.perturber(config)
    budget = setup.budget(perturber.card)
    tx = setup.make_optimizer(config)
    step_fn = steps.make_train_step(
        perturber,
        tx,
        budget,
        setup.terms(config),
        setup.label_names(against.generators),
        setup.targets(config, against.generators),
        mesh,
    )
    many = jax.process_count() > 1
    if many:
        train_step = processes.together(step_fn)
    else:
        train_step = kept_step(step_fn, config.to_json(), sharding.compiler_options(mesh))
    state, key = create_state(perturber, tx), jax.random.key(config.seed)
    state, against, key = sharding.replicate((state, against, key), mesh)

    setup.write_config(config, workdir)
    checkpoints = Checkpoints(workdir / "checkpoints", config.train.keep)
    if checkpoints.latest_step() is not None:
        state = checkpoints.restore(state, batches, depends_on)
    step = int(jax.device_get(state.step))
    if step:
        console.print(f"continuing from step {step} of {workdir}")

    def save(step: int, state: TrainState) -> None:
        log.check()  # what is no longer finite is never saved
        checkpoints.save(step, state, batches, depends_on)
        _export(workdir, perturber, state, config, depends_on)

    with (
        stop_on_signals() as stop,
        StepProgress(console, config.name, total, step, batch_size) as progress,
        MetricsLog(workdir, progress, step, config.train.log_every) as log,
    ):
        while step < total and not processes.agreed(bool(stop), step):
            batch = sharding.shard_batch(next(batches), mesh)
            with jax.transfer_guard("disallow"):
                state, metrics = train_step(state, against, batch, key)
            step += 1
            log.add(step, metrics)
            if step % config.train.checkpoint_every == 0 or step == total:
                save(step, state)
        save(step, state)
    checkpoints.close()
    batches.close()
    if step < total:
        console.print(f"{stop}: stopped after step {step}; the same command continues there")
    return step >= total


def _export(
    workdir: pathlib.Path,
    perturber: Perturber,
    state: TrainState,
    config: Config,
    depends_on: dict[str, Any],
) -> None:
    """Write what protecting needs, and nothing else, as a weights file with its card."""
    if jax.process_index():
        return
    info = {
        "step": int(jax.device_get(state.step)),
        "condition": config.condition,
        "command": provenance.command("dfd_jax.train"),
        "commit": provenance.commit(),
        "data": {"kind": config.data.kind, "split": "train", "seed": config.seed},
        "objective": json.loads(config.objective.to_json()),
        "regions": list(config.channel.crop_sides),
        "generators": list(config.generators),
        "detectors": list(config.detectors),
        **{f"{kind}_sha256": hashes for kind, hashes in depends_on.items()},
    }
    card = dataclasses.replace(perturber.card, info=info)
    trained = with_params(perturber, jax.device_get(state.params))
    models.save(workdir / "perturber.safetensors", trained.variables, card)


def main() -> None:
    """Train, then evaluate and show what came of it."""
    config, workdir, console = flags.FLAGS.config, command_line.workdir(), command_line.console()
    is_finished = train(config, workdir, console)
    processes.disconnect()
    if is_finished and jax.process_index() == 0:
        from dfd_jax import evaluate  # what it needs would hold up the first step

        evaluate.evaluate_run(workdir, console)


if __name__ == "__main__":
    command_line.run(main, with_config=True, distributed=True)
