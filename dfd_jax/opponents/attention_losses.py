"""What the multi-attentional detector's training adds to cross-entropy (Zhao et al. 2021, sec. 3).

The regional independence loss keeps what each attention map sees near a centre of its own and the
centres apart; attention-guided augmentation degrades photos where one map looks, so that the others
must do without it. Pure.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from dfd_jax.models import resampling

BLUR_RADIUS = 5  # pixels of the shrunk photo; the authors' kernel has 11
DEGRADATIONS = ("blur", "cut")


@dataclasses.dataclass(frozen=True)
class AttentionLosses:
    """Weights and settings of both; the defaults are the paper's, where it gives them.

    ValueError if `degradation` is unknown.
    """

    independence: float = 1.0  # weight of the regional independence loss
    inner_margins: tuple[float, float] = (0.05, 0.1)  # of reals, of fakes
    outer_margin: float = 0.2
    centre_rate: float = 0.05  # how far centres move towards a batch, in the first epoch
    centre_decay: float = 0.9  # of that rate, for each epoch
    epoch_steps: int = 1000
    augmented: float = 1.0  # weight of the cross-entropy on degraded photos; 0: no augmentation
    consistency: float = 0.1  # weight of `consistency`, which is in the authors' code only
    degradation: str = "blur"  # or "cut": nothing is left where the map looks
    shrink: float = 0.3  # the degraded photo's side, as a share, before it is enlarged again
    sigma: float = 7.0  # of its blur, in pixels of the shrunk photo

    def __post_init__(self) -> None:
        if self.degradation not in DEGRADATIONS:
            raise ValueError(
                f"regions.degradation is {self.degradation!r}, expected {' or '.join(DEGRADATIONS)}"
            )

    def rate_at(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """How far the centres move towards the batch of this step."""
        return self.centre_rate * self.centre_decay ** (step // self.epoch_steps)


def independence(
    regions: Float[Array, "b maps c"],
    centres: Float[Array, "maps c"],
    is_fake: Bool[Array, " b"],
    rate: Float[Array, ""],
    settings: AttentionLosses,
) -> tuple[Float[Array, ""], Float[Array, "maps c"]]:
    """The regional independence loss and the moved centres.

    Distances of a photo's regions from the centres beyond the margin of its class, averaged over
    photos and maps; and what centres lack of the outer margin between them, over all pairs. Centres
    have a gradient through the batch's share in them alone, so that part is divided by the rate, as
    in the authors' code.
    """
    centres = jax.lax.stop_gradient(centres)
    moved = centres + rate * (regions.mean(0) - centres)
    margins = jnp.where(is_fake, settings.inner_margins[1], settings.inner_margins[0])
    inner = jax.nn.relu(_distance(regions, moved) - margins[:, None]).mean()
    first, second = np.triu_indices(len(centres), k=1)
    lacking = jax.nn.relu(settings.outer_margin - _distance(moved[first], moved[second]))
    return inner + lacking.sum() / (len(centres) * rate), jax.lax.stop_gradient(moved)


def consistency(
    before: Float[Array, "b maps c"],
    after: Float[Array, "b maps c"],
    chosen: Int[Array, " b"],
) -> Float[Array, ""]:
    """How far the regions moved that were not degraded: mean distance, the chosen map counts 0."""
    others = 1 - jax.nn.one_hot(chosen, before.shape[1])
    return (_distance(before, after) * others).mean()


def degrade(
    images: Float[Array, "b h w 3"],
    attentions: Float[Array, "b h2 w2 maps"],
    rng: Array,
    settings: AttentionLosses,
) -> tuple[Float[Array, "b h w 3"], Int[Array, " b"]]:
    """Photos degraded where one of their attention maps looks, and which one: no gradient.

    A map is drawn for each photo, those that see more somewhat more often (by the root of 1 + their
    sum, as in the authors' code). "blur" mixes in a blurred photo by the map's share of its
    maximum; "cut" sets to 0 what is above a share drawn between 0.4 and 0.6.
    """
    images, attentions = jax.lax.stop_gradient((images, attentions))
    of_map, of_cut = jax.random.split(rng)
    chosen = jax.random.categorical(of_map, jnp.log1p(attentions.sum((1, 2))) / 2)
    chosen_map = (attentions * jax.nn.one_hot(chosen, attentions.shape[-1])[:, None, None]).sum(-1)
    share = resampling.bilinear_aligned(chosen_map[..., None], *images.shape[1:3])
    share = share / (share.max((1, 2, 3), keepdims=True) + 1e-8)
    if settings.degradation == "cut":
        limit = jax.random.uniform(of_cut, (len(images), 1, 1, 1), minval=0.4, maxval=0.6)
        return jnp.where(share > limit, 0, images), chosen
    return images + share * (blurred(images, settings.shrink, settings.sigma) - images), chosen


def blurred(
    images: Float[Array, "b h w 3"], shrink: float, sigma: float
) -> Float[Array, "b h w 3"]:
    """Photos shrunk to a share of their side, blurred there (sigma in pixels), and enlarged."""
    rows, columns = (_blur_matrix(side, shrink, sigma) for side in images.shape[1:3])
    return resampling.resample(images, rows, columns)


def _blur_matrix(side: int, shrink: float, sigma: float) -> np.ndarray:
    small = max(2, math.floor(side * shrink))
    apart = np.abs(np.arange(small)[:, None] - np.arange(small))
    kernel = np.exp(-0.5 * np.square(apart / sigma)) * (apart <= BLUR_RADIUS)
    kernel /= kernel.sum(1, keepdims=True)  # at the border, of the pixels that there are
    return resampling.aligned(small, side) @ kernel @ resampling.windows(side, small)


def _distance(a: Array, b: Array) -> Array:
    """Euclidean distance along the last axis, with gradient 0 where it is 0."""
    squares = jnp.square(a - b).sum(-1)
    is_zero = squares == 0
    return jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, squares)))
