"""Square convolutions in the form that XLA runs fastest on a CPU. The sums are the usual ones.

Measured on one core with AVX-512, ms:

    3x3, 1024 → 1024, 4x4: input gradient    as a convolution 78     as a product 5
    3x3, 128 → 128 channels, 16x16, batch 8                 5.6      Winograd   3.2
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.cpu import winograd

AXES = ("NHWC", "HWIO", "NHWC")
SMALL = 256  # output pixels of a batch up to which a convolution is cheaper as one matrix product
WIDE = 32  # channels in and out from which on Winograd's form of a 3x3 convolution pays


def conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k c d"],
    stride: int,
    padding: tuple[int, int],
) -> Float[Array, "b h2 w2 d"]:
    """`operations.conv` in the cheapest of its forms."""
    size, sides = kernel.shape[0], x.shape[1:3]
    rows, columns = ((side + sum(padding) - size) // stride + 1 for side in sides)
    if x.shape[0] * rows * columns <= SMALL:
        return _product(x, kernel, stride, padding)
    is_same = stride == 1 and size == 3 and padding == (1, 1)
    if is_same and x.dtype == jnp.float32 and min(kernel.shape[2:]) >= WIDE:
        return _winograd(x, kernel)
    return _plain(x, kernel, stride, padding)


def _plain(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), (padding, padding), dimension_numbers=AXES
    )


def _product(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """All patches times the kernel as a matrix.

    Its gradient is a product with the same matrix. That of a convolution first reverses the kernel
    in memory, which takes longer than small maps take to compute.
    """
    size, channels, features = kernel.shape[0], *kernel.shape[2:]
    if any(padding):
        x = jnp.pad(x, ((0, 0), padding, padding, (0, 0)))
    last_row, last_column = (side - size + 1 for side in x.shape[1:3])
    patches = [
        x[:, i : i + last_row : stride, j : j + last_column : stride]
        for i in range(size)
        for j in range(size)
    ]
    joined = jnp.concatenate(patches, -1) if size > 1 else patches[0]
    return joined @ kernel.reshape(size * size * channels, features)


@jax.custom_vjp
def _winograd(x: Array, kernel: Array) -> Array:
    """The gradient of x is a convolution between as many channels, so by Winograd as well."""
    return winograd.conv_3x3(x, kernel)


def _winograd_gradients(inputs: tuple[Array, Array], y: Array) -> tuple[Array, Array]:
    x, kernel = inputs
    x_gradient = winograd.conv_3x3(y, kernel[::-1, ::-1].swapaxes(2, 3))
    return x_gradient, jax.vjp(lambda k: _plain(x, k, 1, (1, 1)), kernel)[1](y)[0]


_winograd.defvjp(lambda x, kernel: (winograd.conv_3x3(x, kernel), (x, kernel)), _winograd_gradients)
