"""Square convolutions with the parameters of `nn.Conv`, computed in the form that XLA runs fastest.

The sums are those of the usual convolution. Measured on one core of a CPU with AVX-512, ms:

    1x1, 728 → 728 channels, 19x19 pixels            as a convolution 3.5     as a product 2.6
    3x3, 1024 → 1024, 4x4: input gradient                            78                     5
    4x4 with stride 2, 64 → 128, 256x256: gradient                   76       sub-pixel    33
    its transpose, 256 → 128, 64x64: forward                         49       sub-pixel    32
    3x3, 128 → 128 channels, 16x16, batch 8                         5.6       filtered    3.2
    7x7, 3 → 32, 64x64, batch 8                                    13.2   one channel more 4.1

A TPU wants the plain convolution: for v5e, by its compiler's estimate, the 4x4 one from 128 to 256
channels and its gradient take 2.3 cycles a pixel, in sub-pixel form 5.0, most of it for moving the
pixels together. `for_tpu` says that a network is for one (see `dfd_jax.models`). What is wasted on
maps of few channels is cells.py's matter.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

SMALL = 256  # output pixels of a batch up to which a convolution is cheaper as one matrix product
AXES = ("NHWC", "HWIO", "NHWC")
WIDE = 32  # channels in and out from which on a 3x3 convolution is worth filtering
SLOW = (3, 32)  # channels in and out that the library takes three times as long for as for (4, 32)

# Winograd's minimal filtering F(4, 3): four outputs of three taps by six products (Lavin and Gray
# 2016). Products of sums of inputs and of taps, from the points 0, 3/4, -3/4, 3/2, -3/2 and
# infinity, with which rounding is 0.7 times (at most 0.4 times) what it is with 0, 1, -1, 2, -2.
_INPUTS = np.array(
    [
        [81, 0, -180, 0, 64, 0],
        [0, -108, -144, 48, 64, 0],
        [0, 108, -144, -48, 64, 0],
        [0, -54, -36, 96, 64, 0],
        [0, 54, -36, -96, 64, 0],
        [0, 81, 0, -180, 0, 64],
    ]
)
_INPUTS = _INPUTS / 64
_TAPS = np.array(
    [
        [192, 0, 0],
        [-128, -96, -72],
        [-128, 96, -72],
        [32, 48, 72],
        [32, -48, 72],
        [0, 0, 243],
    ]
)
_TAPS = _TAPS / 243
_OUTPUTS = np.array(
    [
        [64, 64, 64, 64, 64, 0],
        [0, 48, -48, 96, -96, 0],
        [0, 36, 36, 144, 144, 0],
        [0, 27, -27, 216, -216, 64],
    ]
)
_OUTPUTS = _OUTPUTS / 64


class Conv(nn.Module):
    """PyTorch's Conv2d with a square kernel; `padding` zeros (before, after) rows and columns."""

    features: int
    size: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    use_bias: bool = False
    for_tpu: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 features"]:
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, shape[-1:]) if self.use_bias else None
        form = plain if self.for_tpu else convolve
        y = form(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, self.padding)
        return y if bias is None else y + bias.astype(self.dtype)


class ConvTranspose(nn.Module):
    """PyTorch's ConvTranspose2d with kernel 4, stride 2, padding 1, no bias: twice the sides."""

    features: int
    for_tpu: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W features"]:
        shape = (4, 4, self.features, x.shape[-1])
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape).astype(self.dtype)
        return (spaced if self.for_tpu else double)(x.astype(self.dtype), kernel)


class Kernel(nn.Module):
    """The kernel of a `Conv` or `ConvTranspose` alone, for a form of its own."""

    shape: tuple[int, ...]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self) -> Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), self.shape)
        return kernel.astype(self.dtype)


