"""Ten steps of PGD on StarGAN, compared with PyTorch, in photos per second."""

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from dfd_jax import pixels
from dfd_jax.method import attacks
from dfd_jax.method.forward import Opponents
from experiments.benchmarks import timing, torch_side, torch_steps
from experiments.benchmarks.method import Method
from experiments.benchmarks.page import Page
from experiments.benchmarks.train import both_sides

PLAN = attacks.ATTACKS["PGD"]
SAME_GRADIENT = 1e-2  # relative L2 of the first step's gradient
SAME_DISTANCE = 5e-2  # relative, of the fakes' L2 at the end: signs of tiny gradients may differ


def run(args: argparse.Namespace, console: Console) -> tuple[dict[str, Any], Page]:
    """Both sides for every scale. ValueError if they compute different things."""
    about = f"{PLAN.steps} steps of PGD against StarGAN at the photos' own size, no detectors."
    return both_sides(args, console, f"PGD-{PLAN.steps}", about, Pair)


class Pair:
    """The same attack on the same photos from the same start, here and there."""

    def __init__(self, method: Method, photos: int) -> None:
        (self.generator,) = method.against.generators
        self.against = Opponents((self.generator,), (), ())
        batch = method.batch(photos)
        self.images = pixels.from_uint8(jnp.asarray(batch["images"]))
        labels = jnp.asarray(batch["attributes"])
        self.condition = self.generator.test_condition(labels, self.generator.conditions[0])
        call = jax.jit(lambda net, x, c: net(x, c))
        self.fakes = lambda images: call(self.generator, images, self.condition)
        self.references = self.fakes(self.images)
        eps = pixels.levels_to_units(PLAN.start_255)
        start = np.random.default_rng(1).uniform(-eps, eps, self.images.shape)
        self.start = jnp.asarray(start, jnp.float32)

    def ours(self) -> Callable[[], jax.Array]:
        """Computes the perturbations."""
        inputs = self.against, self.images, [(self.condition,)], PLAN, jax.random.key(0)
        known = {"references": (self.references,), "start": self.start}
        return lambda: jax.block_until_ready(attacks.attack(*inputs, **known))

    def theirs(self, layout: Any) -> Callable[[], Any]:
        """The same in PyTorch."""
        generator = torch_side.generator_of(self.generator, layout)
        images, condition, references, start = self._inputs(layout)
        return lambda: torch_steps.pgd(generator, images, condition, references, start, PLAN)

    def check(self) -> dict[str, float]:
        """Differences of the first gradient, and of how far the fakes are driven in the end."""
        layout = next(iter(torch_side.FORMATS.values()))
        generator = torch_side.generator_of(self.generator, layout)
        theirs = torch_steps.ascent(generator, *self._inputs(layout))
        aim = attacks.Aim((self.condition,), (self.references,))
        terms = attacks.Objective(distortion=1.0, budget=0.0, fake=0.0, real=0.0)
        ours, _ = attacks.gradient(self.start, self.against, self.images, aim, terms)
        driven = [self._distance(self.ours()()), self._distance(_nhwc(self.theirs(layout)()))]
        differences = {
            "difference_gradient": timing.relative_l2(np.asarray(ours), _nhwc(theirs)),
            "difference_distance": abs(driven[0] / driven[1] - 1),
        }
        is_same = differences["difference_gradient"] <= SAME_GRADIENT
        if not (is_same and differences["difference_distance"] <= SAME_DISTANCE):
            raise ValueError(
                f"the two sides differ: {differences}, allowed {SAME_GRADIENT} and {SAME_DISTANCE}"
            )
        return differences

    def _inputs(self, layout: Any) -> tuple[Any, ...]:
        images, references, start = (
            torch_side.images(np.asarray(x), layout)
            for x in (self.images, self.references, self.start)
        )
        return images, torch_side.vectors(self.condition), references, start

    def _distance(self, deltas: Any) -> float:
        return float(jnp.square(self.fakes(self.images + deltas) - self.references).mean())


def _nhwc(tensor: Any) -> np.ndarray:
    return tensor.detach().numpy().transpose(0, 2, 3, 1)
