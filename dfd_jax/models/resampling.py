"""PyTorch's ways to change the size of a map that the library's resize does not reproduce.

Each is linear in rows and in columns, so it is a pair of small constant matrices: two matrix
products, fast on every backend in both directions, where indexing would give gathers and scatters.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Matrix = Float[np.ndarray, "to from"]


def bilinear_aligned(
    maps: Float[Array, "b h w c"], height: int, width: int
) -> Float[Array, "b H W c"]:
    """`F.interpolate(mode="bilinear", align_corners=True)`: corner pixels stay corner pixels."""
    return resample(maps, aligned(maps.shape[1], height), aligned(maps.shape[2], width))


def nearest(maps: Float[Array, "b h w c"], height: int, width: int) -> Float[Array, "b H W c"]:
    """`F.interpolate(mode="nearest")`: pixel i comes from pixel floor(i * from / to).

    The library's nearest takes the pixel under the middle of i, floor((i + 1/2) * from / to).
    """
    return resample(maps, _nearest(maps.shape[1], height), _nearest(maps.shape[2], width))


def adaptive_average(
    maps: Float[Array, "b h w c"], height: int, width: int
) -> Float[Array, "b H W c"]:
    """`F.adaptive_avg_pool2d`: means over windows that overlap where sizes do not divide."""
    return resample(maps, windows(maps.shape[1], height), windows(maps.shape[2], width))


def resample(
    maps: Float[Array, "b h w c"],
    rows: Float[np.ndarray, "H h"],
    columns: Float[np.ndarray, "W w"],
) -> Float[Array, "b H W c"]:
    """Maps whose rows and columns are these combinations of the given rows and columns."""
    exact = jax.lax.Precision.HIGHEST  # fewer bits would blur what is meant to be copied

    def along(axes: str, matrix: Matrix, x: Array) -> Array:
        if np.array_equal(matrix, np.eye(len(matrix))):
            return x
        return jnp.einsum(axes, jnp.asarray(matrix, x.dtype), x, precision=exact)

    return along("Ww,bHwc->bHWc", columns, along("Hh,bhwc->bHwc", rows, maps))


def aligned(size: int, to: int) -> Matrix:
    """What `bilinear_aligned` multiplies with to bring `size` pixels to `to`."""
    at = np.arange(to) * ((size - 1) / (to - 1) if to > 1 else 0.0)
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(size)))


def _nearest(size: int, to: int) -> Matrix:
    return np.eye(size)[np.arange(to) * size // to]


def windows(size: int, to: int) -> Matrix:
    """What `adaptive_average` multiplies with to bring `size` pixels to `to`."""
    start, end = np.arange(to) * size // to, -(-(np.arange(to) + 1) * size // to)
    pixel: Any = np.arange(size)
    inside = (pixel >= start[:, None]) & (pixel < end[:, None])
    return inside / inside.sum(1, keepdims=True)
