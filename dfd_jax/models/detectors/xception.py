"""Xception (Chollet 2017) as FaceForensics++ and DeepfakeBench use it to tell fakes from photos.

Submodules carry the key names of those projects' PyTorch code (`block1.rep.0.pointwise`). The
numbers inside `rep` count the ReLUs too: they shift by one in block 1, which starts without one.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.layers import BatchNorm, Conv, DepthwiseConv
from dfd_jax.models.operations import max_pool_3x3


class Xception(nn.Module):
    """Normalised images → class logits, float32."""

    channels: tuple[int, ...] = (32, 64, 128, 256, 728, 1024, 1536, 2048)
    middle_blocks: int = 8
    num_classes: int = 2
    dropout: float = 0.0
    dtype: Any = jnp.float32

    def __call__(
        self, x: Float[Array, "b h w 3"], train: bool = False
    ) -> Float[Array, "b num_classes"]:
        return self.stages(x, train)["logits"]

    @nn.compact
    def stages(self, x: Float[Array, "b h w 3"], train: bool) -> dict[str, Array]:
        """Every stage's output: "b0" (the stem), "b1" to "b12" (the blocks), "final", "logits"."""
        outputs = self.blocks(x, train)
        for name, output in outputs.items():
            self.sow("intermediates", name, output)
        x = outputs["final"].astype(jnp.float32).mean((1, 2))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="last_linear")(x)
        return {**outputs, "logits": logits.astype(jnp.float32)}

    def blocks(self, x: Float[Array, "b h w 3"], train: bool) -> dict[str, Array]:
        """The same without the logits."""
        c, last = self.channels, 4 + self.middle_blocks
        outputs = {"b0": self.stem(x, train)}
        outputs["b1"] = self.block("block1", outputs["b0"], (c[2], c[2]), 2, train, False)
        outputs["b2"] = self.block("block2", outputs["b1"], (c[3], c[3]), 2, train)
        outputs["b3"] = x = self.block("block3", outputs["b2"], (c[4], c[4]), 2, train)
        for number in range(4, last):
            outputs[f"b{number}"] = x = self.block(f"block{number}", x, (c[4],) * 3, 1, train)
        # The channels grow in the last convolution of the last block, not in its first.
        outputs[f"b{last}"] = x = self.block(f"block{last}", x, (c[4], c[5]), 2, train)
        x = self.relu(self.norm("bn3", self.separable("conv3", x, c[6]), train))
        outputs["final"] = x = self.relu(self.norm("bn4", self.separable("conv4", x, c[7]), train))
        return outputs

    def example_inputs(self, size: int) -> tuple[Array]:
        """An image of zeros, batch of one."""
        return (jnp.zeros((1, size, size, 3)),)

    def stem(self, x: Float[Array, "b h w 3"], train: bool) -> Array:
        """Two convolutions that do not pad."""
        x = Conv(self.channels[0], 3, 2, dtype=self.dtype, name="conv1")(x)
        x = self.relu(self.norm("bn1", x, train))
        x = Conv(self.channels[1], 3, 1, dtype=self.dtype, name="conv2")(x)
        return self.relu(self.norm("bn2", x, train))

    def block(
        self,
        name: str,
        x: Array,
        features: tuple[int, ...],
        stride: int,
        train: bool,
        relu_first: bool = True,
    ) -> Array:
        """Separable convolutions and, with stride 2, pooling; added to the input."""
        y, index = x, 0
        for number, wide in enumerate(features):
            if relu_first or number:
                y, index = self.relu(y), index + 1
            y = self.separable(f"{name}.rep.{index}", y, wide)
            y = self.norm(f"{name}.rep.{index + 1}", y, train)
            index += 2
        if stride == 2:
            y = max_pool_3x3(y)
        if stride != 1 or x.shape[-1] != y.shape[-1]:
            x = Conv(y.shape[-1], 1, stride, dtype=self.dtype, name=f"{name}.skip")(x)
            x = self.norm(f"{name}.skipbn", x, train)
        return x + y

    def separable(self, name: str, x: Array, features: int) -> Array:
        """A depthwise convolution and a pointwise one."""
        x = DepthwiseConv(dtype=self.dtype, name=f"{name}.conv1")(x)
        return Conv(features, 1, dtype=self.dtype, name=f"{name}.pointwise")(x)

    def norm(self, name: str, x: Array, train: bool) -> Array:
        """Batch norm."""
        return BatchNorm(dtype=self.dtype, name=name)(x, train)

    def relu(self, x: Array) -> Array:
        """ReLU."""
        return nn.relu(x)
