"""Whether a training step computes more than it must: python -m experiments.flops

The least that one step of Eq. 7 can take, counted from the forward passes F of its networks: P
forward and backward with gradients of its weights (3 F); each generator on the clean photo (F), and
on the protected one, there and back (2 F), as a backward pass that leaves the frozen weights alone
costs what the forward pass does; each detector on the protected photo and on each fake, there and
back (2 F each). It is compared with the count of the step as it is traced, before the compiler
optimises it: XLA's cost analysis of both, so that convolutions count alike. No compilation, no
device.
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from dfd_jax import models
from dfd_jax.data import sources
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator, Perturber
from dfd_jax.models.generators.fomm import FOMM
from experiments.benchmarks import full_size

LIMIT = 1.05  # of the least
BATCH = 2
GENERATORS = ("zoo:stargan", "zoo:ganimation", "zoo:fomm")
DETECTORS = ("zoo:xception", "zoo:resnet18", "zoo:resnet50", "zoo:multi_attentional")


def load_generator(path: str) -> FrozenGenerator:
    """A generator, with drawn motions and one frame per photo if it animates."""
    net: Any = models.load(path)
    if isinstance(net, FOMM):
        return net.with_motions(sources.driving_clips(None, net.card.input_size, drawn_frames=2), 1)
    return net


def of(function: Any, *arguments: Any) -> float:
    """Floating-point operations of a call, by XLA's analysis of the program as it is traced."""
    return _of_traced(jax.jit(function).trace(*arguments))


def _of_traced(traced: Any) -> float:
    """Counted for a GPU: there convolutions have their usual form. A CPU's take fewer products on
    the way forward and back, but not for weights, and could not be compared.
    """
    return float(traced.lower(lowering_platforms=("cuda",)).cost_analysis()["flops"])


def least(
    perturber: Perturber,
    generators: tuple[FrozenGenerator, ...],
    detectors: tuple[FrozenDetector, ...],
    batch: int = BATCH,
) -> float:
    """The least for one step, see above."""
    size = perturber.card.input_size
    photos = jnp.zeros((batch, size, size, 3))
    total = 3 * of(lambda net, x: net(x), perturber, photos)
    judged = [photos]
    for net in generators:
        labels = jnp.zeros((batch, len(net.labels)))
        condition = net.sample_condition(jax.random.key(0), labels, "random")
        total += 3 * of(lambda net, x, c: net(x, c), net, photos, condition)
        shape = jax.eval_shape(lambda net, x, c: net(x, c), net, photos, condition)
        judged.append(jnp.zeros(shape.shape))
    for net in detectors:
        total += sum(2 * of(lambda net, x: net.real_logits(x), net, seen) for seen in judged)
    return total


def of_step(
    perturber: Perturber,
    generators: tuple[FrozenGenerator, ...],
    detectors: tuple[FrozenDetector, ...],
    batch: int = BATCH,
) -> float:
    """What one training step takes."""
    nets = full_size.Networks(perturber, generators, detectors)
    step, shapes = full_size.training_step(nets, batch)
    return _of_traced(step.trace(*shapes))


def main() -> None:
    """Print every pair."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.flops",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--perturber", default="zoo:disrupter_stargan")
    parser.add_argument("--generators", nargs="+", default=GENERATORS, metavar="FILE")
    parser.add_argument("--detectors", nargs="+", default=DETECTORS, metavar="FILE")
    parser.add_argument("--batch", type=int, default=BATCH)
    arguments = parser.parse_args()
    perturber: Any = models.load(arguments.perturber)
    table = Table("generator", "detector", "GFLOP per photo", "least", "ratio")
    for path in arguments.generators:
        for detector in arguments.detectors:
            nets: Any = (load_generator(path),), (models.load(detector),)
            counted = of_step(perturber, *nets, batch=arguments.batch)
            bound = least(perturber, *nets, batch=arguments.batch)
            shown = [f"{x / 1e9 / arguments.batch:.2f}" for x in (counted, bound)]
            table.add_row(path, detector, *shown, f"{counted / bound:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
