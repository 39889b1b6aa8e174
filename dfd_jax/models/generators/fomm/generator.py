"""The generator: a photo's features, moved along a dense motion, drawn as an image again."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models import warp
from dfd_jax.models.generators.fomm.blocks import ConvBlock, ResidualBlock, convolution
from dfd_jax.models.generators.fomm.dense_motion import DenseMotion, Flow
from dfd_jax.models.generators.fomm.motion import KeyPoints


class Encoder(nn.Module):
    """Photos in [0, 1] → features. Does not depend on the motion: once per photo is enough."""

    block_expansion: int
    num_down_blocks: int
    max_features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, photos: Float[Array, "b h w 3"], train: bool = False
    ) -> Float[Array, "b h4 w4 c"]:
        x = ConvBlock(self.block_expansion, size=7, dtype=self.dtype, name="first")(photos, train)
        for number in range(self.num_down_blocks):
            features = min(self.max_features, self.block_expansion * 2 ** (number + 1))
            name = f"down_blocks.{number}"
            x = ConvBlock(features, resample="down", dtype=self.dtype, name=name)(x, train)
        return x


class Decoder(nn.Module):
    """Moved features → images in (0, 1), float32."""

    block_expansion: int
    num_down_blocks: int
    num_bottleneck_blocks: int
    max_features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h4 w4 c"], train: bool = False
    ) -> Float[Array, "b h w 3"]:
        for number in range(self.num_bottleneck_blocks):
            x = ResidualBlock(dtype=self.dtype, name=f"bottleneck.r{number}")(x, train)
        for number in range(self.num_down_blocks):
            level = self.num_down_blocks - number - 1
            features = min(self.max_features, self.block_expansion * 2**level)
            name = f"up_blocks.{number}"
            x = ConvBlock(features, resample="up", dtype=self.dtype, name=name)(x, train)
        x = convolution(3, 7, 3, self.dtype, "final")(x)
        return jax.nn.sigmoid(x.astype(jnp.promote_types(x.dtype, jnp.float32)))


class Generator(nn.Module):
    """Encoder, dense motion and decoder, whose layers all carry the generator's own key names."""

    encoder: Encoder
    dense_motion_network: DenseMotion
    decoder: Decoder
    align_corners: bool

    def setup(self) -> None:
        """Put the layers of the two halves side by side, as in the original."""
        nn.share_scope(self, self.encoder)
        nn.share_scope(self, self.decoder)

    def encode(
        self, photos: Float[Array, "b h w 3"], train: bool = False
    ) -> Float[Array, "b h4 w4 c"]:
        """Features of photos in [0, 1]."""
        return self.encoder(photos, train)

    def flow(
        self,
        photos: Float[Array, "b h w 3"],
        source: KeyPoints,
        driving: KeyPoints,
        train: bool = False,
    ) -> Flow:
        """The dense motion that takes keypoints `source` of photos in [0, 1] to `driving`."""
        return self.dense_motion_network(photos, source, driving, train)

    def decode(
        self, features: Float[Array, "b h4 w4 c"], flow: Flow, train: bool = False
    ) -> Float[Array, "b h w 3"]:
        """Images in (0, 1) of the features moved along the flow, dimmed where nothing is known."""
        h, w = features.shape[1:3]
        x = self.deform(features, flow)
        if flow.occlusion_map is not None:
            x = x * warp.resize_bilinear(flow.occlusion_map, h, w).astype(x.dtype)
        return self.decoder(x, train)

    def deform(self, maps: Float[Array, "b h w c"], flow: Flow) -> Float[Array, "b h w c"]:
        """Images or features of any size, looked up where the flow says."""
        deformation = warp.resize_bilinear(flow.deformation, *maps.shape[1:3])
        return warp.grid_sample(maps, deformation, self.align_corners)
