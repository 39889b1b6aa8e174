"""Xception (Chollet 2017) as FaceForensics++ and DeepfakeBench use it to tell fakes from photos.

Submodules carry the key names of those projects' PyTorch code (`block1.rep.0.pointwise`). The
numbers inside `rep` count the ReLUs too: they shift by one in block 1, which starts without one.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models import layers
from dfd_jax.models.convolution import Conv, Kernel
from dfd_jax.models.tpu import pooling, rows


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
        x = self._enter(x, train)
        found["b0"] = self._shown(x)
        x = self._block("block1", x, (c[2], c[2]), 2, train, relu_first=False)
        found["b1"] = self._shown(x)
        x = self._block("block2", x, (c[3], c[3]), 2, train)
        found["b2"] = self._shown(x)
        x = self._block("block3", x, (c[4], c[4]), 2, train)
        found["b3"] = self._shown(x)
        self.sow("intermediates", "block3", found["b3"])
        for number in range(4, last):
            x = self._block(f"block{number}", x, (c[4],) * 3, 1, train)
            found[f"b{number}"] = self._shown(x)
        # The channels grow in the last convolution of the last block, not in its first.
        x = self._block(f"block{last}", x, (c[4], c[5]), 2, train)
        found[f"b{last}"] = self._shown(x)
        self.sow("intermediates", "last_block", found[f"b{last}"])
        x = self._relu(self._norm("bn3", self._separable("conv3", x, c[6]), train))
        x = self._relu(self._norm("bn4", self._separable("conv4", x, c[7], inner=True), train))
        found["final"] = self._shown(x)
        self.sow("intermediates", "features", found["final"])
        x = found["final"].astype(jnp.float32).mean((1, 2))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="last_linear")(x)
        return {**found, "logits": logits.astype(jnp.float32)}

    def example_inputs(self, size: int) -> tuple[Array]:
        """An image of zeros, batch of one."""
        return (jnp.zeros((1, size, size, 3)),)

    def _enter(self, x: Float[Array, "b h w 3"], train: bool) -> Array:
        """The stem, and from there on for a TPU the order of rows.py."""
        first, second = self.channels[:2]
        if self.for_tpu and not train:
            columns = (x.shape[2] - 1) // 2
            kernel = Kernel((3, 3, x.shape[-1], first), dtype=self.dtype, name="conv1")()
            x = rows.enter(x.astype(self.dtype), kernel)
            x = self._relu(self._norm("bn1", x, train, pixels=rows.per_group(kernel)))
            kernel = Kernel((3, 3, first, second), dtype=self.dtype, name="conv2")()
            return self._relu(self._norm("bn2", rows.from_groups(x, kernel, columns), train))
        x = self._relu(self._norm("bn1", self._conv("conv1", x, first, 3, 2), train))
        x = self._relu(self._norm("bn2", self._conv("conv2", x, second, 3, 1), train))
        return rows.from_images(x) if self.for_tpu else x

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
                y, index = self._relu(y), index + 1
            # The first one's gradient is needed in two places; elsewhere maps are too large.
            inner = number > 0 and stride == 1
            y = self._separable(f"{name}.rep.{index}", y, wide, inner)
            y = self._norm(f"{name}.rep.{index + 1}", y, train)
            index += 2
        if stride == 2:
            y = (pooling if self.for_tpu else layers).max_pool_3x3(y)
        if stride != 1 or x.shape[-1] != y.shape[-1]:
            x = self._skip(f"{name}.skip", x, y.shape[-1], stride)
            x = self._norm(f"{name}.skipbn", x, train)
        return x + y

    def _skip(self, name: str, x: Array, features: int, stride: int) -> Array:
        if self.for_tpu:
            kernel = Kernel((1, 1, x.shape[-1], features), dtype=self.dtype, name=name)()
            return x[::stride, ::stride] @ kernel[0, 0]
        return self._conv(name, x, features, 1, stride)

    def _separable(self, name: str, x: Array, features: int, inner: bool = False) -> Array:
        """A depthwise convolution and a pointwise one; `inner`: its input is used by it alone, and
        is itself a separable convolution's output.
        """
        if self.for_tpu:
            channels = x.shape[-1]
            depthwise = Kernel((3, 3, 1, channels), name=f"{name}.conv1")()
            pointwise = Kernel((1, 1, channels, features), name=f"{name}.pointwise")()
            return rows.separable(x, depthwise, pointwise, before_product=inner)
        wise = layers.DepthwiseConv(dtype=self.dtype, name=f"{name}.conv1")
        return self._conv(f"{name}.pointwise", wise(x), features, 1, 1)

    def _conv(self, name: str, x: Array, features: int, size: int, stride: int) -> Array:
        of = Conv(features, size, stride, for_tpu=self.for_tpu, dtype=self.dtype, name=name)
        return of(x)

    def _norm(self, name: str, x: Array, train: bool, pixels: int = 1) -> Array:
        return layers.BatchNorm(dtype=self.dtype, name=name)(x, train, pixels)

    def _relu(self, x: Array) -> Array:
        return rows.relu(x) if self.for_tpu else nn.relu(x)

    def _shown(self, x: Array) -> Float[Array, "b h w c"]:
        return rows.to_images(x) if self.for_tpu else x
