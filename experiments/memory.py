"""Does a training step fit? python -m experiments.memory --generator fomm --size 256 --batch 8

Compiles the training step of full-size networks ahead of time and prints the compiler's own memory
analysis. Nothing is computed and no weights are needed. `--topology v5e:2x2` asks the TPU compiler
(the package libtpu, no TPU) instead of this machine's backend; the figure is for one chip, which
holds the whole batch. It is the compiler's static estimate, not a measurement.
"""

import argparse
import sys
import time

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from experiments.benchmarks import full_size


def analyse(arguments: argparse.Namespace) -> dict[str, float]:
    """GiB by kind of memory, and the seconds the compilation took."""
    dtype, size, where, platform = jnp.dtype(arguments.dtype), arguments.size, None, None
    if arguments.topology:
        platform = "tpu"
        where = NamedSharding(full_size.mesh_of(arguments.topology, 1), PartitionSpec())
    nets = full_size.Networks(
        full_size.network("unet", size, dtype, 1, platform),
        (full_size.network(arguments.generator, size, dtype, arguments.frames, platform),),
        (full_size.network(arguments.detector, size, dtype, 1, platform),),
    )
    step, shapes = full_size.training_step(nets, arguments.batch)
    began = time.perf_counter()
    memory = step.lower(*full_size.placed(shapes, where)).compile().memory_analysis()
    return {**full_size.gib(memory), "seconds": time.perf_counter() - began}


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
    parts = analyse(arguments)
    total = sum(parts[kind] for kind in ("arguments", "outputs", "temporary"))
    print(
        f"{arguments.generator} x {arguments.detector}, {arguments.size} px, batch "
        f"{arguments.batch}, {arguments.frames} frames, {arguments.dtype}, "
        f"{arguments.topology or jax.default_backend()}: {total:.2f} GiB = "
        f"arguments {parts['arguments']:.2f} + outputs {parts['outputs']:.2f} + temporary "
        f"{parts['temporary']:.2f} (compiled in {parts['seconds']:.0f} s)"
    )


if __name__ == "__main__":
    sys.exit(main())
