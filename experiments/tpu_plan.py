"""How a config would run on a TPU, without one: python -m experiments.tpu_plan
--topology v5e:16x16 --config configs/stargan.py:paper

Compiles the training step and the protecting function ahead of time for every chip of the topology
(the package libtpu) and says what the compiler says, for one chip: memory, operations, bytes,
collectives, its own estimate of cycles, and the MFU that they imply. No weights are needed: a file
that is missing is taken for the full-size network of its name.

MFU = the least operations of the computation (experiments/flops.py) / (cycles x what the matrix
units do in a cycle). Nothing is measured; waiting for memory and for other chips is not in the
estimated cycles.
"""

import json
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import flags
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from safetensors import safe_open

from dfd_jax import models
from dfd_jax.evaluation.report import text_report
from dfd_jax.evaluation.report.formatting import Table, number
from dfd_jax.method import protector
from dfd_jax.models.frozen import Card
from dfd_jax.runtime import command_line
from dfd_jax.runtime.config import Config
from dfd_jax.runtime.files import replace_file
from experiments import flops
from experiments.benchmarks import full_size, hlo
from experiments.benchmarks.full_size import Networks
from experiments.tables.command import RESULTS

STATIC = (
    "The compiler's static estimate for one chip: nothing was run, and waiting for memory or for "
    "other chips is not in the estimated cycles. GB without: written by operations to which the "
    "compiler gives no estimate, pads for the most part."
)


class Chip(NamedTuple):
    """One chip of a topology."""

    hbm: float  # bytes that a program can have
    peak: float  # bfloat16 operations a second
    per_cycle: float  # the same a cycle: matrix units x multipliers x 2

    @property
    def clock(self) -> float:
        """Hz, which peak and matrix units imply."""
        return self.peak / self.per_cycle


CHIPS = {"v5e": Chip(15.75 * 2**30, 197e12, 4 * 128 * 128 * 2)}


class Work(NamedTuple):
    """A program to plan."""

    name: str
    make: Callable[[int], tuple[Any, tuple[Any, ...]]]  # for n photos: function, arguments' shapes
    split: tuple[bool, ...]  # arguments that are split over the chips; others are on each
    least: Callable[[int], float]  # operations for n photos


def networks(config: Config, platform: str) -> Networks:
    """The config's networks as shapes. ValueError for a missing file named like no model."""
    dtype, size, section = jnp.dtype(config.dtype), config.data.size, config.perturber
    budget = {"eps_255": config.budget.eps_255, "bound": config.budget.bound}
    card = Card(section.model, section.hyper.to_dict(), size, budget=budget)
    frames = config.driving.frames
    return Networks(
        full_size.of_card(card, dtype, frames, platform),
        tuple(_network(path, size, dtype, frames, platform) for path in config.generators),
        tuple(_network(path, size, dtype, frames, platform) for path in config.detectors),
    )


def _network(path: str, size: int, dtype: Any, frames: int, platform: str) -> Any:
    file = models.ZOO / f"{path[4:]}.safetensors" if path.startswith("zoo:") else pathlib.Path(path)
    if file.exists():
        with safe_open(file, framework="np") as opened:
            card = Card.from_json(opened.metadata()["card"])
        return full_size.of_card(card, dtype, frames, platform)
    if file.stem not in models.MODELS:
        raise ValueError(
            f"found no {path}, and {file.stem!r} is none of {', '.join(models.MODELS)}"
        )
    return full_size.network(file.stem, size, dtype, frames, platform)


def works(config: Config, mesh: Mesh) -> list[Work]:
    """P alone as `protect` runs it, and the training step on a mesh. The least operations are those
    of the usual form of the networks, whatever products with zero a TPU's form has.
    """
    nets, usual, size = networks(config, "tpu"), networks(config, "cpu"), config.data.size

    def protecting(photos: int) -> tuple[Any, tuple[Any, ...]]:
        crops = jax.ShapeDtypeStruct((photos, size, size, 3), jnp.uint8)
        return protector.outputs, (nets.perturber, crops)

    def least_of_protecting(photos: int) -> float:
        images = jax.ShapeDtypeStruct((photos, size, size, 3), jnp.float32)
        return flops.of(lambda net, x: net(x), usual.perturber, images)

    return [
        Work("protect", protecting, (False, True), least_of_protecting),
        Work(
            "step",
            lambda photos: full_size.training_step(
                nets, photos, tuple(config.channel.crop_sides), mesh
            ),
            (False, False, True, False),
            lambda photos: flops.least(*usual, batch=photos),
        ),
    ]


