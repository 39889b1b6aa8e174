"""ResNet (He et al. 2016) as torchvision builds it: the stride of a bottleneck is in its 3×3.

Submodules carry torchvision's key names (`layer1.0.conv1`).
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.layers import BatchNorm, Conv
from dfd_jax.models.operations import max_pool_3x3


class ResNet(nn.Module):
    """Normalised images → class logits, float32."""

    stage_sizes: tuple[int, ...]
    bottleneck: bool
    width: int = 64
    num_classes: int = 2
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"], train: bool = False
    ) -> Float[Array, "b num_classes"]:
        x = nn.relu(self._norm("bn1", self._conv("conv1", x, self.width, 7, 2), train))
        x = max_pool_3x3(x)
        self.sow("intermediates", "maxpool", x)
        for stage, count in enumerate(self.stage_sizes, start=1):
            for index in range(count):
                stride = 2 if stage > 1 and index == 0 else 1
                features = self.width * 2 ** (stage - 1)
                x = self._block(f"layer{stage}.{index}", x, features, stride, train)
            self.sow("intermediates", f"layer{stage}", x)
        x = x.astype(jnp.float32).mean((1, 2))
        self.sow("intermediates", "avgpool", x)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="fc")(x)
        return logits.astype(jnp.float32)

    def example_inputs(self, size: int) -> tuple[Array]:
        """An image of zeros, batch of one."""
        return (jnp.zeros((1, size, size, 3)),)

    def _block(self, name: str, x: Array, features: int, stride: int, train: bool) -> Array:
        # (features, kernel size, stride) of the convolutions inside
        plan = [(features, 3, stride), (features, 3, 1)]
        if self.bottleneck:
            plan = [(features, 1, 1), (features, 3, stride), (4 * features, 1, 1)]
        y = x
        for number, (wide, size, step) in enumerate(plan, start=1):
            y = self._conv(f"{name}.conv{number}", y, wide, size, step)
            y = self._norm(f"{name}.bn{number}", y, train)
            if number < len(plan):
                y = nn.relu(y)
        if stride != 1 or x.shape[-1] != y.shape[-1]:
            x = self._conv(f"{name}.downsample.0", x, y.shape[-1], 1, stride)
            x = self._norm(f"{name}.downsample.1", x, train)
        return nn.relu(x + y)

    def _conv(self, name: str, x: Array, features: int, size: int, stride: int) -> Array:
        padding = (size // 2, size // 2)
        return Conv(features, size, stride, padding, dtype=self.dtype, name=name)(x)

    def _norm(self, name: str, x: Array, train: bool) -> Array:
        return BatchNorm(dtype=self.dtype, name=name)(x, train)


class ResNet18(ResNet):
    """The family of basic blocks; ResNet-18 by default."""

    stage_sizes: tuple[int, ...] = (2, 2, 2, 2)
    bottleneck: bool = False


class ResNet50(ResNet):
    """The family of bottleneck blocks; ResNet-50 by default."""

    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    bottleneck: bool = True
