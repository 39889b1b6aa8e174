"""Layers in the layouts of a TPU, with the parameters of those in `dfd_jax.models.layers`."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models import layers
from dfd_jax.models.tpu import space_to_depth


class Kernel(nn.Module):
    """The kernel of a convolution alone, for a form that is computed outside of the layer."""

    shape: tuple[int, ...]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self) -> Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), self.shape)
        return kernel.astype(self.dtype)


class BlockInstanceNorm(nn.Module):
    """`layers.InstanceNorm` of blocks at an `offset` (space_to_depth.py).

    Entries beyond the border do not count and come out as zeros.
    """

    offset: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        (_, h, w, entries), offset = x.shape, self.offset
        channels = entries // 4
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        is_on_map = space_to_depth.is_on_map(h, w, entries) if offset else None
        count = 4 * (h - offset) * (w - offset)

        def on_map(values: Array) -> Array:
            return values if is_on_map is None else jnp.where(is_on_map, values, 0.0)

        def mean_of(values: Array) -> Array:
            total = on_map(values).sum((1, 2)).reshape(-1, 1, 1, 4, channels).sum(3)
            return jnp.tile(total / count, 4)

        wide, mean, variance = layers.moments(x, mean_of)
        factor = jax.lax.rsqrt(variance + layers.NORM_EPSILON) * jnp.tile(scale, 4)
        return on_map((wide - mean) * factor + jnp.tile(bias, 4)).astype(self.dtype)


class GroupBatchNorm(nn.Module):
    """`layers.BatchNorm` at inference, of `pixels` side by side (spatial_major.conv_to_groups)."""

    pixels: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "_ _ _ n"]) -> Float[Array, "_ _ _ n"]:
        shape = (x.shape[-1] // self.pixels,)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        variance = self.variable("batch_stats", "var", jnp.ones, shape)
        stored = (jnp.tile(v, self.pixels) for v in (mean.value, variance.value, scale, bias))
        return layers.normalise(x, *stored, layers.NORM_EPSILON, self.dtype)
