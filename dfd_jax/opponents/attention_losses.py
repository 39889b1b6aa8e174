"""Additional losses of multi-attentional detectors (Zhao et al. 2021, sec. 3). Pure.

The regional independence loss pulls the features of each attention map to a centre of its own and
pushes the centres apart. Attention-guided augmentation degrades photos where one map looks, so that
the detector learns to use the others.
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
    """Weights and settings of both. The defaults are the paper's where it states them.

    ValueError if `degradation` is unknown.
    """

    independence: float = 1.0  # weight of the regional independence loss
    inner_margins: tuple[float, float] = (0.05, 0.1)  # for reals, for fakes
    outer_margin: float = 0.2
    centre_rate: float = 0.05  # how far centres move towards a batch, in the first epoch
    centre_decay: float = 0.9  # of that rate, for each epoch
    epoch_steps: int = 1000
    augmented: float = 1.0  # weight of the cross-entropy on degraded photos; 0: no augmentation
    consistency: float = 0.1  # weight of `consistency`, from the authors' code
    degradation: str = "blur"  # or "cut": set to 0 where the map looks
    shrink: float = 0.3  # share of the side that the photo is shrunk to before the blur
    sigma: float = 7.0  # of the blur, in pixels of the shrunk photo

    def __post_init__(self) -> None:
        if self.degradation not in DEGRADATIONS:
            raise ValueError(
                f"attention_losses.degradation is {self.degradation!r}, "
                f"expected {' or '.join(DEGRADATIONS)}"
            )

    def rate_at(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """The share of the way that the centres move to the batch's features at this step."""
        return self.centre_rate * self.centre_decay ** (step // self.epoch_steps)


def independence(
    regions: Float[Array, "b maps c"],
    centres: Float[Array, "maps c"],
    is_fake: Bool[Array, " b"],
    rate: Float[Array, ""],
    settings: AttentionLosses,
) -> tuple[Float[Array, ""], Float[Array, "maps c"]]:
    """The regional independence loss and the updated centres.

    The first part is the mean distance of a photo's regions from the centres beyond the margin of
    its class. The second is how much closer than the outer margin the centres are, summed over
    pairs; its gradient only flows through the batch's share in the centres, so it is divided by the
    rate, as in the authors' code.
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
    """Mean distance that the regions moved by, counting 0 for the map that was degraded."""
    others = 1 - jax.nn.one_hot(chosen, before.shape[1])
    return (_distance(before, after) * others).mean()


def degrade(
    images: Float[Array, "b h w 3"],
    attentions: Float[Array, "b h2 w2 maps"],
    rng: Array,
    settings: AttentionLosses,
) -> tuple[Float[Array, "b h w 3"], Int[Array, " b"]]:
    """Photos degraded where one of their attention maps looks, and the index of that map. Without
    gradient.

    The map is drawn with probabilities proportional to the root of 1 + its sum, as in the authors'
    code. "blur" mixes in a blurred photo, weighted by the map over its maximum; "cut" sets to 0 the
    pixels whose weight is above a threshold drawn from [0.4, 0.6].
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
    """Photos shrunk to a share of their side, blurred (sigma in pixels), and resized back."""
    rows, columns = (_blur_matrix(side, shrink, sigma) for side in images.shape[1:3])
    return resampling.resample(images, rows, columns)


def _blur_matrix(side: int, shrink: float, sigma: float) -> np.ndarray:
    small = max(2, math.floor(side * shrink))
    apart = np.abs(np.arange(small)[:, None] - np.arange(small))
    kernel = np.exp(-0.5 * np.square(apart / sigma)) * (apart <= BLUR_RADIUS)
    kernel /= kernel.sum(1, keepdims=True)  # at the border, over the pixels inside
    return resampling.aligned(small, side) @ kernel @ resampling.windows(side, small)


def _distance(a: Array, b: Array) -> Array:
    """Euclidean distance along the last axis, with gradient 0 where it is 0."""
    squares = jnp.square(a - b).sum(-1)
    is_zero = squares == 0
    return jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, squares)))
