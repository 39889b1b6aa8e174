"""Convolutions of a map with planes of one value each, on a CPU: the planes are never written out.

What they add differs from pixel to pixel only by how much of the kernel lies beyond the border.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

AXES = ("NHWC", "HWIO", "NHWC")
SLOW = (3, 32)  # channels in and out that XLA takes three times as long for as for (4, 32)


def conv(
    x: Float[Array, "b h w c"], values: Float[Array, "b n"], kernel: Float[Array, "k k c+n d"]
) -> Float[Array, "b h w d"]:
    """`operations.conv_with_planes`: the convolution of the map plus what the planes add."""
    of_map, of_planes = jnp.split(kernel, [x.shape[-1]], axis=2)
    return _conv_map(x, of_map) + conv_planes(values, of_planes, *x.shape[1:3])


@jax.custom_vjp
def _conv_map(x: Array, kernel: Array) -> Array:
    """The gradient of x is such a convolution as well."""
    return _centred(x, kernel)


def _backward(inputs: tuple[Array, Array], y: Array) -> tuple[Array, Array]:
    x, kernel = inputs
    kernel_gradient = jax.vjp(lambda kernel: _centred(x, kernel), kernel)[1](y)[0]
    return _centred(y, kernel[::-1, ::-1].swapaxes(2, 3)), kernel_gradient


_conv_map.defvjp(lambda x, kernel: (_centred(x, kernel), (x, kernel)), _backward)


def _centred(x: Array, kernel: Array) -> Array:
    if kernel.shape[2:] == SLOW:  # one more channel, of zeros
        x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1)))
        kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, 1), (0, 0)))
    around = (len(kernel) // 2, len(kernel) // 2)
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), (around, around), dimension_numbers=AXES)


def conv_planes(
    values: Float[Array, "b c"], kernel: Float[Array, "k k c d"], height: int, width: int
) -> Float[Array, "b h w d"]:
    """A convolution of planes of these sides with one value each, as wide as they are."""
    size, around = len(kernel), len(kernel) // 2
    least_sides = min(size, height), min(size, width)
    least = jnp.broadcast_to(values[:, None, None], (len(values), *least_sides, values.shape[-1]))
    y = _centred(least, kernel)  # the border, and one pixel that stands for all others
    for axis, side in ((1, height), (2, width)):
        if side > size:
            before, middle, after = jnp.split(y, [around, around + 1], axis)
            middle = jnp.repeat(middle, side - size + 1, axis)
            y = jnp.concatenate([before, middle, after], axis)
    return y
