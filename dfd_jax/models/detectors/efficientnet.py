"""EfficientNet (Tan and Le 2019) as the PyTorch package `efficientnet_pytorch` defines it.

Submodules carry that package's key names (`_blocks.3._depthwise_conv`). It pads every convolution
as TensorFlow's SAME would for images of the nominal size, whatever size arrives; its versions
disagree on what that size is inside the network, see `EfficientNet.padding`.
"""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.layers import BatchNorm, Conv, DepthwiseConv

NORM_EPSILON, NORM_MOMENTUM = 1e-3, 0.01  # the latter in PyTorch's sense
SQUEEZE = 4  # channels of a block's input for each squeezed channel
PADDINGS = ("running", "nominal", "bare_stem")
DROP_CONNECT = 0.2  # of the last block; proportionally less before

# The seven stages of B0: kernel, stride, expansion of the channels; then channels and blocks.
KERNELS, STRIDES, EXPANSIONS = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1), (1, 6, 6, 6, 6, 6, 6)
B0_CHANNELS, B0_DEPTHS = (32, 16, 24, 40, 80, 112, 192, 320, 1280), (1, 2, 2, 3, 3, 4, 1)
VARIANTS = {  # factor on the channels, factor on the blocks, side of the images
    "b0": (1.0, 1.0, 224),
    "b1": (1.0, 1.1, 240),
    "b2": (1.1, 1.2, 260),
    "b3": (1.2, 1.4, 300),
    "b4": (1.4, 1.8, 380),
    "b5": (1.6, 2.2, 456),
    "b6": (1.8, 2.6, 528),
    "b7": (2.0, 3.1, 600),
}


def variant_sizes(name: str) -> dict[str, Any]:
    """The channels, depths and nominal size of "b0" to "b7", as arguments of `EfficientNet`.

    ValueError if there is no such variant.
    """
    if name not in VARIANTS:
        raise ValueError(f"unknown EfficientNet {name!r}; known: {', '.join(VARIANTS)}")
    width, depth, size = VARIANTS[name]
    return {
        "channels": tuple(_to_eighths(c * width) for c in B0_CHANNELS),
        "depths": tuple(math.ceil(d * depth) for d in B0_DEPTHS),
        "nominal_size": size,
    }


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after `side` pixels, by TensorFlow's SAME."""
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


class EfficientNet(nn.Module):
    """Normalised images → class logits, float32. The sizes are those of B4 unless given.

    `channels`: stem, seven stages, head. `padding` says for which size a convolution pads:

    * "running": what would reach it if the image had `nominal_size` (the package since 0.6);
    * "nominal": `nominal_size` itself, everywhere (before that, and the multi-attentional
      detector's copy). Odd maps come out one pixel smaller: 380, 190, 95, 47, 23, 11;
    * "bare_stem": as "running", but the first convolution does not pad at all (DeepfakeBench).

    ValueError if `padding` is none of these.
    """

    channels: tuple[int, ...] = (48, 24, 32, 56, 112, 160, 272, 448, 1792)
    depths: tuple[int, ...] = (2, 4, 4, 6, 6, 8, 2)
    nominal_size: int = 380
    padding: str = "running"
    num_classes: int = 2
    dropout: float = 0.0
    dtype: Any = jnp.float32

    def __call__(
        self, x: Float[Array, "b h w 3"], train: bool = False
    ) -> Float[Array, "b num_classes"]:
        return self.stages(x, train)["logits"]

    @nn.compact
    def stages(self, x: Float[Array, "b h w 3"], train: bool) -> dict[str, Array]:
        """Every stage's output: "b0" (the stem) to "b7", "final" (the head), "logits"."""
        if self.padding not in PADDINGS:
            known = ", ".join(PADDINGS)
            raise ValueError(f"EfficientNet: unknown padding {self.padding!r}; known: {known}")
        outputs: dict[str, Array] = {}
        side = self.nominal_size
        pad = (0, 0) if self.padding == "bare_stem" else same_padding(side, 3, 2)
        x = self._conv("_conv_stem", x, self.channels[0], 3, 2, pad)
        x = outputs["b0"] = nn.swish(self._norm("_bn0", x, train))
        side, index = self._after(side, 2), 0
        for stage, depth in enumerate(self.depths):
            for repeat in range(depth):
                stride = 1 if repeat else STRIDES[stage]
                x = self._block(index, x, stage, stride, side, train)
                side, index = self._after(side, stride), index + 1
            outputs[f"b{stage + 1}"] = x
        x = self._norm("_bn1", self._conv("_conv_head", x, self.channels[-1]), train)
        x = outputs["final"] = nn.swish(x)
        x = x.astype(jnp.float32).mean((1, 2))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="_fc")(x)
        return {**outputs, "logits": logits.astype(jnp.float32)}

    def example_inputs(self, size: int) -> tuple[Array]:
        """An image of zeros, batch of one."""
        return (jnp.zeros((1, size, size, 3)),)

    def _block(
        self, index: int, x: Array, stage: int, stride: int, side: int, train: bool
    ) -> Array:
        """One inverted bottleneck: expand, convolve each channel, squeeze and excite, project."""
        name, inputs, width = f"_blocks.{index}.", x, x.shape[-1]
        if EXPANSIONS[stage] != 1:
            x = self._conv(f"{name}_expand_conv", x, width * EXPANSIONS[stage])
            x = nn.swish(self._norm(f"{name}_bn0", x, train))
        kernel = KERNELS[stage]
        pad = same_padding(side, kernel, stride)
        depthwise = DepthwiseConv(
            kernel, stride, pad, dtype=self.dtype, name=f"{name}_depthwise_conv"
        )
        x = nn.swish(self._norm(f"{name}_bn1", depthwise(x), train))
        x = self._excite(name, x, max(1, width // SQUEEZE))
        x = self._conv(f"{name}_project_conv", x, self.channels[stage + 1])
        x = self._norm(f"{name}_bn2", x, train)
        if stride != 1 or x.shape != inputs.shape:
            return x
        rate = DROP_CONNECT * index / sum(self.depths)
        kept = nn.Dropout(rate, broadcast_dims=(1, 2, 3), deterministic=not train)(x)
        return inputs + kept

    def _excite(self, name: str, x: Array, squeezed: int) -> Array:
        """Every channel times a weight that depends on the means of all channels."""
        means = x.astype(jnp.float32).mean((1, 2), keepdims=True)
        y = nn.swish(self._conv(f"{name}_se_reduce", means, squeezed, bias=True))
        y = self._conv(f"{name}_se_expand", y, x.shape[-1], bias=True)
        return x * nn.sigmoid(y)

    def _after(self, side: int, stride: int) -> int:
        """The size that the next convolution pads for."""
        return side if self.padding == "nominal" else math.ceil(side / stride)

    def _conv(
        self,
        name: str,
        x: Array,
        features: int,
        size: int = 1,
        stride: int = 1,
        pad: tuple[int, int] = (0, 0),
        bias: bool = False,
    ) -> Array:
        return Conv(features, size, stride, pad, bias, dtype=self.dtype, name=name)(x)

    def _norm(self, name: str, x: Array, train: bool) -> Array:
        norm = BatchNorm(NORM_EPSILON, NORM_MOMENTUM, dtype=self.dtype, name=name)
        return norm(x, train)


def _to_eighths(channels: float) -> int:
    """The nearest multiple of 8, or the one above it if that would lose more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
