"""One measurement of memory.py: python -m experiments.benchmarks.peak SCALE WHAT BATCH

Prints one line of JSON, in MiB: with the networks loaded, while it steps, at most from the start of
the process, and as the compiler plans a step.
"""

import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dfd_jax.method import protector
from dfd_jax.runtime import command_line, sharding
from dfd_jax.training import setup
from experiments.benchmarks import full_size
from experiments.benchmarks import method as methods
from experiments.benchmarks.memory import OURS, PROTECT, TORCH

STEPS = 5


class Measured(NamedTuple):
    """A step, and the MiB that the compiler plans for it, where there is one."""

    step: Callable[[], Any]
    planned: float | None


def main(argv: list[str]) -> None:
    """Measure and print."""
    scale, what, batch = argv[0], argv[1], int(argv[2])
    command_line.keep_compiled()
    make = {OURS: training, TORCH: torch_training, PROTECT: protecting}[what]
    method = methods.open_method(scale)
    loaded = resident("VmRSS")
    measured = make(method, batch)
    starting = resident("VmHWM")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the most from here on
    for _ in range(STEPS):
        measured.step()
    stepping = resident("VmHWM")
    figures = {"loaded": loaded, "stepping": stepping, "peak": max(starting, stepping)}
    if measured.planned is not None:
        figures["planned"] = measured.planned
    print(json.dumps(figures))


def resident(what: str) -> float:
    """MiB in memory of this process by Linux: now (VmRSS), or at most so far (VmHWM)."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (kib,) = (line.split()[1] for line in lines if line.startswith(f"{what}:"))
    return int(kib) / 1024


def training(method: methods.Method, photos: int) -> Measured:
    """Our training step."""
    tx = setup.make_optimizer(method.config)
    mesh = sharding.make_mesh(jax.devices()[:1])
    step: Any = method.train_step(tx)
    values = (method.state(tx), method.against, jax.random.key(0))
    state, against, key = sharding.replicate(values, mesh)
    batch = method.batch(photos)
    program = step.lower(state, against, sharding.shard_batch(batch, mesh), key).compile()

    def call() -> None:
        nonlocal state
        state, logged = program(state, against, sharding.shard_batch(batch, mesh), key)
        jax.block_until_ready((state, logged))

    return Measured(call, planned(program))


def torch_training(method: methods.Method, photos: int) -> Measured:
    """The same in PyTorch."""
    from experiments.benchmarks import torch_side

    layout = torch_side.FORMATS["channels last"]
    batch = method.batch(photos)
    drawn = methods.draws(method, jax.random.key(0), batch["attributes"], STEPS)
    twin = torch_side.train_step(method, layout)
    images = torch_side.images(batch["images"], layout)
    chances = [torch_side.drawn(each) for each in drawn]
    return Measured(lambda: twin.step(images, chances[twin.count % STEPS]), None)


def protecting(method: methods.Method, photos: int) -> Measured:
    """P on a batch of crops."""
    ready = protector.Protector(method.perturber, photos)
    crops = np.asarray(method.batch(photos)["images"])
    ready.outputs(crops)  # compiles
    plan = protector.outputs.lower(method.perturber, jnp.asarray(crops)).compile()
    return Measured(lambda: ready.outputs(crops), planned(plan))


def planned(program: Any) -> float:
    """MiB of a compiled program, arguments included."""
    return 1024 * sum(full_size.gib(program.memory_analysis()).values())


if __name__ == "__main__":
    main(sys.argv[1:])
