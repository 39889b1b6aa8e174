"""Blocks of the First Order Motion Model, under the key names of the authors' PyTorch code."""

from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models import layers
from dfd_jax.models.convolution import Conv


def convolution(features: int, size: int, padding: int, dtype: Any, name: str) -> Conv:
    """A square convolution, zeros around the image."""
    return Conv(features, size, 1, (padding, padding), True, dtype=dtype, name=name)


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU; "up" doubles the sides before, "down" halves them after."""

    features: int
    size: int = 3
    resample: Literal["up", "down"] | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], train: bool = False
    ) -> Float[Array, "b H W features"]:
        if self.resample == "up":
            x = double(x)
        x = convolution(self.features, self.size, self.size // 2, self.dtype, "conv")(x)
        x = nn.relu(layers.BatchNorm(dtype=self.dtype, name="norm")(x, train))
        return halve(x) if self.resample == "down" else x


class ResidualBlock(nn.Module):
    """Twice norm, ReLU and convolution, added to the input."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h w c"]:
        y = x
        for number in (1, 2):
            y = nn.relu(layers.BatchNorm(dtype=self.dtype, name=f"norm{number}")(y, train))
            y = convolution(x.shape[-1], 3, 1, self.dtype, f"conv{number}")(y)
        return x + y


class Hourglass(nn.Module):
    """A U-Net of five or so levels: every pixel sees the whole image, and itself unchanged.

    The outermost skip connection is the input: its channels come last in the output.
    """

    block_expansion: int
    num_blocks: int
    max_features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h w d"]:
        def block(name: str, level: int, resample: Literal["up", "down"]) -> ConvBlock:
            features = min(self.max_features, self.block_expansion * 2**level)
            return ConvBlock(features, resample=resample, dtype=self.dtype, name=name)

        skips = [x.astype(self.dtype)]
        for level in range(self.num_blocks):
            skips.append(block(f"encoder.down_blocks.{level}", level + 1, "down")(skips[-1], train))
        x = skips.pop()
        for number, level in enumerate(reversed(range(self.num_blocks))):
            x = block(f"decoder.up_blocks.{number}", level, "up")(x, train)
            x = jnp.concatenate([x, skips.pop()], axis=-1)
        return x


def halve(x: Float[Array, "b h w c"]) -> Float[Array, "b H W c"]:
    """Means of 2x2 pixels. The sides must be even."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


def double(x: Float[Array, "b h w c"]) -> Float[Array, "b H W c"]:
    """Every pixel as 2x2 pixels."""
    b, h, w, c = x.shape
    wide = jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c))
    return wide.reshape(b, 2 * h, 2 * w, c)
