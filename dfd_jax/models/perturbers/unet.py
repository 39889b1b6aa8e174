"""U-Net perturber, one of the two families of Generative Adversarial Perturbations.

Poursaeed et al. 2018, "Generative Adversarial Perturbations". Upsampling is nearest neighbour
followed by a convolution: it leaves no checkerboard in the delta, and its weight gradient is fast
on every backend.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.layers import InstanceNorm, depth_to_space


class UNet(nn.Module):
    """images (b h w 3, [-1, 1]; h and w multiples of `stride`) → unbounded delta of the same shape.

    `width` channels at full resolution, doubled at each of `depth` halvings up to 8 x width.
    """

    width: int = 64
    depth: int = 4
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
        channels = [self.width * min(2**level, 8) for level in range(self.depth + 1)]
        x = self._block(images, channels[0], "enter")
        skips = [x]
        for level in range(1, self.depth + 1):
            x = self._block(x, channels[level], f"down{level}", stride=2)
            skips.append(x)
        x = self._block(skips.pop(), channels[-1], "middle")
        for level in reversed(range(self.depth)):
            x = self._block(x, channels[level], f"up{level}", upsample=True)
            x = jnp.concatenate([x, skips.pop()], axis=-1)
        out = nn.Conv(3, (3, 3), padding=1, dtype=self.dtype, name="leave")(x)
        return out.astype(jnp.float32)

    def _block(
        self, x: Array, channels: int, name: str, *, stride: int = 1, upsample: bool = False
    ) -> Array:
        side = 4 if stride == 2 else 3  # an even kernel under stride 2 touches every pixel equally
        conv = nn.Conv(
            channels * (4 if upsample else 1),
            (side, side),
            (stride, stride),
            padding=1,
            use_bias=False,  # the norm that follows would remove it
            dtype=self.dtype,
            name=f"{name}_conv",
        )
        x = depth_to_space(conv(x)) if upsample else conv(x)
        return jax.nn.relu(InstanceNorm(dtype=self.dtype, name=f"{name}_norm")(x))
