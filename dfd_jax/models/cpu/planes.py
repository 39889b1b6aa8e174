"""Convolutions of a map with planes of one value each, on a CPU: the planes are never written out.

What they add differs from pixel to pixel only by how much of the kernel lies beyond the border.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.cpu.convolution import same


def conv(
    x: Float[Array, "b h w c"], values: Float[Array, "b n"], kernel: Float[Array, "k k c+n d"]
) -> Float[Array, "b h w d"]:
    """`operations.conv_with_planes`: the convolution of the map plus what the planes add."""
    of_map, of_planes = jnp.split(kernel, [x.shape[-1]], axis=2)
    return same(x, of_map) + conv_planes(values, of_planes, *x.shape[1:3])


def conv_planes(
    values: Float[Array, "b c"], kernel: Float[Array, "k k c d"], height: int, width: int
) -> Float[Array, "b h w d"]:
    """A convolution of planes of these sides with one value each, as wide as they are."""
    size, around = len(kernel), len(kernel) // 2
    least_sides = min(size, height), min(size, width)
    least = jnp.broadcast_to(values[:, None, None], (len(values), *least_sides, values.shape[-1]))
    y = same(least, kernel)  # the border, and one pixel that stands for all others
    for axis, side in ((1, height), (2, width)):
        if side > size:
            before, middle, after = jnp.split(y, [around, around + 1], axis)
            middle = jnp.repeat(middle, side - size + 1, axis)
            y = jnp.concatenate([before, middle, after], axis)
    return y
