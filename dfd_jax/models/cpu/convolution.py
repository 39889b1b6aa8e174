"""Square convolutions in the form that XLA runs fastest on a CPU. The sums are the usual ones.

Measured on one core with AVX-512, ms:

    1x1, 728 → 728 channels, 19x19 pixels            as a convolution 3.5     as a product 2.6
    3x3, 1024 → 1024, 4x4: input gradient                            78                     5
    4x4 with stride 2, 64 → 128, 256x256: gradient                   76       sub-pixel    33
    its transpose, 256 → 128, 64x64: forward                         49       sub-pixel    32
    3x3, 128 → 128 channels, 16x16, batch 8                         5.6        Winograd    3.2
    7x7, 3 → 32, 64x64, batch 8                                    13.2   one channel more 4.1
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.cpu import winograd

AXES = ("NHWC", "HWIO", "NHWC")
SMALL = 256  # output pixels of a batch up to which a convolution is cheaper as one matrix product
WIDE = 32  # channels in and out from which on Winograd's form of a 3x3 convolution pays
SLOW = (3, 32)  # channels in and out that XLA takes three times as long for as for (4, 32)


def conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k c d"],
    stride: int,
    padding: tuple[int, int],
) -> Float[Array, "b h2 w2 d"]:
    """`operations.conv` in the cheapest of its forms."""
    size, sides = kernel.shape[0], x.shape[1:3]
    rows, columns = ((side + sum(padding) - size) // stride + 1 for side in sides)
    if x.shape[0] * rows * columns <= SMALL or (size == 1 and not any(padding)):
        return _product(x, kernel, stride, padding)
    if (size, stride, padding) == (4, 2, (1, 1)) and not any(side % 2 for side in sides):
        return _halving(x, kernel)
    if stride == 1 and size % 2 and padding == (size // 2, size // 2):
        return same(x, kernel)
    return _plain(x, kernel, stride, padding)


def conv_transpose(
    x: Float[Array, "b h w d"], kernel: Float[Array, "4 4 c d"]
) -> Float[Array, "b H W c"]:
    """`operations.conv_transpose` as a sub-pixel convolution."""
    return _doubling(x, kernel)


def grouped_conv(
    x: Float[Array, "b h w g c"], kernel: Float[Array, "k k c _"]
) -> Float[Array, "b h w g _"]:
    """`operations.grouped_conv` as one convolution after the other."""
    groups, around = x.shape[-2], (len(kernel) // 2, len(kernel) // 2)
    kernels = jnp.split(kernel, groups, -1)
    each = [_plain(x[..., g, :], kernels[g], 1, around) for g in range(groups)]
    return jnp.stack(each, -2)


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


def _strided(x: Array, kernel: Array) -> Array:
    return _plain(x, kernel, 2, (1, 1))


def _sub_pixel(x: Array, kernel: Array) -> Array:
    """The transpose of `_strided` as a sub-pixel convolution (Shi et al. 2016), at the same cost.

    Every 2x2 window of x gives the four output pixels around its middle by four kernels of 2x2,
    which are one convolution with four times the channels.
    """
    (b, h, w, d), c = x.shape, kernel.shape[2]
    taps = kernel[::-1, ::-1].reshape(2, 2, 2, 2, c, d)  # tap and phase of rows, of columns
    taps = taps.transpose(0, 2, 5, 1, 3, 4).reshape(2, 2, d, 4 * c)
    y = _plain(x, taps, 1, (1, 1)).reshape(b, h + 1, w + 1, 2, 2, c)
    rows = jnp.stack([y[:, :-1, :, 0], y[:, 1:, :, 1]], 2)
    pixels = jnp.stack([rows[:, :, :, :-1, 0], rows[:, :, :, 1:, 1]], 4)
    return pixels.reshape(b, 2 * h, 2 * w, c)


def _kernel_gradient(x: Array, kernel: Array, y: Array, stride: int, around: int) -> Array:
    """Of the inner product of y with the convolution of x, padded by `around`."""
    return jax.vjp(lambda k: _plain(x, k, stride, (around, around)), kernel)[1](y)[0]


@jax.custom_vjp
def _halving(x: Array, kernel: Array) -> Array:
    """`_strided`, whose gradient is `_doubling`. The gradient of `_doubling` is this."""
    return _strided(x, kernel)


@jax.custom_vjp
def _doubling(x: Array, kernel: Array) -> Array:
    return _sub_pixel(x, kernel)


_halving.defvjp(
    lambda x, kernel: (_strided(x, kernel), (x, kernel)),
    lambda inputs, y: (_doubling(y, inputs[1]), _kernel_gradient(inputs[0], inputs[1], y, 2, 1)),
)
_doubling.defvjp(
    lambda x, kernel: (_sub_pixel(x, kernel), (x, kernel)),
    lambda inputs, y: (_halving(y, inputs[1]), _kernel_gradient(y, inputs[1], inputs[0], 2, 1)),
)


@jax.custom_vjp
def same(x: Float[Array, "b h w c"], kernel: Float[Array, "k k c d"]) -> Float[Array, "b h w d"]:
    """A convolution with an odd kernel, as wide as the map. The gradient of x is one as well."""
    return _same(x, kernel)


def _same(x: Array, kernel: Array) -> Array:
    (size, _, c, d), around = kernel.shape, len(kernel) // 2
    if x.dtype == jnp.float32 and size == 3 and min(c, d) >= WIDE:
        return winograd.conv_3x3(x, kernel)
    if (c, d) == SLOW:  # one more channel, of zeros
        x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1)))
        kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, 1), (0, 0)))
    return _plain(x, kernel, 1, (around, around))


def _same_gradients(inputs: tuple[Array, Array], y: Array) -> tuple[Array, Array]:
    x, kernel = inputs
    x_gradient = _same(y, kernel[::-1, ::-1].swapaxes(2, 3))
    return x_gradient, _kernel_gradient(x, kernel, y, 1, len(kernel) // 2)


same.defvjp(lambda x, kernel: (_same(x, kernel), (x, kernel)), _same_gradients)
