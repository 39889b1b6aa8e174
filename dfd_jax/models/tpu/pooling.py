"""Max pooling on a TPU, in the layout of spatial_major.py.

A bfloat16 fills the upper half of an int32; the lower half has room for its position. The largest
such integer of a window then holds both the maximum and the position that gets the gradient. Of
equal values the first wins, as its position is coded by the larger number. By the estimate of the
compiler for v5e this takes little more than half the time of comparisons kept for the gradient.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, BFloat16, Float, Int32

_PLACE, _LEAST = 0xFFFF, -(2**31)  # the bits of the position, and the least integer
_PHASES = tuple(itertools.product(range(2), range(2)))  # of pixels: odd row?, odd column?


def max_pool_3x3(x: Float[Array, "h w b c"]) -> Float[Array, "h2 w2 b c"]:
    """`operations.max_pool_3x3` in this layout."""
    if x.dtype == jnp.bfloat16:
        return _max_pool_bfloat16(x, *x.shape[:2])
    return _largest_of_windows(x, -jnp.inf, ((1, 1), (1, 1)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _max_pool_bfloat16(x: BFloat16[Array, "h w b c"], height: int, width: int) -> Array:
    return _pool_forward(x, height, width)[0]


def _pool_forward(x: Array, height: int, width: int) -> tuple[Array, Array]:
    """The maxima and, for the gradient, the integers, with one more window at both ends."""
    numbers = _in_order(_bits(x)) | _places(x.shape)
    rows, columns = -(-height // 2), -(-width // 2)
    around = (1, 2 * rows + 2 - height), (1, 2 * columns + 2 - width)
    largest = _largest_of_windows(numbers, _LEAST, around)
    return _halves(_in_order(largest[:rows, :columns] & ~_PLACE), x.dtype), largest


def _pool_backward(height: int, width: int, largest: Array, gradient: Array) -> tuple[Array]:
    """A pixel gets the gradients of the windows that hold its position. Pixels in even rows and
    columns lie in one window, others in two or four.
    """
    rows, columns = gradient.shape[:2]
    both = _bits(gradient) | (largest[:rows, :columns] & _PLACE)
    both = jnp.pad(both, ((0, 1), (0, 1), (0, 0), (0, 0)))
    parts = []
    for row, column in _PHASES:
        total = jnp.zeros((), jnp.float32)
        for i, j in itertools.product(range(row + 1), range(column + 1)):
            window = both[i : i + rows, j : j + columns]
            is_maximum = window & _PLACE == _places(window.shape, 2, row, column)
            total += jnp.where(is_maximum, _halves(window & ~_PLACE, jnp.float32), 0)
        parts.append(total.astype(gradient.dtype))
    parts = jax.lax.optimization_barrier(parts)  # each is computed once, not where all are joined
    zero, after = jnp.zeros((), gradient.dtype), (height - 2 * rows + 1, width - 2 * columns + 1)
    dilated = [
        jax.lax.pad(
            part,
            zero,
            ((row, after[0] - row, 1), (column, after[1] - column, 1), (0, 0, 0), (0, 0, 0)),
        )
        for part, (row, column) in zip(parts, _PHASES, strict=True)
    ]
    return (sum(dilated[1:], dilated[0]),)


_max_pool_bfloat16.defvjp(_pool_forward, _pool_backward)


def _largest_of_windows(x: Array, least: float, around: tuple[tuple[int, int], ...]) -> Array:
    start = np.asarray(least, x.dtype)
    padding = (*around, (0, 0), (0, 0))
    return jax.lax.reduce_window(x, start, jax.lax.max, (3, 3, 1, 1), (2, 2, 1, 1), padding)


def _bits(x: Array) -> Int32[Array, "..."]:
    """bfloat16 as the upper halves of integers; -0 becomes 0."""
    bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.int32)
    return jnp.where(bits == _LEAST, 0, bits)


def _halves(bits: Int32[Array, "..."], dtype: Any) -> Array:
    return jax.lax.bitcast_convert_type(bits, jnp.float32).astype(dtype)


def _in_order(bits: Int32[Array, "..."]) -> Int32[Array, "..."]:
    """Integers in the order of the numbers whose bits they hold; its own inverse."""
    return bits ^ ((bits >> 31) & 0x7FFF0000)


def _places(
    shape: tuple[int, ...], stride: int = 1, row: int = 0, column: int = 0
) -> Int32[Array, "h w b c"]:
    """Codes of the positions of every stride-th pixel from (row, column), in descending order.

    They repeat after 256 rows and columns: in a window across such a border another than the first
    of equal values may win.
    """
    rows, columns = (
        jax.lax.broadcasted_iota(jnp.int32, shape, axis) * stride + start
        for axis, start in ((0, row), (1, column))
    )
    return _PLACE - ((rows & 255) << 8 | (columns & 255))
