"""StarGAN's and GANimation's generators on a TPU: maps of full resolution in space-to-depth."""

import flax.linen as nn
from jaxtyping import Array, Float

from dfd_jax.models.generators import ganimation, stargan
from dfd_jax.models.resampling import depth_to_space
from dfd_jax.models.tpu import space_to_depth
from dfd_jax.models.tpu.layers import BlockInstanceNorm, Kernel


class Trunk(stargan.Trunk):
    """`stargan.Trunk`; the widest maps are blocks at offset 1."""

    def downsample(
        self, x: Float[Array, "b h w 3"], c: Float[Array, "b c_dim"]
    ) -> Float[Array, "b h4 w4 d"]:
        """The planes of the condition are never written out."""
        d = self.conv_dim
        x, c = x.astype(self.dtype), c.astype(self.dtype)
        kernel = self._kernel("main.0", 7, x.shape[-1] + c.shape[-1], d)
        x = self._block_norm(1, space_to_depth.conv_with_planes_to_blocks(x, c, kernel))
        x = self.norm(4, space_to_depth.strided_conv(x, self._kernel("main.3", 4, d, 2 * d)))
        return self.norm(7, self.conv("main.6", x, d * 4, 4, stride=2))

    def upsample(self, x: Float[Array, "b h4 w4 d"]) -> Float[Array, "b H W e"]:
        """The second doubling makes blocks."""
        index = 9 + self.blocks
        x = self.norm(index + 1, self.conv_transpose(f"main.{index}", x, self.conv_dim * 2))
        kernel = self._kernel(f"main.{index + 3}", 4, self.conv_dim, x.shape[-1])
        return self._block_norm(index + 4, space_to_depth.transposed_conv(x, kernel))

    def head(
        self, name: str, x: Float[Array, "b H W e"], features: int
    ) -> Float[Array, "b h w features"]:
        """From blocks to an image; float32."""
        kernel = self._kernel(name, 7, self.conv_dim, features)
        return depth_to_space(space_to_depth.conv_from_blocks(x, kernel, offset=1))

    def _kernel(self, name: str, size: int, *channels: int) -> Array:
        return Kernel((size, size, *channels), dtype=self.dtype, name=name)()

    def _block_norm(self, index: int, x: Array) -> Array:
        return nn.relu(BlockInstanceNorm(1, dtype=self.dtype, name=f"main.{index}")(x))


class Generator(stargan.Generator, Trunk):
    """`stargan.Generator` on a TPU."""


class AttentionGenerator(ganimation.AttentionGenerator, Trunk):
    """`ganimation.AttentionGenerator` on a TPU."""