def plan(work: Work, mesh: Mesh, chip: Chip, photos: int) -> dict[str, Any]:
    """What the compiler says of a program for `photos` photos on each chip."""
    function, values = work.make(photos * mesh.devices.size)
    specs = [full_size.DATA if split else PartitionSpec() for split in work.split]
    shapes = [
        full_size.placed(value, NamedSharding(mesh, spec))
        for value, spec in zip(values, specs, strict=True)
    ]
    began = time.perf_counter()
    try:
        compiled = function.lower(*shapes).compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return {"program": work.name, "photos": photos, "fits": False}
    program, cost = hlo.Program(compiled.as_text()), compiled.cost_analysis()
    least = work.least(photos)
    return {
        "program": work.name,
        "photos": photos,
        "fits": True,
        "gib": sum(full_size.gib(compiled.memory_analysis()).values()),
        "flops": cost["flops"],
        "least_flops": least,
        "bytes": cost["bytes accessed"],
        "collectives": program.collectives(),
        "cycles": program.cycles,
        "bytes_without_estimate": program.bytes_without_estimate,
        "milliseconds": 1e3 * program.cycles / chip.clock,
        "mfu": mfu(least, program.cycles, chip),
        "compile_seconds": time.perf_counter() - began,
    }


def mfu(least_flops: float, cycles: float, chip: Chip) -> float:
    """The share of the matrix units' operations that the computation needs."""
    return least_flops / (cycles * chip.per_cycle)


def table_of(plans: Sequence[dict[str, Any]]) -> Table:
    """A line for each program and batch."""
    return Table("one chip", list(map(_cells, plans)))


def _cells(plan: dict[str, Any]) -> dict[str, str]:
    cells = {"program": plan["program"], "photos": str(plan["photos"])}
    if not plan["fits"]:
        return {**cells, "GiB of 15.75": "does not fit"}
    sums = [size for _, size in plan["collectives"]]
    return {
        **cells,
        "GiB of 15.75": number(plan["gib"], 2),
        "GFLOP": number(plan["flops"] / 1e9, 0),
        "least": number(plan["least_flops"] / 1e9, 0),
        "GB": number(plan["bytes"] / 1e9, 1),
        "all-reduce": f"{len(sums)} x, {sum(sums):.0f} bytes" if sums else "none",
        "Mcycles": number(plan["cycles"] / 1e6, 1),
        "ms": number(plan["milliseconds"], 1),
        "MFU": number(plan["mfu"], 3),
        "GB without": number(plan["bytes_without_estimate"] / 1e9, 2),
    }


def sentence(plans: Sequence[dict[str, Any]], topology: str, parameters: int) -> str:
    """What was planned, in words."""
    fits = [each["photos"] for each in plans if each["fits"] and each["program"] == "step"]
    largest = f"The largest batch tried that fits has {max(fits)} photos a chip. " if fits else ""
    return (
        f"Compiled for {topology}. {largest}P has {parameters} parameters: {4 * parameters} bytes "
        f"of gradients. {STATIC}"
    )


def _main() -> None:
    options, console = flags.FLAGS, command_line.console()
    config, (kind, _, _) = options.config, options.topology.partition(":")
    if kind not in CHIPS:
        raise ValueError(f"found topology {options.topology!r}; known chips: {', '.join(CHIPS)}")
    jax.config.update("jax_enable_compilation_cache", False)  # not read back without the chips
    mesh, chip = full_size.mesh_of(options.topology), CHIPS[kind]
    batches = [int(text) for text in options.batches]
    batches = batches or [max(config.train.batch_size // mesh.devices.size, 1)]
    title = f"Plan of {config.name} for {options.topology}, {config.dtype}, {config.data.size} px"
    console.print(title, STATIC, sep="\n", highlight=False)
    parameters = full_size.count(networks(config, "tpu").perturber)
    plans: list[dict[str, Any]] = []
    said = ""
    for work in works(config, mesh):
        for photos in batches:
            plans.append(plan(work, mesh, chip, photos))
            text_report.print_table(table_of(plans[-1:]), console)
            said = sentence(plans, options.topology, parameters)
            data = {"title": title, "sentence": said, "parameters": parameters, "plans": plans}
            _write(pathlib.Path(options.out), data)
    console.print(said, highlight=False)


def _write(folder: pathlib.Path, data: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "tpu_plan.json", json.dumps(data, indent=1) + "\n")
    shown = text_report.markdown_of(table_of(data["plans"]))
    page = f"# {data['title']}\n\n{data['sentence']}\n\n{shown}\n"
    replace_file(folder / "tpu_plan.md", page)


if __name__ == "__main__":
    flags.DEFINE_string("topology", "v5e:16x16", "Chips to compile for.")
    flags.DEFINE_list("batches", [], "Photos on each chip; default: the config's batch, shared.")
    flags.DEFINE_string("out", str(RESULTS), "Folder of the results.")
    command_line.run(_main, with_config=True, default="configs/stargan.py:paper")
