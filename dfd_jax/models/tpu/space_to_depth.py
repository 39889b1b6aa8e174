"""Convolutions of maps in space-to-depth layout: blocks of 2x2 pixels, four times the channels.

A TPU multiplies 128x128 matrices. A convolution from 64 to 3 channels leaves most of them empty,
and an array with a short last axis is padded to 128 in memory. Blocks hold the same numbers four
times as densely. The convolutions below are the usual ones (zeros around the map): the same sums,
with a few more products with zero.

Blocks start `offset` pixels before the map. Offset 0 is `resampling.space_to_depth`. At offset 1 a
convolution with kernel 4, stride 2 and padding 1 touches 2x2 whole blocks, and its transpose makes
them. The outermost blocks then reach over the border, where they hold zeros.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from dfd_jax.models.resampling import space_to_depth

AXES = ("NHWC", "HWIO", "NHWC")
LANES = 128  # rows and columns of a matrix unit


def is_on_map(height: int, width: int, channels: int) -> Bool[Array, "h w c"]:
    """Which entries of blocks at offset 1 belong to pixels of the map."""
    row, column, channel = (
        jax.lax.broadcasted_iota(jnp.int32, (height, width, channels), axis) for axis in range(3)
    )
    pixel = channel // (channels // 4)
    row, column = 2 * row + pixel // 2, 2 * column + pixel % 2
    return (row > 0) & (row < 2 * height - 1) & (column > 0) & (column < 2 * width - 1)


def conv_to_blocks(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k c d"]
) -> Float[Array, "b H W e"]:
    """A convolution of a map with an odd kernel, as wide as the map: blocks at offset 1.

    Entries beyond the border are not zero yet: `tpu.layers.BlockInstanceNorm` sees to that.
    """
    return conv_with_planes_to_blocks(x, None, kernel)


def conv_with_planes_to_blocks(
    x: Float[Array, "b h w c"],
    values: Float[Array, "b n"] | None,
    kernel: Float[Array, "k k m d"],
) -> Float[Array, "b H W e"]:
    """`conv_to_blocks` of a map whose last channels are planes of one value each."""
    x = jax.lax.optimization_barrier(x)  # rearranges its gradient in its own type
    return _convolve(space_to_depth(x), kernel, before=0, after=1, values=values)


def conv_from_blocks(
    blocks: Float[Array, "b h w c"], kernel: Float[Array, "k k d e"], offset: int
) -> Float[Array, "b h2 w2 f"]:
    """A convolution of blocks with an odd kernel, as wide as the map, float32.

    From blocks at this offset to blocks at offset 0.
    """
    return _convolve(blocks, kernel, before=offset, after=0)


def strided_conv(
    blocks: Float[Array, "b h w c"], kernel: Float[Array, "4 4 d e"]
) -> Float[Array, "b H W e"]:
    """A convolution of blocks at offset 1 with kernel 4, stride 2, padding 1: a map."""
    c, d = kernel.shape[2:]
    taps = kernel.reshape(2, 2, 2, 2, c, d).transpose(0, 2, 1, 3, 4, 5).reshape(2, 2, 4 * c, d)
    return _conv(blocks, taps, ((0, 0), (0, 0)))


def transposed_conv(
    x: Float[Array, "b h w d"], kernel: Float[Array, "4 4 c d"]
) -> Float[Array, "b H W e"]:
    """The transpose of `strided_conv`, of a map: blocks at offset 1.

    Entries beyond the border are not zero yet.
    """
    c, d = kernel.shape[2:]
    taps = kernel[::-1, ::-1].reshape(2, 2, 2, 2, c, d)[:, ::-1, :, ::-1]
    taps = taps.transpose(0, 2, 5, 1, 3, 4).reshape(2, 2, d, 4 * c)  # pixels out go last
    return _conv(x, taps, ((1, 1), (1, 1)))


def _convolve(
    blocks: Array, kernel: Array, before: int, after: int, values: Array | None = None
) -> Array:
    """From blocks at one offset to blocks at another. The last channels of the kernel may belong to
    planes of one value each.

    Where a side has few channels, columns of the kernel become channels of that side, so that the
    matrices are full: for the input by shifted copies, for the output by a shifted sum.
    """
    size, c, d = kernel.shape[0], blocks.shape[-1] // 4, kernel.shape[-1]
    first, chosen = _taps(size, before - after)
    count, shaped = len(chosen), jnp.asarray(chosen, kernel.dtype)
    taps = _block_taps(kernel[:, :, :c], shaped)
    height, width = (side - before + after for side in blocks.shape[1:3])
    rows = (-first, height + count - 1 + first - blocks.shape[1])
    columns = (-first, width + count - 1 + first - blocks.shape[2])
    if values is None and count * count * 4 * c <= 2 * LANES:  # the convolution is a product
        padded = jnp.pad(blocks, ((0, 0), rows, columns, (0, 0)))
        shifts = itertools.product(range(count), range(count))
        joined = [padded[:, i : i + height, j : j + width] for i, j in shifts]
        return jnp.concatenate(joined, -1) @ taps.reshape(-1, 4 * d)
    if values is not None or 4 * c < LANES:
        if values is not None:  # all pixels of a block are on the map, or none
            planes = _block_taps(kernel[:, :, c:], shaped)
            planes = planes.reshape(count, count, 4, -1, 4 * d).sum(2)
            taps = jnp.concatenate([taps, planes], 2)
        joined = _side_by_side(blocks, values, count, columns)
        return _conv(joined, taps.reshape(count, 1, -1, 4 * d), (rows, (0, 0)))
    if 4 * d < LANES and count > 3:
        apart = taps.transpose(0, 2, 1, 3).reshape(count, 1, 4 * c, count * 4 * d)
        y = _conv(blocks, apart, (rows, columns), jnp.float32)
        return sum(
            (y[:, :, j : j + width, j * 4 * d : (j + 1) * 4 * d] for j in range(1, count)),
            y[:, :, :width, : 4 * d],
        )
    return _conv(blocks, taps, (rows, columns), jnp.float32 if 4 * d < LANES else None)


def _side_by_side(
    blocks: Array, values: Array | None, count: int, columns: tuple[int, int]
) -> Array:
    """`count` neighbouring columns as the channels of one, each followed by the planes' values.

    A convolution that copies: by the compiler's estimate it takes a TPU a third of the time of
    moving parts of a row of channels.
    """
    channels, room = blocks.shape[-1], 0 if values is None else values.shape[-1]
    copies = jnp.eye(count * channels, dtype=blocks.dtype).reshape(count, channels, count, channels)
    copies = jnp.pad(copies, ((0, 0), (0, 0), (0, 0), (0, room)))
    joined = _conv(blocks, copies.reshape(1, count, channels, -1), ((0, 0), columns))
    if values is None:
        return joined
    width = joined.shape[2]
    at = np.arange(width)[:, None] + np.arange(count)
    is_inside = (at >= columns[0]) & (at < columns[0] + blocks.shape[2])
    values = jnp.pad(values, ((0, 0), (channels, 0))).astype(blocks.dtype)
    planes = jnp.where(is_inside[:, :, None], values[:, None, None], 0)
    return joined + planes.reshape(len(blocks), 1, width, -1)


def _block_taps(kernel: Array, chosen: Array) -> Array:
    """The kernel [k k c d] of maps as that of blocks: [k2 k2 4c 4d]."""
    exact = jax.lax.Precision.HIGHEST  # each weight is copied, or not there
    taps = jnp.einsum("urqt,vswz,tzcd->uvrscqwd", chosen, chosen, kernel, precision=exact)
    count, (c, d) = len(chosen), kernel.shape[2:]
    return taps.reshape(count, count, 4 * c, 4 * d)


def _taps(size: int, shift: int) -> tuple[int, np.ndarray]:
    """The first block that the convolution of a block touches, relative to it, and which weight
    meets which pixels: [block, pixel in, pixel out, weight], along one axis.
    """
    at = np.arange(2)[:, None] + np.arange(size) - (size - 1) // 2 + shift  # pixel out, weight
    first = at.min() // 2
    chosen = np.zeros((at.max() // 2 - first + 1, 2, 2, size))
    for pixel in range(2):
        for weight in range(size):
            block, inside = divmod(at[pixel, weight], 2)
            chosen[block - first, inside, pixel, weight] = 1
    return int(first), chosen


def _conv(
    x: Array, kernel: Array, padding: tuple[tuple[int, int], ...], dtype: Any = None
) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=AXES, preferred_element_type=dtype
    )
