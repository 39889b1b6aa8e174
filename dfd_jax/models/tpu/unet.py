"""The U-Net on a TPU: maps of full resolution, or of patches, in space-to-depth."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.perturbers import unet
from dfd_jax.models.resampling import depth_to_space
from dfd_jax.models.resampling import space_to_depth as to_blocks
from dfd_jax.models.tpu import space_to_depth
from dfd_jax.models.tpu.layers import BlockInstanceNorm, Kernel


class UNet(unet.UNet):
    """`unet.UNet`; maps of the first level are blocks at offset 1, upsampled ones at offset 0."""

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        channels, first = self.channels, self.patch_levels()
        if first == self.depth:  # nothing is halved
            return super().__call__(images)
        skips = [self._enter(to_blocks(images, first), channels[first])]
        skips.append(self._first_down(f"down{first + 1}", skips[-1], channels[first + 1]))
        for level in range(first + 2, self.depth + 1):
            skips.append(self.block(f"down{level}", skips[-1], channels[level], stride=2))
        x = self.block("middle", skips.pop(), channels[-1])
        for level in reversed(range(first + 1, self.depth)):
            x = depth_to_space(self._up(f"up{level}", x, channels[level]))
            x = jnp.concatenate([x, skips.pop()], axis=-1)
        x = self._up(f"up{first}", x, channels[first])
        x = Leave(3 * self.patch**2, dtype=self.dtype, name="leave")(x, skips.pop())
        return depth_to_space(x, 1 + first).astype(jnp.float32)

    def _enter(self, x: Array, channels: int) -> Array:
        shape = (3, 3, x.shape[-1], channels)
        kernel = Kernel(shape, dtype=self.dtype, name="enter_conv")()
        x = space_to_depth.conv_to_blocks(x.astype(self.dtype), kernel)
        return jax.nn.relu(BlockInstanceNorm(1, dtype=self.dtype, name="enter_norm")(x))

    def _first_down(self, name: str, x: Array, channels: int) -> Array:
        shape = (4, 4, x.shape[-1] // 4, channels)
        kernel = Kernel(shape, dtype=self.dtype, name=f"{name}_conv")()
        return self.norm(name, space_to_depth.strided_conv(x, kernel))

    def _up(self, name: str, x: Array, channels: int) -> Array:
        x = self.conv(name, x, channels * 4, stride=1)
        return jax.nn.relu(BlockInstanceNorm(0, dtype=self.dtype, name=f"{name}_norm")(x))


class Leave(nn.Module):
    """The last convolution: of two maps side by side, blocks at offset 0 and 1, to offset 0."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, first: Float[Array, "b h w c"], second: Float[Array, "b h2 w2 d"]
    ) -> Float[Array, "b h w f"]:
        c, d = first.shape[-1] // 4, second.shape[-1] // 4
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, c + d, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        kernel = kernel.astype(self.dtype)
        y = space_to_depth.conv_from_blocks(first, kernel[:, :, :c], offset=0)
        y = y + space_to_depth.conv_from_blocks(second, kernel[:, :, c:], offset=1)
        y = y + jnp.tile(bias, 4)
        # Rearranging comes next and must not be fused with the sums of the bias's gradient.
        return jax.lax.optimization_barrier(y.astype(self.dtype))
