"""The few layers that must match PyTorch exactly, written so that XLA runs them fast everywhere."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.tpu import cells

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


class InstanceNorm(nn.Module):
    """PyTorch's InstanceNorm2d(affine=True) on the statistics of each image itself.

    Biased variance, epsilon 1e-5, statistics in float32. Running statistics of a checkpoint are
    ignored: StarGAN and GANimation never switch to evaluation mode, not even to test.

    With an `offset`, x are cells (cells.py); pixels outside of the map count for nothing and come
    out as zeros.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], offset: int | None = None
    ) -> Float[Array, "b h w c"]:
        channels = x.shape[-1] if offset is None else x.shape[-1] // 4
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        return _normalised_by_image(x, scale, bias, offset, self.dtype)


@functools.partial(jax.jit, static_argnums=(3, 4))  # traced once for all layers of one shape
def _normalised_by_image(
    x: Array, scale: Array, bias: Array, offset: int | None, dtype: Any
) -> Array:
    (_, h, w, c), phases = x.shape, 1 if offset is None else 4
    exists = cells.exists(h, w, c) if offset else None
    count = h * w if offset is None else 4 * (h - offset) * (w - offset)

    def mean_of(values: Array) -> Array:
        kept = values if exists is None else jnp.where(exists, values, 0.0)
        if phases == 1:
            return kept.mean((1, 2), keepdims=True)
        total = kept.sum((1, 2)).reshape(-1, 1, 1, phases, c // phases).sum(3)
        return jnp.tile(total / count, phases)

    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = mean_of(wide)
    if x.dtype == jnp.bfloat16:  # both moments in one pass: what that loses, rounding x has lost
        variance = jax.nn.relu(mean_of(jnp.square(wide)) - jnp.square(mean))
    else:
        variance = mean_of(jnp.square(wide - mean))
    scaled = jax.lax.rsqrt(variance + NORM_EPSILON) * jnp.tile(scale, phases)
    normed = (wide - mean) * scaled + jnp.tile(bias, phases)
    return (normed if exists is None else jnp.where(exists, normed, 0.0)).astype(dtype)


class BatchNorm(nn.Module):
    """PyTorch's BatchNorm2d: epsilon 1e-5, momentum 0.1, statistics in float32.

    `train=False` uses the stored statistics. `train=True` uses those of the batch and moves the
    stored ones (collection `batch_stats`) by `momentum` of the way, with the unbiased variance.

    x may have the channels of so many `pixels` side by side, if not in training.
    """

    epsilon: float = NORM_EPSILON
    momentum: float = BATCH_NORM_MOMENTUM
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "_ _ _ c"], train: bool, pixels: int = 1
    ) -> Float[Array, "_ _ _ c"]:
        shape = (x.shape[-1] // pixels,)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        variance = self.variable("batch_stats", "var", jnp.ones, shape)
        if not train:
            stored = mean.value, variance.value, scale, bias
            if pixels > 1:
                stored = (jnp.tile(each, pixels) for each in stored)
            return _normalised(x, *stored, self.epsilon, self.dtype)
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        used_mean = wide.mean((0, 1, 2))
        used_variance = jnp.square(wide - used_mean).mean((0, 1, 2))
        if not self.is_initializing():
            count = x.size // x.shape[-1]
            unbiased = used_variance * (count / max(count - 1, 1))
            mean.value += self.momentum * (used_mean - mean.value)
            variance.value += self.momentum * (unbiased - variance.value)
        return _normalised(x, used_mean, used_variance, scale, bias, self.epsilon, self.dtype)


@functools.partial(jax.jit, static_argnums=(5, 6))  # traced once for all layers of one shape
def _normalised(
    x: Array, mean: Array, variance: Array, scale: Array, bias: Array, epsilon: float, dtype: Any
) -> Array:
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    normed = (wide - mean) * (jax.lax.rsqrt(variance + epsilon) * scale) + bias
    return normed.astype(dtype)


class DepthwiseConv(nn.Module):
    """A convolution of each channel with its own square kernel, no bias.

    `padding` zeros go (before, after) rows and columns alike. Written as shifted multiply-adds: the
    same sums as a grouped convolution, which XLA runs some fifty times slower on CPU. A TPU does
    the grouped one on its matrix units, by its compiler's estimate in half the cycles.
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
        return _depthwise(x, kernel, self.stride, self.padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _depthwise(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """The gradient is such a sum as well; left to itself it would be one padded array per shift."""
    return _shifted_sum(jnp.pad(x, ((0, 0), padding, padding, (0, 0))), kernel, stride)


def _depthwise_forward(
    x: Array, kernel: Array, stride: int, padding: tuple[int, int]
) -> tuple[Array, tuple[Array, Array]]:
    return _depthwise(x, kernel, stride, padding), (x, kernel)


def _depthwise_backward(
    stride: int, padding: tuple[int, int], kept: tuple[Array, Array], y: Array
) -> tuple[Array, Array]:
    x, kernel = kept
    size, before = len(kernel), len(kernel) - 1 - padding[0]
    spread = [
        (before, side + size - 1 - before - (stride * (out - 1) + 1), stride - 1)
        for side, out in zip(x.shape[1:3], y.shape[1:3], strict=True)
    ]
    spaced = jax.lax.pad(y, jnp.zeros((), y.dtype), ((0, 0, 0), *spread, (0, 0, 0)))
    padded = jnp.pad(x, ((0, 0), padding, padding, (0, 0)))
    kernel_gradient = jax.vjp(lambda k: _shifted_sum(padded, k, stride), kernel)[1](y)[0]
    return _shifted_sum(spaced, kernel[::-1, ::-1], 1), kernel_gradient


_depthwise.defvjp(_depthwise_forward, _depthwise_backward)


@functools.partial(jax.jit, static_argnums=2)  # traced once for all layers of one shape
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


def max_pool_3x3(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Max-pool 3×3 with stride 2, padded by one on every side with minus infinity.

    Columns first, then rows, each the largest of three strided slices: on CPU many times faster
    than XLA's reduce-window. Of equal values the first one gets the gradient, as in PyTorch.
    """
    h, w = x.shape[1:3]
    padding = ((0, 0), (1, 1), (1, 1), (0, 0))
    padded = jnp.pad(x, padding, constant_values=-jnp.inf)
    columns = _first_maximum(*(padded[:, :, j : j + w : 2] for j in range(3)))
    return _first_maximum(*(columns[:, i : i + h : 2] for i in range(3)))


def _first_maximum(first: Array, *others: Array) -> Array:
    """Elementwise maximum; ties keep the earlier array, NaN stays NaN."""
    for other in others:
        first = jnp.where((first >= other) | jnp.isnan(first), first, other)
    return first
