"""Residual encoder-decoder perturber, the other family of Generative Adversarial Perturbations.

Poursaeed et al. 2018; the layout is that of Johnson et al. 2016: a 7x7 stem, two strided
convolutions, residual blocks, two upsamplings, a 7x7 head. Upsampling is that of unet.py.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.layers import Conv, InstanceNorm
from dfd_jax.models.resampling import depth_to_space


class ResNetPerturber(nn.Module):
    """images (b h w 3, [-1, 1]; h and w multiples of `stride`) → unbounded delta of the same
    shape.
    """

    width: int = 64
    blocks: int = 6
    downs: int = 2
    dtype: Any = jnp.float32

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this."""
        return 2**self.downs

    def example_inputs(self, size: int) -> tuple[Array]:
        """Raw inputs of a batch of one."""
        side = max(size - size % self.stride, self.stride)
        return (jnp.zeros((1, side, side, 3)),)

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        x = jax.nn.relu(self._conv_norm(images, self.width, 7, "stem"))
        for level in range(1, self.downs + 1):
            x = jax.nn.relu(self._conv_norm(x, self.width * 2**level, 4, f"down{level}", stride=2))
        for index in range(self.blocks):
            inner = jax.nn.relu(self._conv_norm(x, x.shape[-1], 3, f"block{index}_0"))
            x = x + self._conv_norm(inner, x.shape[-1], 3, f"block{index}_1")
        for level in reversed(range(self.downs)):
            x = self._conv_norm(x, self.width * 2**level, 3, f"up{level}", upsample=True)
            x = jax.nn.relu(x)
        out = Conv(3, 7, 1, (3, 3), use_bias=True, dtype=self.dtype, name="head")(x)
        return out.astype(jnp.float32)

    def _conv_norm(
        self,
        x: Array,
        channels: int,
        side: int,
        name: str,
        *,
        stride: int = 1,
        upsample: bool = False,
    ) -> Array:
        around = (side - 1) // 2
        conv = Conv(  # without bias, which the norm that follows would remove
            channels * (4 if upsample else 1),
            side,
            stride,
            (around, around),
            dtype=self.dtype,
            name=f"{name}_conv",
        )
        x = depth_to_space(conv(x)) if upsample else conv(x)
        return InstanceNorm(dtype=self.dtype, name=f"{name}_norm")(x)
