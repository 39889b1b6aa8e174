"""The multi-attentional deepfake detector (Zhao et al. 2021), released version."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from experiments.torch_networks.classifiers import efficientnet_stages, xception_stages
from experiments.torch_networks.ops import State, batch_norm, conv, dense, part

SMALL = 1e-8
MASK_SIZE, MASK_BORDER = 24, 2


def multi_attentional(
    state: State,
    x: Float[Tensor, "b 3 h w"],
    feature_layer: str = "b2",
    attention_layer: str = "b5",
) -> Float[Tensor, "b num_classes"]:
    """Images → logits. The backbone (Xception or EfficientNet) is told by the keys."""
    net = part(state, "net.")
    is_efficient = "_conv_stem.weight" in net
    stages = efficientnet_stages(net, x, padding="nominal") if is_efficient else None
    stages = stages or xception_stages(net, x)
    attentions = _attention_maps(state, stages[attention_layer])
    textures = _textures(state, stages[feature_layer], attentions)
    local = F.normalize(_pool(textures, attentions), dim=-1).flatten(1)
    local = F.hardswish(dense(state, "projection_local.0", local))
    local = F.hardswish(dense(state, "projection_local.2", local))
    joined = torch.cat([local, _pooled_final(state, stages["final"], attentions)], 1)
    joined = F.hardswish(dense(state, "ensemble_classifier_fc.0", joined))
    return dense(state, "ensemble_classifier_fc.2", joined)


def _attention_maps(state: State, x: Tensor) -> Tensor:
    """[b maps h w]: where to look; nowhere in the border."""
    x = batch_norm(state, "attentions.bn1", conv(state, "attentions.conv_extract", x, padding=1))
    x = conv(state, "attentions.conv2", F.relu(x, inplace=True))
    x = F.elu(batch_norm(state, "attentions.bn2", x)) + 1
    inside = MASK_SIZE - 2 * MASK_BORDER
    mask = F.pad(x.new_ones(1, 1, inside, inside), (MASK_BORDER,) * 4)
    return x * F.interpolate(mask, x.shape[2:], mode="nearest")


def _textures(state: State, x: Tensor, attentions: Tensor) -> Tensor:
    """[b maps c h w]: the fine texture of the features where each map looks."""
    name, maps = "texture_enhance", attentions.shape[1]
    x = conv(state, f"{name}.conv_extract", x, padding=1)
    size, channels = x.shape[2:], x.shape[1]
    rows, columns = attentions.shape[2:]
    coarse = F.adaptive_avg_pool2d(x, (rows, columns))
    if size[0] > coarse.shape[2]:
        x = x - F.interpolate(coarse, size, mode="nearest")
    weights = _resize(attentions.detach(), size).tanh()
    x = (x[:, None] * weights[:, :, None]).flatten(1, 2)
    x = conv(state, f"{name}.conv0", x, padding=2, groups=maps)
    for number in (1, 2, 3):
        y = F.relu(batch_norm(state, f"{name}.bn{number}", x), inplace=True)
        y = conv(state, f"{name}.conv{number}", y, padding=1, groups=maps)
        grouped = [one.unflatten(1, (maps, -1)) for one in (x, y)]
        x = torch.cat(grouped, 2).flatten(1, 2)
    x = F.relu(batch_norm(state, f"{name}.bn4", x), inplace=True)
    x = batch_norm(state, f"{name}.bn_last", conv(state, f"{name}.conv_last", x, groups=maps))
    return F.relu(x, inplace=True).unflatten(1, (maps, channels))


def _pool(features: Tensor, attentions: Tensor) -> Tensor:
    """[b maps c h w] or [b 1 c h w] → [b maps c], weighted by each map."""
    attentions = _resize(attentions, features.shape[3:])
    return (features * attentions[:, :, None]).sum((3, 4))


def _pooled_final(state: State, final: Tensor, attentions: Tensor) -> Tensor:
    attention = _resize(attentions.sum(1, keepdim=True), final.shape[2:]) + SMALL
    pooled = (final * attention).sum((2, 3)) / attention.sum((2, 3))
    return F.hardswish(dense(state, "project_final", pooled))


def _resize(maps: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(maps, size, mode="bilinear", align_corners=True)
