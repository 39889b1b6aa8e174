"""The loop that every training runs in, around a step that a test can follow by hand."""

import io
import os
import signal

import grain
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from rich.console import Console

from dfd_jax.runtime import processes
from dfd_jax.training import loop, metrics_log

STEPS = 7


def config(steps=STEPS):
    train = {"steps": steps, "keep": 2, "log_every": 1}
    return ml_collections.ConfigDict({"name": "loop", "seed": 0, "train": train})


@jax.jit
def step(state, batch):
    moved = 0.5 * state["total"] + batch.sum()
    return {"total": moved}, {"loss": jnp.square(moved)}


def run(workdir, *, compiled=None, steps=STEPS, **changes):
    """The loop's result, and what it printed. `compiled` collects the compiled steps."""
    batches = iter(grain.MapDataset.range(100).shuffle(seed=3).batch(2).to_iter_dataset())

    def compile_step(state, batch):
        made = processes.compile_step(step, state, batch)
        if compiled is not None:
            compiled.append(made)
        return made

    fields = {
        "state": {"total": jnp.zeros(())},
        "iterator": batches,
        "next_batch": lambda: jax.device_put(np.asarray(next(batches), np.float32)),
        "compile_step": compile_step,
        "photos_per_step": 2,
        "save_every": 3,
    }
    console = Console(file=io.StringIO(), width=200)
    result = loop.run(loop.Training(**fields | changes), config(steps), workdir, console)
    return result, console.file.getvalue()


def stop_after(number):
    """An `after_step` that asks the program to stop."""

    def after_step(step, state, log):
        if step == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return state

    return after_step


def losses(workdir):
    return [(r["step"], r["loss"]) for r in metrics_log.read_metrics(workdir)]


def test_the_step_is_compiled_once_and_every_step_is_logged(tmp_path):
    compiled = []
    result, _ = run(tmp_path, compiled=compiled)
    assert len(compiled) == 1
    assert [number for number, _ in losses(tmp_path)] == list(range(1, STEPS + 1))
    assert losses(tmp_path)[-1][1] == pytest.approx(float(result["total"]) ** 2)


@pytest.mark.parametrize("number", [1, 3, 5])  # before, at and after a checkpoint
def test_stopped_and_resumed_equals_uninterrupted(tmp_path, number):
    whole, _ = run(tmp_path / "whole")
    result, printed = run(tmp_path / "parts", after_step=stop_after(number))
    assert result is None
    assert f"SIGTERM: stopped after step {number}" in printed
    result, printed = run(tmp_path / "parts")
    assert f"continuing from step {number}" in printed
    np.testing.assert_array_equal(result["total"], whole["total"])
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


def test_a_hook_may_change_the_state_and_saving_tells_another(tmp_path):
    saved = []
    result, _ = run(
        tmp_path,
        after_step=lambda step, state, log: {"total": jnp.zeros(())} if step == STEPS else state,
        after_save=lambda step, state: saved.append(step),
    )
    assert float(result["total"]) == 0
    assert saved == [3, 6, 7]


def test_a_finished_run_only_exports_again(tmp_path):
    first, _ = run(tmp_path)
    saved, compiled = [], []
    again, _ = run(tmp_path, compiled=compiled, after_save=lambda step, state: saved.append(step))
    np.testing.assert_array_equal(first["total"], again["total"])
    assert (saved, compiled) == ([STEPS], [])


def test_a_loss_that_is_not_finite_is_never_saved(tmp_path):
    def spoil(number, state, log):
        return {"total": state["total"] * np.nan} if number == 4 else state

    with pytest.raises(RuntimeError, match=r"step 5: loss is not finite"):
        run(tmp_path, after_step=spoil)
    _, printed = run(tmp_path)
    assert "continuing from step 3" in printed


def test_another_config_or_other_networks_are_refused(tmp_path):
    run(tmp_path, steps=2, depends_on={"generators": ["a"]})
    with pytest.raises(ValueError, match=r"another config:\n  train.steps: 2 there, 3 now"):
        run(tmp_path, steps=3, depends_on={"generators": ["a"]})
    with pytest.raises(ValueError, match=r"generators: saved \['a'\], now \['b'\]"):
        run(tmp_path, steps=2, depends_on={"generators": ["b"]})
