"""A layer of a state dict, applied: the few that all networks share."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

State = Mapping[str, Tensor]


def conv(
    state: State, name: str, x: Tensor, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """The convolution `name`, with its bias if it has one."""
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    return F.conv2d(x, weight, bias, stride, padding, groups=groups)


def dense(state: State, name: str, x: Tensor) -> Tensor:
    """The linear layer `name`."""
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def batch_norm(state: State, name: str, x: Tensor, epsilon: float = 1e-5) -> Tensor:
    """The batch norm `name` on its stored statistics."""
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, epsilon)


def instance_norm(state: State, name: str, x: Tensor) -> Tensor:
    """The instance norm `name` on the statistics of the image, never on stored ones.

    Written as a group norm of one channel a group, the same numbers: on CPU it is several times
    faster than `F.instance_norm`, whose gradient PyTorch 2.13 gets wrong for a single image in the
    memory format channels_last (off by 141 %, without an error).
    """
    return F.group_norm(x, x.shape[1], state[f"{name}.weight"], state[f"{name}.bias"])


def part(state: State, prefix: str) -> dict[str, Tensor]:
    """What belongs to one part of a network, its prefix taken off."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def numbers(state: State, prefix: str, suffix: str) -> list[int]:
    """The numbers n for which PREFIXnSUFFIX is a key, in order."""
    cut = [k.removeprefix(prefix).removesuffix(suffix) for k in state if k.startswith(prefix)]
    return sorted(int(n) for n in cut if n.isdecimal() and f"{prefix}{n}{suffix}" in state)
