"""The data flow of the paper's Figure 2: photo → protected → fakes → verdicts. Pure."""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float

from dfd_jax import budget as budgets
from dfd_jax import channel, pixels
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator, FrozenPerturber
from dfd_jax.objective import Seen


class Opponents(NamedTuple):
    """The frozen networks P is trained through, and what else the loss looks at. A pytree of
    arrays.
    """

    generators: tuple[FrozenGenerator, ...]
    detectors: tuple[FrozenDetector, ...]
    round_trips: Float[Array, "r s s"] | None = (
        None  # channel.round_trip_matrices; None: no channel
    )
    target: Float[Array, "s s 3"] | None = None  # a fixed reference image r; None: r = G(x, c)


def protect(
    perturber: FrozenPerturber, images: Float[Array, "b h w 3"], budget: budgets.Budget
) -> Float[Array, "b h w 3"]:
    """The bounded perturbation P(x) on [-1, 1]."""
    return budgets.bound(perturber(images), budget)


def forward(
    perturber: FrozenPerturber,
    opponents: Opponents,
    images: Float[Array, "b s s 3"],
    conditions: tuple[Any, ...],
    budget: budgets.Budget,
    rng: Array,
) -> Seen:
    """Everything Eq. 7 judges, for one batch and one condition per photo and generator.

    What detectors and generators see has been rounded to 8 bits (straight-through gradient), after
    the delta has gone through the channel.
    """
    deltas = protect(perturber, images, budget)
    arriving = deltas
    if opponents.round_trips is not None:
        arriving = channel.through_regions(rng, deltas, opponents.round_trips)
    protected = pixels.round_8bit(images + arriving)
    pairs = list(zip(opponents.generators, conditions, strict=True))
    fakes = tuple(generator(protected, condition) for generator, condition in pairs)
    return Seen(
        deltas=deltas,
        fakes=fakes,
        references=_references(opponents, images, pairs, fakes),
        fake_logits=tuple(tuple(d.real_logits(f) for d in opponents.detectors) for f in fakes),
        real_logits=tuple(d.real_logits(protected) for d in opponents.detectors),
    )


def _references(
    opponents: Opponents,
    images: Float[Array, "b s s 3"],
    pairs: list[tuple[FrozenGenerator, Any]],
    fakes: tuple[Float[Array, "b s s 3"], ...],
) -> tuple[Float[Array, "b s s 3"], ...]:
    target = opponents.target
    if target is not None:
        return tuple(jax.numpy.broadcast_to(target, fake.shape) for fake in fakes)
    return tuple(jax.lax.stop_gradient(g(images, condition)) for g, condition in pairs)
