"""Resizes of PyTorch that `jax.image.resize` does not reproduce, and space-to-depth.

Each resize is linear in rows and in columns: two products with small constant matrices, fast on
every platform in both directions. Indexing would give gathers and scatters.
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
    """Maps times a matrix for the rows and one for the columns."""
    exact = jax.lax.Precision.HIGHEST  # in bfloat16, copied pixels would be rounded

    def along(axes: str, matrix: Matrix, x: Array) -> Array:
        if np.array_equal(matrix, np.eye(len(matrix))):
            return x
        return jnp.einsum(axes, jnp.asarray(matrix, x.dtype), x, precision=exact)

    return along("Ww,bHwc->bHWc", columns, along("Hh,bhwc->bHwc", rows, maps))


def aligned(size: int, to: int) -> Matrix:
    """The matrix of `bilinear_aligned` from `size` pixels to `to`."""
    at = np.arange(to) * ((size - 1) / (to - 1) if to > 1 else 0.0)
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(size)))


def _nearest(size: int, to: int) -> Matrix:
    return np.eye(size)[np.arange(to) * size // to]


def windows(size: int, to: int) -> Matrix:
    """The matrix of `adaptive_average` from `size` pixels to `to`."""
    start, end = np.arange(to) * size // to, -(-(np.arange(to) + 1) * size // to)
    pixel: Any = np.arange(size)
    inside = (pixel >= start[:, None]) & (pixel < end[:, None])
    return inside / inside.sum(1, keepdims=True)


def space_to_depth(x: Float[Array, "b h w c"], times: int = 1) -> Float[Array, "b H W d"]:
    """Blocks of 2x2 pixels as one pixel with four times the channels, `times` times over.

    Sides must be multiples of 2**times. The channels of a block are those of its upper left, upper
    right, lower left and lower right pixel.
    """
    (b, h, w, c), bits = x.shape, (2,) * times
    h, w = h >> times, w >> times
    pairs = [axis for bit in range(times) for axis in (2 + bit, 3 + times + bit)]
    blocks = x.reshape(b, h, *bits, w, *bits, c).transpose(0, 1, 2 + times, *pairs, 3 + 2 * times)
    return blocks.reshape(b, h, w, 4**times * c)


def depth_to_space(x: Float[Array, "b h w c"], times: int = 1) -> Float[Array, "b H W d"]:
    """The inverse of `space_to_depth`.

    After a 3x3 convolution this is a transposed convolution (sub-pixel convolution, Shi et al.
    2016) whose weight gradient is fast on every platform.
    """
    b, h, w, c = x.shape
    rows, columns = range(3, 3 + 2 * times, 2), range(4, 4 + 2 * times, 2)
    pixels = x.reshape(b, h, w, *(2, 2) * times, c >> 2 * times)
    pixels = pixels.transpose(0, 1, *rows, 2, *columns, 3 + 2 * times)
    return pixels.reshape(b, h << times, w << times, c >> 2 * times)
