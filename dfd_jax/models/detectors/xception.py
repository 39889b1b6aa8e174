"""Xception (Chollet 2017) as FaceForensics++ and DeepfakeBench use it to tell fakes from photos.

Submodules carry the key names of those projects' PyTorch code (`block1.rep.0.pointwise`). The
numbers inside `rep` count the ReLUs too: they shift by one in block 1, which starts without one.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models import cells, layers
from dfd_jax.models.convolution import Conv, Kernel, plain


class Xception(nn.Module):
    """Normalised images → class logits, float32."""

    channels: tuple[int, ...] = (32, 64, 128, 256, 728, 1024, 1536, 2048)
    middle_blocks: int = 8
    num_classes: int = 2
    dropout: float = 0.0
    for_tpu: bool = False
    dtype: Any = jnp.float32

    def __call__(
        self, x: Float[Array, "b h w 3"], train: bool = False
    ) -> Float[Array, "b num_classes"]:
        return self.stages(x, train)["logits"]

    @nn.compact
    def stages(self, x: Float[Array, "b h w 3"], train: bool) -> dict[str, Array]:
        """Every stage's output: "b0" (the stem), "b1" to "b12" (the blocks), "final", "logits"."""
        c, found, last = self.channels, {}, 4 + self.middle_blocks
        x = nn.relu(self._norm("bn1", self._conv("conv1", x, c[0], 3, 2), train))
        x = nn.relu(self._norm("bn2", self._conv("conv2", x, c[1], 3, 1), train))
        found["b0"] = x
        x = found["b1"] = self._block("block1", x, (c[2], c[2]), 2, train, relu_first=False)
        x = found["b2"] = self._block("block2", x, (c[3], c[3]), 2, train)
        x = found["b3"] = self._block("block3", x, (c[4], c[4]), 2, train)
        self.sow("intermediates", "block3", x)
        for number in range(4, last):
            x = found[f"b{number}"] = self._block(f"block{number}", x, (c[4],) * 3, 1, train)
        # The channels grow in the last convolution of the last block, not in its first.
        x = found[f"b{last}"] = self._block(f"block{last}", x, (c[4], c[5]), 2, train)
        self.sow("intermediates", "last_block", x)
        x = nn.relu(self._norm("bn3", self._separable("conv3", x, c[6]), train))
        x = found["final"] = nn.relu(self._norm("bn4", self._separable("conv4", x, c[7]), train))
        self.sow("intermediates", "features", x)
        x = x.astype(jnp.float32).mean((1, 2))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="last_linear")(x)
        return {**found, "logits": logits.astype(jnp.float32)}

    def example_inputs(self, size: int) -> tuple[Array]:
        """An image of zeros, batch of one."""
        return (jnp.zeros((1, size, size, 3)),)

    def _block(
        self,
        name: str,
        x: Array,
        features: tuple[int, ...],
        stride: int,
        train: bool,
        relu_first: bool = True,
    ) -> Array:
        y, index = x, 0
        for number, wide in enumerate(features):
            if relu_first or number:
                y, index = nn.relu(y), index + 1
            y = self._separable(f"{name}.rep.{index}", y, wide)
            y = self._norm(f"{name}.rep.{index + 1}", y, train)
            index += 2
        if stride == 2:
            y = layers.max_pool_3x3(y)
        if stride != 1 or x.shape[-1] != y.shape[-1]:
            x = self._conv(f"{name}.skip", x, y.shape[-1], 1, stride)
            x = self._norm(f"{name}.skipbn", x, train)
        return x + y

    def _separable(self, name: str, x: Array, features: int) -> Array:
        """A depthwise convolution and a pointwise one. A TPU's matrix units do both at once sooner
        than one after the other where the channels are few.
        """
        channels = x.shape[-1]
        if self.for_tpu and channels <= cells.LANES:
            depthwise = Kernel((3, 3, 1, channels), name=f"{name}.conv1")()
            pointwise = Kernel((1, 1, channels, features), name=f"{name}.pointwise")()
            both = (depthwise.swapaxes(2, 3) * pointwise).astype(self.dtype)
            return plain(x, both, 1, (1, 1))
        wise = layers.DepthwiseConv(for_tpu=self.for_tpu, dtype=self.dtype, name=f"{name}.conv1")
        return self._conv(f"{name}.pointwise", wise(x), features, 1, 1)

    def _conv(self, name: str, x: Array, features: int, size: int, stride: int) -> Array:
        of = Conv(features, size, stride, for_tpu=self.for_tpu, dtype=self.dtype, name=name)
        return of(x)

    def _norm(self, name: str, x: Array, train: bool) -> Array:
        return layers.BatchNorm(dtype=self.dtype, name=name)(x, train)
