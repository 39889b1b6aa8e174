"""Does a training step fit? python -m experiments.memory --generator fomm --size 256 --batch 8

Compiles the training step of full-size networks ahead of time and prints the compiler's own memory
analysis. Nothing is computed and no weights are needed. `--topology v5e:2x2` asks the TPU compiler
(the package libtpu, no TPU) instead of this machine's backend; the figure is for one chip, which
holds the whole batch. It is the compiler's static estimate, not a measurement.
"""

import argparse
import os
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dfd_jax import channel, models, optimizer, steps
from dfd_jax.budget import Budget
from dfd_jax.forward import Opponents
from dfd_jax.models.frozen import Card
from dfd_jax.models.generators.fomm import FOMM
from dfd_jax.objective import Objective
from dfd_jax.state import create_state

GIB = 2.0**30
LABELS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
SIZES = {"xception": 299, "multi_attentional": 380, "efficientnet": 380}  # of detectors


def training_step(arguments: argparse.Namespace) -> tuple[Any, tuple[Any, ...]]:
    """The jitted step and its arguments, on the host."""
    dtype, size = jnp.dtype(arguments.dtype), arguments.size
    condition = LABELS if arguments.generator == "stargan" else ()
    generator: Any = models.build(_card(arguments.generator, size, condition), 0, dtype)
    if isinstance(generator, FOMM):
        frames = jnp.zeros((2, size, size, 3), jnp.uint8)
        generator = generator.with_motions({"still": frames}, frames_per_photo=arguments.frames)
    detector: Any = models.build(
        _card(arguments.detector, SIZES.get(arguments.detector, 224)), 0, dtype
    )
    card = Card("unet", {"width": 64, "depth": 5}, size, budget={"eps_255": 6.375, "bound": "tanh"})
    perturber: Any = models.build(card, 0, dtype)
    tx = optimizer.make_optimizer(2e-4, 100, warmup=10)
    step = steps.make_train_step(perturber, tx, Budget(), Objective(), generator.labels)
    against = Opponents((generator,), (detector,), (channel.Region.of_side(size, size),))
    batch = {
        "images": jnp.zeros((arguments.batch, size, size, 3), jnp.uint8),
        "attributes": jnp.zeros((arguments.batch, len(generator.labels))),
    }
    return step, (create_state(perturber, tx), against, batch, jax.random.key(0))


def _card(model: str, size: int, condition: tuple[str, ...] = ()) -> Card:
    return Card(model, {}, size, condition=condition, real_index=0)


def sharding_of(topology: str) -> NamedSharding | None:
    """Where to compile for: one chip of a TPU topology, or None for this machine."""
    if not topology:
        return None
    from jax.experimental import topologies

    name, _, shape = topology.partition(":")
    described = topologies.get_topology_desc(platform="tpu", topology_name=f"{name}:{shape}")
    mesh = Mesh(described.devices[:1], ("data",))
    return NamedSharding(mesh, PartitionSpec())


def analyse(arguments: argparse.Namespace) -> dict[str, float]:
    """GiB by kind of memory, and the seconds the compilation took."""
    step, values = training_step(arguments)
    where = sharding_of(arguments.topology)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), values)
    began = time.perf_counter()
    found = step.lower(*shapes).compile().memory_analysis()
    return {
        "arguments": found.argument_size_in_bytes / GIB,
        "outputs": (found.output_size_in_bytes - found.alias_size_in_bytes) / GIB,
        "temporary": found.temp_size_in_bytes / GIB,
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Print the analysis of one step."""
    parser = argparse.ArgumentParser(prog="python -m experiments.memory", description=__doc__)
    parser.add_argument("--generator", default="fomm", help="a generator of dfd_jax.models.MODELS")
    parser.add_argument("--detector", default="xception", help="a detector of the same table")
    parser.add_argument("--size", type=int, default=256, help="side of the photos (default 256)")
    parser.add_argument("--batch", type=int, default=8, help="photos in a step (default 8)")
    parser.add_argument("--frames", type=int, default=1, help="driving frames a photo (fomm)")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--topology", default="", help="v5e:2x2 …; empty: this machine")
    arguments = parser.parse_args()
    if arguments.topology:  # read by libtpu when it is loaded, which has not happened yet
        os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
        os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
    found = analyse(arguments)
    total = sum(found[kind] for kind in ("arguments", "outputs", "temporary"))
    print(
        f"{arguments.generator} x {arguments.detector}, {arguments.size} px, batch "
        f"{arguments.batch}, {arguments.frames} frames, {arguments.dtype}, "
        f"{arguments.topology or jax.default_backend()}: {total:.2f} GiB = "
        f"arguments {found['arguments']:.2f} + outputs {found['outputs']:.2f} + temporary "
        f"{found['temporary']:.2f} (compiled in {found['seconds']:.0f} s)"
    )


if __name__ == "__main__":
    sys.exit(main())
