"""U-Net perturber, one of the two families of Generative Adversarial Perturbations.

Poursaeed et al. 2018, "Generative Adversarial Perturbations". Upsampling is a sub-pixel convolution
(Shi et al. 2016), which draws fine patterns easily and whose weight gradient is fast on every
platform.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.layers import Conv, InstanceNorm
from dfd_jax.models.resampling import depth_to_space, space_to_depth


class UNet(nn.Module):
    """images (b h w 3, [-1, 1]; h and w multiples of `stride`) → unbounded delta of the same shape.

    `width` channels at full resolution, doubled at each of `depth` halvings up to 8 x width.

    With a `patch` of 2 or 4 the first one or two halvings only rearrange patches of 2x2 or 4x4
    pixels into channels. That leaves out the widest maps, whose few channels are slow everywhere.
    """

    width: int = 64
    depth: int = 4
    patch: int = 1  # 1, 2 or 4
    dtype: Any = jnp.float32

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this."""
        return 2**self.depth

    def example_inputs(self, size: int) -> tuple[Array]:
        """Raw inputs of a batch of one."""
        side = max(size - size % self.stride, self.stride)
        return (jnp.zeros((1, side, side, 3)),)

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        channels, first = self.channels, self.patch_levels()
        skips = [self.block("enter", space_to_depth(images, first), channels[first])]
        for level in range(first + 1, self.depth + 1):
            skips.append(self.block(f"down{level}", skips[-1], channels[level], stride=2))
        x = self.block("middle", skips.pop(), channels[-1])
        for level in reversed(range(first, self.depth)):
            x = self.block(f"up{level}", x, channels[level], upsample=True)
            x = jnp.concatenate([x, skips.pop()], axis=-1)
        x = Conv(3 * self.patch**2, 3, 1, (1, 1), True, dtype=self.dtype, name="leave")(x)
        return depth_to_space(x, first).astype(jnp.float32)

    @property
    def channels(self) -> list[int]:
        """By level: how often the sides have been halved."""
        return [self.width * min(2**level, 8) for level in range(self.depth + 1)]

    def patch_levels(self) -> int:
        """How many halvings the patches stand for. ValueError if the patch does not fit."""
        levels = self.patch.bit_length() - 1
        if self.patch not in (1, 2, 4) or levels > self.depth:
            raise ValueError(
                f"found patch {self.patch} and depth {self.depth}; expected 1, 2 or 4 and at least "
                "one halving for each doubling of the patch"
            )
        return levels

    def block(
        self, name: str, x: Array, channels: int, *, stride: int = 1, upsample: bool = False
    ) -> Array:
        """A convolution, its norm and ReLU."""
        x = self.conv(name, x, channels * 4 if upsample else channels, stride)
        return self.norm(name, depth_to_space(x) if upsample else x)

    def norm(self, name: str, x: Array) -> Array:
        """Instance norm and ReLU."""
        return jax.nn.relu(InstanceNorm(dtype=self.dtype, name=f"{name}_norm")(x))

    def conv(self, name: str, x: Array, channels: int, stride: int) -> Array:
        """Without bias, which the norm that follows would remove."""
        size = 4 if stride == 2 else 3  # even under stride 2: every pixel is touched equally
        return Conv(channels, size, stride, (1, 1), dtype=self.dtype, name=f"{name}_conv")(x)
