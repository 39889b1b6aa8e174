"""What happens to a photo on its way to the attacker.

The region of a photo that P protects is rarely as large as the network's input. P's delta is
enlarged to the region when the photo is written, and reduced again when the attacker crops and
resizes. Both steps are linear, so what is left of a delta after the round trip through a region of
side r is M_r · delta · M_rᵀ with one small matrix: training through it costs two matrix products
and never needs the large photo.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@functools.lru_cache(maxsize=64)
def resize_matrix(old: int, new: int) -> Float[np.ndarray, "new old"]:
    """Bilinear resize of one axis as a matrix: half-pixel centres, edges repeated, antialiased when
    shrinking.

    The same weights as Pillow's BILINEAR and `jax.image.resize(…, "bilinear", antialias=True)`.
    Rows are non-negative and sum to 1, so a resized delta never exceeds the bound of the original.
    """
    scale = old / new
    support = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    distances = np.abs(centres[:, None] - (np.arange(old)[None] + 0.5)) / support
    weights = np.maximum(1.0 - distances, 0.0)
    matrix = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    matrix.setflags(write=False)  # cached: every caller gets the same array
    return matrix


def resize_delta(
    delta: Float[np.ndarray, "s s 3"], height: int, width: int, part: slice = slice(None)
) -> Float[np.ndarray, "h w 3"]:
    """A perturbation at the size of a photo's region. |delta| does not grow.

    `part` asks for some of the rows only: a large region need not be in memory as floats.
    """
    rows = resize_matrix(delta.shape[0], height)[part]
    columns = resize_matrix(delta.shape[1], width)
    tall = np.tensordot(rows, delta, axes=(1, 0))
    return np.ascontiguousarray(np.einsum("wv,hvc->hwc", columns, tall, optimize=True))


def round_trip_matrices(size: int, regions: tuple[int, ...]) -> Float[np.ndarray, "r s s"]:
    """One matrix per region side: enlarge (or reduce) from `size` to the region, and back to
    `size`.
    """
    return np.stack([resize_matrix(r, size) @ resize_matrix(size, r) for r in regions])


def through_regions(
    rng: Array, delta: Float[Array, "b s s 3"], matrices: Float[Array, "r s s"]
) -> Float[Array, "b s s 3"]:
    """Each delta as the attacker's resize leaves it, for a region size drawn at random per
    photo.
    """
    chosen = matrices[jax.random.randint(rng, (delta.shape[0],), 0, matrices.shape[0])]
    tall = jnp.einsum("bij,bjkc->bikc", chosen, delta)
    return jnp.einsum("bij,bkjc->bkic", chosen, tall)
