"""The training loop of perturbers, detectors and generators.

Restore the newest checkpoint, then step, log and save until the last step or a stop signal.
Resuming an interrupted run gives the result of an uninterrupted one, bit for bit.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax
from jaxtyping import Array, Float
from rich.console import Console

from dfd_jax.runtime import processes
from dfd_jax.runtime.config import Config
from dfd_jax.runtime.progress import StepProgress, stop_on_signals
from dfd_jax.training import run_config
from dfd_jax.training.checkpoint import Checkpoints
from dfd_jax.training.metrics_log import MetricsLog

State = TypeVar("State")
Metrics = dict[str, Float[Array, ""]]
Step = Callable[[State, Any], tuple[State, Metrics]]


@dataclasses.dataclass(frozen=True)
class Training(Generic[State]):
    """What the loop needs to know about one kind of training."""

    state: State  # before the first step, on the devices; a step donates it
    iterator: Any  # grain's, over this process's batches: checkpoints hold its position
    next_batch: Callable[[], Any]  # what one step takes, read from `iterator`, on the devices
    compile_step: Callable[[State, Any], Step]  # `step(state, batch) → (state, metrics)`
    photos_per_step: int
    save_every: int  # steps
    depends_on: dict[str, Any] = dataclasses.field(default_factory=dict)  # see checkpoint.py
    # Runs after each step and returns the state to go on with, such as one with a better best step.
    after_step: Callable[[int, State, MetricsLog], State] = lambda step, state, log: state
    after_save: Callable[[int, State], None] = lambda step, state: None


def restore(
    training: Training[State], config: Config, workdir: pathlib.Path, console: Console
) -> State:
    """The state of the newest checkpoint. FileNotFoundError if there is none; ValueError as for
    `run`.
    """
    run_config.write_config(config, workdir)
    checkpoints = Checkpoints(workdir / "checkpoints", config.train.keep)
    saved = checkpoints.latest_step()
    if saved is None:
        raise FileNotFoundError(f"found no checkpoint in {workdir}; train there first")
    state = checkpoints.restore(training.state, None, training.depends_on)
    checkpoints.close()
    training.iterator.close()
    console.print(f"restored step {saved} of {workdir}")
    return state


def run(
    training: Training[State], config: Config, workdir: pathlib.Path, console: Console
) -> State | None:
    """Train to step `config.train.steps`; returns the final state, or None if a signal stopped it.

    ValueError if the workdir holds a run of another config or with other frozen networks;
    RuntimeError, with the step, if a metric is not finite: such a state is never saved.
    """
    state, total = training.state, config.train.steps
    run_config.write_config(config, workdir)
    checkpoints = Checkpoints(workdir / "checkpoints", config.train.keep)
    saved = checkpoints.latest_step()
    if saved is not None:
        state = checkpoints.restore(state, training.iterator, training.depends_on)
    step = saved or 0
    if step:
        console.print(f"continuing from step {step} of {workdir}")

    def save() -> None:
        log.check()
        checkpoints.save(step, state, training.iterator, training.depends_on)
        training.after_save(step, state)

    train_step = None
    with (
        stop_on_signals() as stop,
        StepProgress(console, config.name, total, step, training.photos_per_step) as progress,
        MetricsLog(workdir, progress, step, config.train.log_every) as log,
    ):
        while step < total and not processes.should_stop(bool(stop), step):
            batch = training.next_batch()
            if train_step is None:
                train_step = training.compile_step(state, batch)
            with jax.transfer_guard("disallow"):
                state, metrics = train_step(state, batch)
            step += 1
            log.add(step, metrics)
            state = training.after_step(step, state, log)
            if step % training.save_every == 0 and step < total:
                save()
        save()
    checkpoints.close()
    training.iterator.close()
    if step < total:
        console.print(f"{stop}: stopped after step {step}; the same command continues there")
        return None
    return state
