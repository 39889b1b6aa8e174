"""Backbones of detectors: ResNet (torchvision's), Xception, EfficientNet. Images → logits."""

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from experiments.torch_networks.ops import State, batch_norm, conv, dense, numbers

EFFICIENTNET_STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of every stage
EFFICIENTNET_EPSILON = 1e-3

Images = Float[Tensor, "b 3 h w"]
Logits = Float[Tensor, "b num_classes"]


def resnet(state: State, x: Images) -> Logits:
    """ResNet (He et al. 2016) as torchvision builds it, of basic or of bottleneck blocks."""
    x = F.relu(batch_norm(state, "bn1", conv(state, "conv1", x, 2, 3)), inplace=True)
    x = F.max_pool2d(x, 3, 2, 1)
    for stage in range(1, 5):
        for number in numbers(state, f"layer{stage}.", ".conv1.weight"):
            stride = 2 if stage > 1 and number == 0 else 1
            x = _residual(state, f"layer{stage}.{number}", x, stride)
    return dense(state, "fc", x.mean((2, 3)))


def _residual(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    is_bottleneck = f"{name}.conv3.weight" in state
    steps = ((1, 0), (stride, 1), (1, 0)) if is_bottleneck else ((stride, 1), (1, 1))
    y = x
    for number, (step, padding) in enumerate(steps, start=1):
        y = conv(state, f"{name}.conv{number}", y, step, padding)
        y = batch_norm(state, f"{name}.bn{number}", y)
        if number < len(steps):
            y = F.relu(y, inplace=True)
    if f"{name}.downsample.0.weight" in state:
        x = batch_norm(
            state, f"{name}.downsample.1", conv(state, f"{name}.downsample.0", x, stride)
        )
    return F.relu(x + y, inplace=True)


def xception(state: State, x: Images) -> Logits:
    """Xception (Chollet 2017) as FaceForensics++ and DeepfakeBench use it."""
    return dense(state, "last_linear", xception_stages(state, x)["final"].mean((2, 3)))


def xception_stages(state: State, x: Images) -> dict[str, Tensor]:
    """The output of every stage: "b0" (the stem), "b1" to "b12" (the blocks), "final"."""
    x = F.relu(batch_norm(state, "bn1", conv(state, "conv1", x, 2)), inplace=True)
    x = F.relu(batch_norm(state, "bn2", conv(state, "conv2", x)), inplace=True)
    stages = {"b0": x}
    blocks = sorted({int(k[5 : k.index(".")]) for k in state if k.startswith("block")})
    for number in blocks:
        x = stages[f"b{number}"] = _xception_block(state, f"block{number}", x)
    x = F.relu(batch_norm(state, "bn3", _separable(state, "conv3", x)), inplace=True)
    x = F.relu(batch_norm(state, "bn4", _separable(state, "conv4", x)), inplace=True)
    return {**stages, "final": x}


def _xception_block(state: State, name: str, x: Tensor) -> Tensor:
    y = x
    for number in numbers(state, f"{name}.rep.", ".conv1.weight"):
        if number > 0:  # only the very first block starts without a ReLU
            y = F.relu(y)
        y = _separable(state, f"{name}.rep.{number}", y)
        y = batch_norm(state, f"{name}.rep.{number + 1}", y)
    if f"{name}.skip.weight" not in state:
        return x + y
    x = batch_norm(state, f"{name}.skipbn", conv(state, f"{name}.skip", x, 2))
    return x + F.max_pool2d(y, 3, 2, 1)


def _separable(state: State, name: str, x: Tensor) -> Tensor:
    x = conv(state, f"{name}.conv1", x, padding=1, groups=x.shape[1])
    return conv(state, f"{name}.pointwise", x)


def efficientnet(
    state: State, x: Images, nominal_size: int = 380, padding: str = "running"
) -> Logits:
    """EfficientNet (Tan and Le 2019) as `efficientnet_pytorch` builds it."""
    final = efficientnet_stages(state, x, nominal_size, padding)["final"]
    return dense(state, "_fc", final.mean((2, 3)))


def efficientnet_stages(
    state: State, x: Images, nominal_size: int = 380, padding: str = "running"
) -> dict[str, Tensor]:
    """The output of every stage: "b0" (the stem) to "b7", "final".

    A convolution pads as TensorFlow's SAME would for `nominal_size` ("nominal"), or for what would
    reach it from images of that size ("running"); "bare_stem" is the latter with a stem that does
    not pad.
    """
    side = nominal_size
    x = x if padding == "bare_stem" else _pad_same(x, side, 3, 2)
    x = batch_norm(state, "_bn0", conv(state, "_conv_stem", x, 2), EFFICIENTNET_EPSILON)
    x = F.silu(x, inplace=True)
    side = _after(side, 2, padding)
    stages, stage, width = {"b0": x}, 0, None
    for number in numbers(state, "_blocks.", "._project_conv.weight"):
        name = f"_blocks.{number}."
        is_first = state[f"{name}_project_conv.weight"].shape[0] != width
        width = state[f"{name}_project_conv.weight"].shape[0]
        stage += is_first
        stride = EFFICIENTNET_STRIDES[stage - 1] if is_first else 1
        x = stages[f"b{stage}"] = _inverted_bottleneck(state, name, x, stride, side)
        side = _after(side, stride, padding)
    x = batch_norm(state, "_bn1", conv(state, "_conv_head", x), EFFICIENTNET_EPSILON)
    return {**stages, "final": F.silu(x, inplace=True)}


def _inverted_bottleneck(state: State, name: str, x: Tensor, stride: int, side: int) -> Tensor:
    y = x
    if f"{name}_expand_conv.weight" in state:
        y = conv(state, f"{name}_expand_conv", y)
        y = F.silu(batch_norm(state, f"{name}_bn0", y, EFFICIENTNET_EPSILON), inplace=True)
    y = _depthwise_same(state, f"{name}_depthwise_conv", y, stride, side)
    y = F.silu(batch_norm(state, f"{name}_bn1", y, EFFICIENTNET_EPSILON), inplace=True)
    squeezed = F.silu(conv(state, f"{name}_se_reduce", y.mean((2, 3), keepdim=True)))
    y = y * conv(state, f"{name}_se_expand", squeezed).sigmoid()
    y = conv(state, f"{name}_project_conv", y)
    y = batch_norm(state, f"{name}_bn2", y, EFFICIENTNET_EPSILON)
    return x + y if stride == 1 and x.shape == y.shape else y


def _after(side: int, stride: int, padding: str) -> int:
    """The size that the next convolution pads for."""
    return side if padding == "nominal" else math.ceil(side / stride)


def _depthwise_same(state: State, name: str, x: Tensor, stride: int, side: int) -> Tensor:
    kernel = state[f"{name}.weight"].shape[-1]
    if stride == 1:  # symmetric: the convolution can pad by itself, without a copy
        return conv(state, name, x, 1, kernel // 2, groups=x.shape[1])
    return conv(state, name, _pad_same(x, side, kernel, stride), stride, groups=x.shape[1])


def _pad_same(x: Tensor, side: int, kernel: int, stride: int) -> Tensor:
    """Zeros around x, by TensorFlow's SAME for an image of this side."""
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    before, after = total // 2, total - total // 2
    return F.pad(x, (before, after, before, after))
