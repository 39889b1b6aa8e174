"""The layers that networks are made of, equal to PyTorch's. See operations.py for how they run."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models import operations

NORM_EPSILON = 1e-5  # PyTorch's default for batch and instance norm; Flax's differ
BATCH_NORM_MOMENTUM = 0.1  # in PyTorch's sense: the share of the new batch


def resize_bilinear(images: Float[Array, "b h w c"], size: int) -> Float[Array, "b s s c"]:
    """Bilinear resize to a square, antialiased when shrinking (as Pillow and torchvision do)."""
    b, h, w, c = images.shape
    if (h, w) == (size, size):
        return images
    return jax.image.resize(images, (b, size, size, c), "bilinear", antialias=True)


def padded_apply(
    apply: Callable[[Array], Array], images: Float[Array, "b h w c"], stride: int
) -> Float[Array, "b h w c"]:
    """`apply` on images reflected out to a multiple of `stride`, cropped back to their own size."""
    h, w = images.shape[1:3]
    rows, columns = -h % stride, -w % stride
    if not rows and not columns:
        return apply(images)
    padding = ((0, 0), (0, rows), (0, columns), (0, 0))
    mode = "reflect" if rows < h and columns < w else "edge"
    return apply(jnp.pad(images, padding, mode=mode))[:, :h, :w]


class Conv(nn.Module):
    """PyTorch's Conv2d with a square kernel; `padding` zeros (before, after) rows and columns."""

    features: int
    size: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    use_bias: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 features"]:
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, shape[-1:]) if self.use_bias else None
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        y = operations.conv(x, kernel, self.stride, self.padding)
        return y if bias is None else y + bias.astype(self.dtype)


class ConvTranspose(nn.Module):
    """PyTorch's ConvTranspose2d with kernel 4, stride 2, padding 1, no bias: twice the sides."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W features"]:
        shape = (4, 4, self.features, x.shape[-1])
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        return operations.conv_transpose(x.astype(self.dtype), kernel.astype(self.dtype))


class DepthwiseConv(nn.Module):
    """A convolution of each channel with its own square kernel, no bias.

    `padding` zeros (before, after) rows and columns alike.
    """

    size: int = 3
    stride: int = 1
    padding: tuple[int, int] = (1, 1)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        shape = (self.size, self.size, 1, x.shape[-1])
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        return operations.depthwise_conv(x, kernel, self.stride, self.padding)


class InstanceNorm(nn.Module):
    """PyTorch's InstanceNorm2d(affine=True) on the statistics of each image itself.

    Biased variance, epsilon 1e-5, statistics in float32. Running statistics of a checkpoint are
    ignored: StarGAN and GANimation never switch to evaluation mode, not even to test.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return _normalised_by_image(x, scale, bias, self.dtype)


@functools.partial(jax.jit, static_argnums=3)  # traced once for all layers of one shape
def _normalised_by_image(x: Array, scale: Array, bias: Array, dtype: Any) -> Array:
    def mean_of(values: Array) -> Array:
        return values.mean((1, 2), keepdims=True)

    wide, mean, variance = moments(x, mean_of)
    return ((wide - mean) * (jax.lax.rsqrt(variance + NORM_EPSILON) * scale) + bias).astype(dtype)


def moments(x: Array, mean_of: Callable[[Array], Array]) -> tuple[Array, Array, Array]:
    """x in float32 or wider, its mean and its biased variance, by this function for a mean."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = mean_of(wide)
    if x.dtype == jnp.bfloat16:  # both in one pass: what that loses, rounding x has lost before
        return wide, mean, jax.nn.relu(mean_of(jnp.square(wide)) - jnp.square(mean))
    return wide, mean, mean_of(jnp.square(wide - mean))


class BatchNorm(nn.Module):
    """PyTorch's BatchNorm2d: epsilon 1e-5, momentum 0.1, statistics in float32.

    `train=False` uses the stored statistics. `train=True` uses those of the batch and moves the
    stored ones (collection `batch_stats`) by `momentum` of the way, with the unbiased variance.
    """

    epsilon: float = NORM_EPSILON
    momentum: float = BATCH_NORM_MOMENTUM
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "_ _ _ c"], train: bool) -> Float[Array, "_ _ _ c"]:
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        variance = self.variable("batch_stats", "var", jnp.ones, shape)
        if not train:
            stored = mean.value, variance.value, scale, bias
            return normalise(x, *stored, self.epsilon, self.dtype)
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        used_mean = wide.mean((0, 1, 2))
        used_variance = jnp.square(wide - used_mean).mean((0, 1, 2))
        if not self.is_initializing():
            count = x.size // x.shape[-1]
            unbiased = used_variance * (count / max(count - 1, 1))
            mean.value += self.momentum * (used_mean - mean.value)
            variance.value += self.momentum * (unbiased - variance.value)
        return normalise(x, used_mean, used_variance, scale, bias, self.epsilon, self.dtype)


@functools.partial(jax.jit, static_argnums=(5, 6))  # traced once for all layers of one shape
def normalise(
    x: Array, mean: Array, variance: Array, scale: Array, bias: Array, epsilon: float, dtype: Any
) -> Array:
    """(x - mean) / deviation * scale + bias, in float32 or wider, then as `dtype`."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    normed = (wide - mean) * (jax.lax.rsqrt(variance + epsilon) * scale) + bias
    return normed.astype(dtype)
