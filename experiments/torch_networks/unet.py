"""The U-Net perturber: images → unbounded deltas."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from experiments.torch_networks.ops import State, conv, instance_norm, numbers


def unet(state: State, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Images in [-1, 1], their sides multiples of the stride, → P(x) before its bound.

    The channels of the upsampling convolutions are in the order of `for_pixel_shuffle`.
    """
    depth = len(numbers(state, "down", "_conv.weight"))
    skips = [_block(state, "enter", x)]
    for level in range(1, depth + 1):
        skips.append(_block(state, f"down{level}", skips[-1], stride=2))
    x = _block(state, "middle", skips.pop())
    for level in reversed(range(depth)):
        x = F.pixel_shuffle(conv(state, f"up{level}_conv", x, padding=1), 2)
        x = F.relu(instance_norm(state, f"up{level}_norm", x), inplace=True)
        x = torch.cat([x, skips.pop()], 1)
    return conv(state, "leave", x, padding=1)


def for_pixel_shuffle(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by our names, the features of the upsampling kernels [k k c 4d] in PyTorch's order:
    the four pixels of a feature lie together.
    """
    found = dict(arrays)
    for name, array in arrays.items():
        if "/up" in name and name.endswith("_conv/kernel"):
            patches = array.reshape(*array.shape[:3], 4, -1)
            found[name] = patches.swapaxes(3, 4).reshape(array.shape)
    return found


def _block(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    x = conv(state, f"{name}_conv", x, stride, 1)
    return F.relu(instance_norm(state, f"{name}_norm", x), inplace=True)
