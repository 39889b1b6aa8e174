"""The few layers that must match PyTorch exactly, written so that XLA runs them fast everywhere."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

NORM_EPSILON = 1e-5  # PyTorch's default for batch and instance norm; Flax's differ


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
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        wide = x.astype(jnp.float32)
        mean = wide.mean((1, 2), keepdims=True)
        variance = jnp.square(wide - mean).mean((1, 2), keepdims=True)
        normed = (wide - mean) * (jax.lax.rsqrt(variance + NORM_EPSILON) * scale) + bias
        return normed.astype(self.dtype)


def upsample_nearest(x: Float[Array, "b h w c"]) -> Float[Array, "b H W c"]:
    """Twice the height and width, every pixel repeated."""
    return x.repeat(2, axis=1).repeat(2, axis=2)
