"""Max-pooling for a TPU, of maps in the order of rows.py.

A bfloat16 in the upper half of an int32, in order of size, leaves room for where it comes from. The
largest such number of a window is its maximum and the place that gets the gradient at once: of
equal values the first, as it has the larger number below. By the estimate of the compiler for v5e
that takes little more than half of what comparisons kept for the way back take.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, BFloat16, Float, Int32

_PLACE, _LEAST = 0xFFFF, -(2**31)  # the bits that say where, and the least number
_PHASES = tuple(itertools.product(range(2), range(2)))  # of pixels: odd row?, odd column?


def max_pool_3x3(x: Float[Array, "h w b c"]) -> Float[Array, "h2 w2 b c"]:
    """`layers.max_pool_3x3` in this order."""
    if x.dtype == jnp.bfloat16:
        return _max_pool_of_halves(x, *x.shape[:2])
    return _largest_of_windows(x, -jnp.inf, ((1, 1), (1, 1)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _max_pool_of_halves(x: BFloat16[Array, "h w b c"], height: int, width: int) -> Array:
    return _pool_forward(x, height, width)[0]


def _pool_forward(x: Array, height: int, width: int) -> tuple[Array, Array]:
    """The maxima, and for the way back those numbers, with a window more at both ends."""
    numbers = _in_order(_bits(x)) | _places(x.shape)
    rows, columns = -(-height // 2), -(-width // 2)
    around = (1, 2 * rows + 2 - height), (1, 2 * columns + 2 - width)
    found = _largest_of_windows(numbers, _LEAST, around)
    return _halves(_in_order(found[:rows, :columns] & ~_PLACE), x.dtype), found


def _pool_backward(height: int, width: int, found: Array, gradient: Array) -> tuple[Array]:
    """A pixel gets the gradients of the windows that name it: pixels in even rows and columns are
    in one window, others in two or four.
    """
    rows, columns = gradient.shape[:2]
    both = _bits(gradient) | (found[:rows, :columns] & _PLACE)
    both = jnp.pad(both, ((0, 1), (0, 1), (0, 0), (0, 0)))
    parts = []
    for row, column in _PHASES:
        total = jnp.zeros((), jnp.float32)
        for i, j in itertools.product(range(row + 1), range(column + 1)):
            seen = both[i : i + rows, j : j + columns]
            is_named = seen & _PLACE == _places(seen.shape, 2, row, column)
            total += jnp.where(is_named, _halves(seen & ~_PLACE, jnp.float32), 0)
        parts.append(total.astype(gradient.dtype))
    parts = jax.lax.optimization_barrier(parts)  # each is made once, not where all are joined
    zero, after = jnp.zeros((), gradient.dtype), (height - 2 * rows + 1, width - 2 * columns + 1)
    spread = [
        jax.lax.pad(
            part,
            zero,
            ((row, after[0] - row, 1), (column, after[1] - column, 1), (0, 0, 0), (0, 0, 0)),
        )
        for part, (row, column) in zip(parts, _PHASES, strict=True)
    ]
    return (sum(spread[1:], spread[0]),)


_max_pool_of_halves.defvjp(_pool_forward, _pool_backward)


def _largest_of_windows(x: Array, least: float, around: tuple[tuple[int, int], ...]) -> Array:
    start = np.asarray(least, x.dtype)
    padding = (*around, (0, 0), (0, 0))
    return jax.lax.reduce_window(x, start, jax.lax.max, (3, 3, 1, 1), (2, 2, 1, 1), padding)


def _bits(x: Array) -> Int32[Array, "..."]:
    """bfloat16 as the upper halves of integers; both zeros are one."""
    bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.int32)
    return jnp.where(bits == _LEAST, 0, bits)


def _halves(bits: Int32[Array, "..."], dtype: Any) -> Array:
    return jax.lax.bitcast_convert_type(bits, jnp.float32).astype(dtype)


def _in_order(bits: Int32[Array, "..."]) -> Int32[Array, "..."]:
    """Integers in the order of the numbers whose bits they are, and back again."""
    return bits ^ ((bits >> 31) & 0x7FFF0000)


def _places(
    shape: tuple[int, ...], stride: int = 1, row: int = 0, column: int = 0
) -> Int32[Array, "h w b c"]:
    """Of every stride-th pixel from (row, column): smaller the further to the end it lies.

    They repeat after 256 rows and columns, where of equal values another than the first may win.
    """
    rows, columns = (
        jax.lax.broadcasted_iota(jnp.int32, shape, axis) * stride + start
        for axis, start in ((0, row), (1, column))
    )
    return _PLACE - ((rows & 255) << 8 | (columns & 255))