def convolve(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k c d"],
    stride: int,
    padding: tuple[int, int],
) -> Float[Array, "b h2 w2 d"]:
    """A convolution in the cheapest of its forms."""
    size, sides = kernel.shape[0], x.shape[1:3]
    rows, columns = ((side + sum(padding) - size) // stride + 1 for side in sides)
    if x.shape[0] * rows * columns <= SMALL or (size == 1 and not any(padding)):
        return _product(x, kernel, stride, padding)
    if (size, stride, padding) == (4, 2, (1, 1)) and not any(side % 2 for side in sides):
        return halve(x, kernel)
    if stride == 1 and size % 2 and padding == (size // 2, size // 2):
        return same(x, kernel)
    return plain(x, kernel, stride, padding)


def plain(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k c d"],
    stride: int,
    padding: tuple[int, int],
) -> Float[Array, "b h2 w2 d"]:
    """A convolution as the library has it."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), (padding, padding), dimension_numbers=AXES
    )


def spaced(x: Float[Array, "b h w d"], kernel: Float[Array, "4 4 c d"]) -> Float[Array, "b H W c"]:
    """`double` as a convolution of x with zeros between its pixels."""
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return jax.lax.conv_general_dilated(
        x, turned, (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2), dimension_numbers=AXES
    )


@functools.partial(jax.jit, static_argnums=(2, 3))  # traced once for all layers of one shape
def _product(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """All patches times the kernel as a matrix.

    The gradient is then a product with the same matrix, where that of a convolution first reverses
    the kernel in memory, which takes longer than small maps take to compute.
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
    return plain(x, kernel, 2, (1, 1))


def _sub_pixel(x: Array, kernel: Array) -> Array:
    """The transpose of `_strided` as a sub-pixel convolution (Shi et al. 2016), at the same cost.

    Every 2x2 window of x gives the four output pixels around its middle by four kernels of 2x2,
    which are one convolution with four times the channels.
    """
    (b, h, w, d), c = x.shape, kernel.shape[2]
    parts = kernel[::-1, ::-1].reshape(2, 2, 2, 2, c, d)  # tap and phase of rows, of columns
    parts = parts.transpose(0, 2, 5, 1, 3, 4).reshape(2, 2, d, 4 * c)
    y = jax.lax.conv_general_dilated(x, parts, (1, 1), ((1, 1), (1, 1)), dimension_numbers=AXES)
    y = y.reshape(b, h + 1, w + 1, 2, 2, c)
    rows = jnp.stack([y[:, :-1, :, 0], y[:, 1:, :, 1]], 2)
    pixels = jnp.stack([rows[:, :, :, :-1, 0], rows[:, :, :, 1:, 1]], 4)
    return pixels.reshape(b, 2 * h, 2 * w, c)


def _kernel_gradient(x: Array, kernel: Array, y: Array) -> Array:
    """Of the inner product of y with the kernel's `_strided` convolution of x."""
    return jax.vjp(lambda kernel: _strided(x, kernel), kernel)[1](y)[0]


@jax.custom_vjp
def halve(x: Float[Array, "b h w c"], kernel: Float[Array, "4 4 c d"]) -> Float[Array, "b H W d"]:
    """Convolution with kernel 4, stride 2, padding 1; the sides must be even.

    Its gradient is `double`, and the gradient of `double` is this: either is fast both ways.
    """
    return _strided(x, kernel)


@jax.custom_vjp
def double(x: Float[Array, "b h w d"], kernel: Float[Array, "4 4 c d"]) -> Float[Array, "b H W c"]:
    """The transposed convolution that belongs to `halve`."""
    return _sub_pixel(x, kernel)


halve.defvjp(
    lambda x, kernel: (_strided(x, kernel), (x, kernel)),
    lambda kept, y: (double(y, kept[1]), _kernel_gradient(kept[0], kept[1], y)),
)
double.defvjp(
    lambda x, kernel: (_sub_pixel(x, kernel), (x, kernel)),
    lambda kept, y: (halve(y, kept[1]), _kernel_gradient(y, kept[1], kept[0])),
)


@jax.custom_vjp
def same(x: Float[Array, "b h w c"], kernel: Float[Array, "k k c d"]) -> Float[Array, "b h w d"]:
    """Convolution with an odd kernel, as wide as the map. Its gradient takes the same forms.

    On a CPU 3x3 kernels between many channels are filtered: half the products, rounded a few times
    as coarsely, about 1e-5 of the output's standard deviation at most.
    """
    return _same(x, kernel)


def _same_gradients(kept: tuple[Array, Array], y: Array) -> tuple[Array, Array]:
    x, kernel = kept
    of_kernel = jax.vjp(lambda kernel: _centred(x, kernel), kernel)[1](y)[0]
    return _same(y, kernel[::-1, ::-1].swapaxes(2, 3)), of_kernel


same.defvjp(lambda x, kernel: (_same(x, kernel), (x, kernel)), _same_gradients)


@jax.jit  # traced once for all layers of one shape
def _same(x: Array, kernel: Array) -> Array:
    on_cpu, (size, _, c, d) = _centred, kernel.shape
    if x.dtype == jnp.float32 and size == 3 and min(c, d) >= WIDE:
        on_cpu = _filtered
    elif (c, d) == SLOW:
        on_cpu = _with_a_fourth
    return jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=_centred)


def _centred(x: Array, kernel: Array) -> Array:
    around = len(kernel) // 2
    return plain(x, kernel, 1, (around, around))


def _with_a_fourth(x: Array, kernel: Array) -> Array:
    """One more channel, of zeros."""
    x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1)))
    return _centred(x, jnp.pad(kernel, ((0, 0), (0, 0), (0, 1), (0, 0))))


def _filtered(x: Array, kernel: Array) -> Array:
    """Four rows at a time: each product is a convolution along the rows with a kernel of 1x3."""
    b, h, w, _ = x.shape
    count = -(-h // 4)
    padded = jnp.pad(x, ((0, 0), (1, 4 * count + 1 - h), (0, 0), (0, 0)))
    rows = [padded[:, i : i + 4 * count : 4] for i in range(6)]
    taps = _combined(_TAPS, list(kernel))
    products = [
        jax.lax.conv_general_dilated(
            found, tap[None], (1, 1), ((0, 0), (1, 1)), dimension_numbers=AXES
        )
        for found, tap in zip(_combined(_INPUTS, rows), taps, strict=True)
    ]
    joined = jnp.stack(_combined(_OUTPUTS, products), 2)
    return joined.reshape(b, 4 * count, w, -1)[:, :h]


def _combined(matrix: np.ndarray, parts: list[Array]) -> list[Array]:
    """The sums of parts that the matrix's rows say."""
    return [
        sum((float(factor) * part for factor, part in terms[1:]), float(terms[0][0]) * terms[0][1])
        for row in matrix
        for terms in [[pair for pair in zip(row, parts, strict=True) if pair[0]]]
    ]


def of_constants(
    values: Float[Array, "b c"], kernel: Float[Array, "k k c d"], height: int, width: int
) -> Float[Array, "b h w d"]:
    """`same` of planes that hold one value each: what differs from pixel to pixel is only how much
    of the kernel lies outside of the map.
    """
    size, around = len(kernel), len(kernel) // 2
    least_sides = min(size, height), min(size, width)
    least = jnp.broadcast_to(values[:, None, None], (len(values), *least_sides, values.shape[-1]))
    found = _centred(least, kernel)  # the border of the map, and one pixel that stands for the rest
    for axis, side in ((1, height), (2, width)):
        if side > size:
            before, middle, after = jnp.split(found, [around, around + 1], axis)
            middle = jnp.repeat(middle, side - size + 1, axis)
            found = jnp.concatenate([before, middle, after], axis)
    return found
