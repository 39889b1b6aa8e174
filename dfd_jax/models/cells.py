"""Maps of many pixels and few channels, as cells of 2 x 2 pixels with four times the channels.

A TPU multiplies 128 x 128 matrices: a convolution from 64 to 3 channels leaves most of them empty,
and an array whose last axis is short is padded to 128 in memory. Cells hold the same numbers four
times as densely, and the convolutions below are the usual ones (zeros around the map) on cells: the
same sums, with a few more products with zero.

Cells start `offset` pixels before the map: at 0, or at 1, where a halving convolution (kernel 4,
stride 2, padding 1) touches 2 x 2 whole cells and a doubling one makes them. Of the outermost cells
then only the inner pixels exist; the others are zero.

Channels of a cell are those of its upper left, upper right, lower left and lower right pixel.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

AXES = ("NHWC", "HWIO", "NHWC")
LANES = 128  # rows and columns of a matrix unit


def pack(x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
    """Cells at offset 0 of a map with even sides."""
    b, h, w, c = x.shape
    cells = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return cells.reshape(b, h // 2, w // 2, 4 * c)


def unpack(cells: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
    """The map of cells at offset 0."""
    b, h, w, c = cells.shape
    pixels = cells.reshape(b, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return pixels.reshape(b, 2 * h, 2 * w, c // 4)


def exists(height: int, width: int, channels: int) -> Bool[Array, "h w c"]:
    """Which entries of so many cells at offset 1 belong to pixels of the map."""
    row, column, channel = (
        jax.lax.broadcasted_iota(jnp.int32, (height, width, channels), axis) for axis in range(3)
    )
    pixel = channel // (channels // 4)
    row, column = 2 * row + pixel // 2, 2 * column + pixel % 2
    return (row > 0) & (row < 2 * height - 1) & (column > 0) & (column < 2 * width - 1)


def spread(x: Float[Array, "b h w c"], kernel: Float[Array, "k k c d"]) -> Float[Array, "b H W e"]:
    """A convolution with an odd kernel, as wide as the map: cells at offset 1.

    Pixels that do not exist are not zero yet: `InstanceNorm` sees to that.
    """
    return spread_beside(x, None, kernel)


def spread_beside(
    x: Float[Array, "b h w c"],
    constants: Float[Array, "b n"] | None,
    kernel: Float[Array, "k k m d"],
) -> Float[Array, "b H W e"]:
    """`spread` of a map with planes of one value each beside its own channels.

    Their cells lie behind those of the map: between them, they would be in the gradient's way.
    """
    packed, channels = pack(x), [x.shape[-1]]
    if constants is not None:
        planes = jnp.tile(constants, 4)[:, None, None]
        planes = jnp.broadcast_to(planes, (*packed.shape[:3], planes.shape[-1]))
        packed = jnp.concatenate([packed, planes.astype(x.dtype)], -1)
        channels.append(constants.shape[-1])
    return _convolve(packed, kernel, before=0, after=1, channels=tuple(channels))


def gather(
    cells: Float[Array, "b h w c"], kernel: Float[Array, "k k d e"], offset: int
) -> Float[Array, "b H W e"]:
    """A convolution of cells with an odd kernel, as wide as the map: a map again, float32."""
    return unpack(_convolve(cells, kernel, before=offset, after=0))


def halve(
    cells: Float[Array, "b h w c"], kernel: Float[Array, "4 4 d e"]
) -> Float[Array, "b H W e"]:
    """A convolution with kernel 4, stride 2, padding 1 of cells at offset 1."""
    c, d = kernel.shape[2:]
    taps = kernel.reshape(2, 2, 2, 2, c, d).transpose(0, 2, 1, 3, 4, 5).reshape(2, 2, 4 * c, d)
    return _conv(cells, taps, ((0, 0), (0, 0)))


def double(x: Float[Array, "b h w d"], kernel: Float[Array, "4 4 c d"]) -> Float[Array, "b H W e"]:
    """The transposed convolution that belongs to `halve`: cells at offset 1.

    Pixels that do not exist are not zero yet.
    """
    c, d = kernel.shape[2:]
    taps = kernel[::-1, ::-1].reshape(2, 2, 2, 2, c, d)[:, ::-1, :, ::-1]
    taps = taps.transpose(0, 2, 5, 1, 3, 4).reshape(2, 2, d, 4 * c)  # pixels out go last
    return _conv(x, taps, ((1, 1), (1, 1)))


def _convolve(
    cells: Array, kernel: Array, before: int, after: int, channels: tuple[int, ...] = ()
) -> Array:
    """From cells at one offset to cells at another; `channels` are those of maps that lie side by
    side in the cells, if not one.

    Where a side has few channels, columns of the kernel become channels of that side, so that the
    matrices are full: of the input by shifted copies, of the output by a shifted sum.
    """
    size, c, d = kernel.shape[0], *kernel.shape[2:]
    first, chosen = _taps(size, before - after)
    count = len(chosen)
    shaped = jnp.asarray(chosen, kernel.dtype)
    ends = np.cumsum(channels)[:-1].tolist()
    parts = [_cell_taps(part, shaped) for part in jnp.split(kernel, ends, 2)]
    taps = jnp.concatenate(parts, 2) if ends else parts[0]
    height, width = (side - before + after for side in cells.shape[1:3])
    rows = (-first, height + count - 1 + first - cells.shape[1])
    columns = (-first, width + count - 1 + first - cells.shape[2])
    if 4 * c < LANES:
        whole = count * count * 4 * c <= LANES  # rows too: the convolution is a product
        around = ((0, 0), rows if whole else (0, 0), columns, (0, 0))
        padded, tall = jnp.pad(cells, around), height if whole else cells.shape[1]
        joined = jnp.concatenate(
            [
                padded[:, i : i + tall, j : j + width]
                for i in range(count if whole else 1)
                for j in range(count)
            ],
            -1,
        )
        if whole:
            return joined @ taps.reshape(-1, 4 * d)
        return _conv(joined, taps.reshape(count, 1, count * 4 * c, 4 * d), (rows, (0, 0)))
    if 4 * d < LANES and count > 3:
        apart = taps.transpose(0, 2, 1, 3).reshape(count, 1, 4 * c, count * 4 * d)
        found = _conv(cells, apart, (rows, columns), jnp.float32)
        return sum(
            (found[:, :, j : j + width, j * 4 * d : (j + 1) * 4 * d] for j in range(1, count)),
            found[:, :, :width, : 4 * d],
        )
    return _conv(cells, taps, (rows, columns), jnp.float32 if 4 * d < LANES else None)


def _cell_taps(kernel: Array, chosen: Array) -> Array:
    """The kernel [k k c d] of maps as that of cells: [k2 k2 4c 4d]."""
    exact = jax.lax.Precision.HIGHEST  # each weight is copied, or not there
    taps = jnp.einsum("urqt,vswz,tzcd->uvrscqwd", chosen, chosen, kernel, precision=exact)
    count, (c, d) = len(chosen), kernel.shape[2:]
    return taps.reshape(count, count, 4 * c, 4 * d)


def _taps(size: int, shift: int) -> tuple[int, np.ndarray]:
    """The first cell that a cell's convolution touches, relative to it, and which weight meets
    which pixels: [cell, pixel in, pixel out, weight] of one axis.
    """
    at = np.arange(2)[:, None] + np.arange(size) - (size - 1) // 2 + shift  # pixel out, weight
    first = at.min() // 2
    chosen = np.zeros((at.max() // 2 - first + 1, 2, 2, size))
    for pixel in range(2):
        for weight in range(size):
            found = at[pixel, weight]
            chosen[found // 2 - first, found % 2, pixel, weight] = 1
    return int(first), chosen


def _conv(
    x: Array, kernel: Array, padding: tuple[tuple[int, int], ...], dtype: Any = None
) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=AXES, preferred_element_type=dtype
    )
