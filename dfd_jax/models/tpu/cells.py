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

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

AXES = ("NHWC", "HWIO", "NHWC")
LANES = 128  # rows and columns of a matrix unit


def pack(x: Float[Array, "b h w c"], times: int = 1) -> Float[Array, "b H W d"]:
    """Cells at offset 0 of a map with even sides; of these cells again, so many `times` in all."""
    (b, h, w, c), bits = x.shape, (2,) * times
    h, w = h >> times, w >> times
    pairs = [axis for bit in range(times) for axis in (2 + bit, 3 + times + bit)]
    cells = x.reshape(b, h, *bits, w, *bits, c).transpose(0, 1, 2 + times, *pairs, 3 + 2 * times)
    return cells.reshape(b, h, w, 4**times * c)


def unpack(cells: Float[Array, "b h w c"], times: int = 1) -> Float[Array, "b H W d"]:
    """The map that was packed so many `times`.

    After a 3x3 convolution this is a transposed convolution (sub-pixel convolution, Shi et al.
    2016) whose weight gradient is fast on every backend.
    """
    b, h, w, c = cells.shape
    rows, columns = range(3, 3 + 2 * times, 2), range(4, 4 + 2 * times, 2)
    pixels = cells.reshape(b, h, w, *(2, 2) * times, c >> 2 * times)
    pixels = pixels.transpose(0, 1, *rows, 2, *columns, 3 + 2 * times)
    return pixels.reshape(b, h << times, w << times, c >> 2 * times)


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
    """`spread` of a map with planes of one value each beside its own channels."""
    x = jax.lax.optimization_barrier(x)  # its gradient is unpacked as it is, not as float32
    return _convolve(pack(x), kernel, before=0, after=1, constants=constants)


def gather(
    cells: Float[Array, "b h w c"], kernel: Float[Array, "k k d e"], offset: int
) -> Float[Array, "b h2 w2 f"]:
    """A convolution of cells with an odd kernel, as wide as the map: cells at offset 0, float32."""
    return _convolve(cells, kernel, before=offset, after=0)


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
    cells: Array, kernel: Array, before: int, after: int, constants: Array | None = None
) -> Array:
    """From cells at one offset to cells at another. Of the kernel's channels the last ones may see
    planes of one value each.

    Where a side has few channels, columns of the kernel become channels of that side, so that the
    matrices are full: of the input by shifted copies, of the output by a shifted sum.
    """
    size, c, d = kernel.shape[0], cells.shape[-1] // 4, kernel.shape[-1]
    first, chosen = _taps(size, before - after)
    count, shaped = len(chosen), jnp.asarray(chosen, kernel.dtype)
    taps = _cell_taps(kernel[:, :, :c], shaped)
    height, width = (side - before + after for side in cells.shape[1:3])
    rows = (-first, height + count - 1 + first - cells.shape[1])
    columns = (-first, width + count - 1 + first - cells.shape[2])
    if constants is None and count * count * 4 * c <= 2 * LANES:  # the convolution is a product
        padded = jnp.pad(cells, ((0, 0), rows, columns, (0, 0)))
        shifts = itertools.product(range(count), range(count))
        joined = [padded[:, i : i + height, j : j + width] for i, j in shifts]
        return jnp.concatenate(joined, -1) @ taps.reshape(-1, 4 * d)
    if constants is not None or 4 * c < LANES:
        if constants is not None:  # of a cell all pixels are on the map, or none
            planes = _cell_taps(kernel[:, :, c:], shaped)
            planes = planes.reshape(count, count, 4, -1, 4 * d).sum(2)
            taps = jnp.concatenate([taps, planes], 2)
        joined = _side_by_side(cells, constants, count, columns)
        return _conv(joined, taps.reshape(count, 1, -1, 4 * d), (rows, (0, 0)))
    if 4 * d < LANES and count > 3:
        apart = taps.transpose(0, 2, 1, 3).reshape(count, 1, 4 * c, count * 4 * d)
        found = _conv(cells, apart, (rows, columns), jnp.float32)
        return sum(
            (found[:, :, j : j + width, j * 4 * d : (j + 1) * 4 * d] for j in range(1, count)),
            found[:, :, :width, : 4 * d],
        )
    return _conv(cells, taps, (rows, columns), jnp.float32 if 4 * d < LANES else None)


def _side_by_side(
    cells: Array, constants: Array | None, count: int, columns: tuple[int, int]
) -> Array:
    """So many neighbouring columns as channels of one, behind each the planes' values there.

    It is a convolution that copies, which by its compiler's estimate takes a TPU a third of what
    moving parts of a row of channels does.
    """
    channels, room = cells.shape[-1], 0 if constants is None else constants.shape[-1]
    copies = jnp.eye(count * channels, dtype=cells.dtype).reshape(count, channels, count, channels)
    copies = jnp.pad(copies, ((0, 0), (0, 0), (0, 0), (0, room)))
    joined = _conv(cells, copies.reshape(1, count, channels, -1), ((0, 0), columns))
    if constants is None:
        return joined
    width = joined.shape[2]
    at = np.arange(width)[:, None] + np.arange(count)
    is_inside = (at >= columns[0]) & (at < columns[0] + cells.shape[2])
    values = jnp.pad(constants, ((0, 0), (channels, 0))).astype(cells.dtype)
    planes = jnp.where(is_inside[:, :, None], values[:, None, None], 0)
    return joined + planes.reshape(len(cells), 1, width, -1)


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
