"""Depthwise convolutions on a CPU, as sums of shifted maps.

XLA runs the same convolution, written as a grouped one, some fifty times slower there.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k 1 c"],
    stride: int,
    padding: tuple[int, int],
) -> Float[Array, "b h2 w2 c"]:
    """`operations.depthwise_conv`.

    The gradient of x is such a sum as well. Without this rule it would be one padded array for
    each shift.
    """
    return _shifted_sum(jnp.pad(x, ((0, 0), padding, padding, (0, 0))), kernel, stride)


def _forward(
    x: Array, kernel: Array, stride: int, padding: tuple[int, int]
) -> tuple[Array, tuple[Array, Array]]:
    return conv(x, kernel, stride, padding), (x, kernel)


def _backward(
    stride: int, padding: tuple[int, int], inputs: tuple[Array, Array], y: Array
) -> tuple[Array, Array]:
    x, kernel = inputs
    size, before = len(kernel), len(kernel) - 1 - padding[0]
    dilation = [
        (before, side + size - 1 - before - (stride * (out - 1) + 1), stride - 1)
        for side, out in zip(x.shape[1:3], y.shape[1:3], strict=True)
    ]
    dilated = jax.lax.pad(y, jnp.zeros((), y.dtype), ((0, 0, 0), *dilation, (0, 0, 0)))
    padded = jnp.pad(x, ((0, 0), padding, padding, (0, 0)))
    kernel_gradient = jax.vjp(lambda k: _shifted_sum(padded, k, stride), kernel)[1](y)[0]
    return _shifted_sum(dilated, kernel[::-1, ::-1], 1), kernel_gradient


conv.defvjp(_forward, _backward)


def _shifted_sum(padded: Array, kernel: Array, stride: int) -> Array:
    """The padded array times each entry of the kernel [k k 1 c], shifted, every stride-th pixel."""
    size = len(kernel)
    last_row, last_column = (side - size + 1 for side in padded.shape[1:3])
    total = jnp.zeros((), padded.dtype)
    for i in range(size):
        for j in range(size):
            part = padded[:, i : i + last_row : stride, j : j + last_column : stride]
            total += part * kernel[i, j, 0]
    return total
