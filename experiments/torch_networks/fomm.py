"""First Order Motion Model (Siarohin et al. 2019): keypoints, dense motion, generator.

Images are in [0, 1], coordinates (x, y) in [-1, 1].
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.spatial import ConvexHull
from torch import Tensor

from experiments.torch_networks.ops import State, batch_norm, conv, numbers, part

TEMPERATURE, VARIANCE = 0.1, 0.01
INVERSE_SCALE = 4  # keypoints and motion are found on images of a quarter of the side


class Keypoints(NamedTuple):
    """Where each keypoint is, and the linear part of the motion around it."""

    value: Float[Tensor, "b k 2"]
    jacobian: Float[Tensor, "b k 2 2"]


def fomm_animate(
    state: State,
    source: Float[Tensor, "b 3 h w"],
    driving: Float[Tensor, "b 3 h w"],
    driving_initial: Float[Tensor, "b 3 h w"],
    adapt_scale: bool = False,
) -> Float[Tensor, "b 3 h w"]:
    """The source moved as `driving` moved since `driving_initial` (the relative mode).

    `adapt_scale` scales the movement to the size of the source's face, as the authors' demo does.
    Keys of the state: `kp_detector.…` and `generator.…`.
    """
    detector, generator = part(state, "kp_detector."), part(state, "generator.")
    initial = fomm_keypoints(detector, driving_initial)
    of_source, of_driving = fomm_keypoints(detector, source), fomm_keypoints(detector, driving)
    moved = relative_keypoints(of_source, of_driving, initial, adapt_scale)
    return fomm_generator(generator, source, of_source, moved)


def fomm_keypoints(state: State, image: Float[Tensor, "b 3 h w"]) -> Keypoints:
    """Keypoints of an image and their jacobians."""
    features = _hourglass(state, "predictor", _shrink(state, "down", image))
    logits = conv(state, "kp", features)
    heat = F.softmax(logits.flatten(2) / TEMPERATURE, 2).view(logits.shape)
    h, w = heat.shape[2:]
    value = (heat[..., None] * _grid(h, w, heat)).sum((2, 3))
    maps = conv(state, "jacobian", features).unflatten(1, (-1, 4))
    jacobian = (heat[:, :, None] * maps).sum((3, 4)).unflatten(2, (2, 2))
    return Keypoints(value, jacobian)


def relative_keypoints(
    source: Keypoints, driving: Keypoints, initial: Keypoints, adapt_scale: bool = False
) -> Keypoints:
    """The source's keypoints, moved as the driving ones moved since the initial frame.

    `adapt_scale`: movements times the ratio of the faces' sizes, the square roots of the areas
    around the keypoints, which are those of the first image for all, and carry no gradient.
    """
    moved = driving.value - initial.value
    if adapt_scale:
        areas = (ConvexHull(one.value[0].detach().numpy()).volume for one in (source, initial))
        moved = moved * (next(areas) / next(areas)) ** 0.5
    turned = driving.jacobian @ torch.linalg.inv(initial.jacobian)
    return Keypoints(source.value + moved, turned @ source.jacobian)


def fomm_generator(
    state: State, source: Float[Tensor, "b 3 h w"], of_source: Keypoints, of_driving: Keypoints
) -> Float[Tensor, "b 3 h w"]:
    """The source image with its keypoints moved to the driving ones."""
    x = conv(state, "first.conv", source, padding=3)
    x = F.relu(batch_norm(state, "first.norm", x), inplace=True)
    for number in numbers(state, "down_blocks.", ".conv.weight"):
        x = _down(state, f"down_blocks.{number}", x)
    motion = part(state, "dense_motion_network.")
    flow, visible = _dense_motion(motion, source, of_source, of_driving)
    size = x.shape[2:]
    flow = F.interpolate(flow, size, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    x = F.grid_sample(x, flow, align_corners=False)
    x = x * F.interpolate(visible, size, mode="bilinear", align_corners=False)
    for number in numbers(state, "bottleneck.r", ".conv1.weight"):
        x = _residual(state, f"bottleneck.r{number}", x)
    for number in numbers(state, "up_blocks.", ".conv.weight"):
        x = _up(state, f"up_blocks.{number}", x)
    return torch.sigmoid(conv(state, "final", x, padding=3))


def _dense_motion(
    state: State, source: Tensor, of_source: Keypoints, of_driving: Keypoints
) -> tuple[Tensor, Tensor]:
    """Where every pixel comes from [b 2 h w], and how visible that is [b 1 h w]."""
    image = _shrink(state, "down", source)
    (b, _, h, w), k = image.shape, of_source.value.shape[1]
    grid = _grid(h, w, image)
    heat = _gaussians(grid, of_driving) - _gaussians(grid, of_source)
    heat = F.pad(heat, (0, 0, 0, 0, 1, 0))  # the background has none
    to_source = of_source.jacobian @ torch.linalg.inv(of_driving.jacobian)
    offset = grid - of_driving.value[:, :, None, None]
    moved = (to_source[:, :, None, None] @ offset[..., None]).squeeze(-1)
    moved = moved + of_source.value[:, :, None, None]
    motions = torch.cat([grid.expand(b, 1, h, w, 2), moved], 1)
    copies = image[:, None].expand(-1, k + 1, -1, -1, -1).flatten(0, 1)
    warped = F.grid_sample(copies, motions.flatten(0, 1), align_corners=False)
    seen = torch.cat([heat[:, :, None], warped.unflatten(0, (b, k + 1))], 2).flatten(1, 2)
    features = _hourglass(state, "hourglass", seen)
    mask = F.softmax(conv(state, "mask", features, padding=3), 1)
    flow = (motions * mask[..., None]).sum(1).permute(0, 3, 1, 2)
    return flow, torch.sigmoid(conv(state, "occlusion", features, padding=3))


def _gaussians(grid: Tensor, keypoints: Keypoints) -> Tensor:
    """[b k h w]: a bell around every keypoint."""
    distance = (grid - keypoints.value[:, :, None, None]).square().sum(-1)
    return torch.exp(-0.5 * distance / VARIANCE)


def _grid(h: int, w: int, like: Tensor) -> Tensor:
    """[h w 2]: (x, y) of every pixel, from -1 to 1 between the corner pixels."""
    x, y = (torch.arange(n).to(like) * (2 / (n - 1)) - 1 for n in (w, h))
    return torch.stack([x.expand(h, w), y[:, None].expand(h, w)], -1)


def _shrink(state: State, name: str, x: Tensor) -> Tensor:
    """A quarter of the side, anti-aliased by the stored kernel."""
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, None, INVERSE_SCALE, weight.shape[-1] // 2, groups=x.shape[1])


def _hourglass(state: State, name: str, x: Tensor) -> Tensor:
    """Down and up again; every map on the way up is joined with the one on the way down."""
    encoder, decoder = f"{name}.encoder.down_blocks.", f"{name}.decoder.up_blocks."
    skips = [x]
    for number in numbers(state, encoder, ".conv.weight"):
        skips.append(_down(state, f"{encoder}{number}", skips[-1]))
    x = skips.pop()
    for number in numbers(state, decoder, ".conv.weight"):
        x = torch.cat([_up(state, f"{decoder}{number}", x), skips.pop()], 1)
    return x


def _down(state: State, name: str, x: Tensor) -> Tensor:
    x = batch_norm(state, f"{name}.norm", conv(state, f"{name}.conv", x, padding=1))
    return F.avg_pool2d(F.relu(x, inplace=True), 2)


def _up(state: State, name: str, x: Tensor) -> Tensor:
    x = F.interpolate(x, scale_factor=2, mode="nearest")
    x = batch_norm(state, f"{name}.norm", conv(state, f"{name}.conv", x, padding=1))
    return F.relu(x, inplace=True)


def _residual(state: State, name: str, x: Tensor) -> Tensor:
    y = x
    for number in (1, 2):
        y = F.relu(batch_norm(state, f"{name}.norm{number}", y), inplace=True)
        y = conv(state, f"{name}.conv{number}", y, padding=1)
    return x + y
