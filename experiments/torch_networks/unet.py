"""The U-Net perturber: images → unbounded deltas."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from experiments.torch_networks.ops import State, conv, instance_norm, numbers


def unet(state: State, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Images in [-1, 1], their sides multiples of the stride, → P(x) before its bound.

    The channels of patches of pixels are in the order of `for_pixel_shuffle`.
    """
    levels = numbers(state, "down", "_conv.weight")
    patch = 2 ** (levels[0] - 1)
    skips = [_block(state, "enter", F.pixel_unshuffle(x, patch))]
    for level in levels:
        skips.append(_block(state, f"down{level}", skips[-1], stride=2))
    x = _block(state, "middle", skips.pop())
    for level in reversed(levels):
        x = F.pixel_shuffle(conv(state, f"up{level - 1}_conv", x, padding=1), 2)
        x = F.relu(instance_norm(state, f"up{level - 1}_norm", x), inplace=True)
        x = torch.cat([x, skips.pop()], 1)
    return F.pixel_shuffle(conv(state, "leave", x, padding=1), patch)


def for_pixel_shuffle(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays, with the patches' channels in PyTorch's order: one feature's lie together."""
    halvings = min(int(name.split("/down")[1][0]) for name in arrays if "/down" in name) - 1
    reordered = dict(arrays)
    for name, array in arrays.items():
        if "/up" in name and name.endswith("_conv/kernel"):
            reordered[name] = _by_feature(array, 1, -1)
        elif "/leave/" in name:
            reordered[name] = _by_feature(array, halvings, -1)
        elif name.endswith("/enter_conv/kernel"):
            reordered[name] = _by_feature(array, halvings, 2)
    return reordered


def _by_feature(array: np.ndarray, halvings: int, axis: int) -> np.ndarray:
    """An axis (row, column, row, column …, feature), as (feature, rows, columns)."""
    last = np.moveaxis(array, axis, -1)
    apart = last.reshape(*last.shape[:-1], *(2, 2) * halvings, -1)
    start, end = last.ndim - 1, apart.ndim - 1
    order = (*range(start), end, *range(start, end, 2), *range(start + 1, end, 2))
    return np.moveaxis(apart.transpose(order).reshape(last.shape), -1, axis)


def _block(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    x = conv(state, f"{name}_conv", x, stride, 1)
    return F.relu(instance_norm(state, f"{name}_norm", x), inplace=True)
