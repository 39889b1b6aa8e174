"""The data flow of the paper's Figure 2: photo → protected → fakes → verdicts. Pure."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax import pixels
from dfd_jax.method import channel
from dfd_jax.method.budget import Budget
from dfd_jax.method.channel import CropResize
from dfd_jax.method.objective import Seen
from dfd_jax.models import layers
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator, Perturber


class Opponents(NamedTuple):
    """The networks P is trained against; an argument of the step, so weights are not constants."""

    generators: tuple[FrozenGenerator, ...]
    detectors: tuple[FrozenDetector, ...]
    resizes: tuple[CropResize, ...]  # one per size of the photos' squares
    target: Float[Array, "s s 3"] | None = None  # a fixed reference image r; None: r = G(x, c)


def forward(
    perturber: Perturber,
    opponents: Opponents,
    images: Float[Array, "b s s 3"],
    conditions: tuple[Any, ...],
    budget: Budget,
    norm: str,
    rng: Array,
) -> Seen:
    """The inputs of Eq. 7 for one batch and one condition per photo and generator.

    A generator works at its own size g and makes one fake per photo, or one per driving frame of
    its condition (n in all). Detectors and generators get the photos after 8-bit files and the
    attacker's resize (straight-through gradients).
    """
    received = channel.through_file(rng, perturber(images), opponents.resizes, budget, norm)
    protected = pixels.round_8bit(images + received.deltas)
    pairs = list(zip(opponents.generators, conditions, strict=True))
    fakes = tuple(generator(protected, condition) for generator, condition in pairs)
    verdicts = [d.real_logits_of((protected, *fakes)) for d in opponents.detectors]
    return Seen(
        norms=received.norms,
        rms=received.rms,
        fakes=fakes,
        references=_references(opponents, images, pairs, fakes),
        fake_logits=tuple(tuple(v[1 + i] for v in verdicts) for i in range(len(fakes))),
        real_logits=tuple(v[0] for v in verdicts),
    )


def _references(
    opponents: Opponents,
    images: Float[Array, "b s s 3"],
    pairs: list[tuple[FrozenGenerator, Any]],
    fakes: tuple[Float[Array, "_ _ _ 3"], ...],
) -> tuple[Float[Array, "_ _ _ 3"], ...]:
    target = opponents.target
    if target is not None:
        sized = [layers.resize_bilinear(target[None], fake.shape[1]) for fake in fakes]
        return tuple(jnp.broadcast_to(t, f.shape) for t, f in zip(sized, fakes, strict=True))
    return tuple(jax.lax.stop_gradient(g(images, condition)) for g, condition in pairs)
