"""EfficientNets as `efficientnet_pytorch` saves them, and detectors built on that package.

The package's own files (1000 classes) and two-class heads trained from them. DeepfakeBench: keys
with `backbone.efficientnet.`, the head `last_layer`, images of 256 pixels, and a first convolution
replaced by one that does not pad. Self-blended images (Shiohara and Yamasaki 2022): keys with
`net.`, pixels in [0, 1] as they are. Files trained with AdvProp look like any other: give them
--mean and --std of 0.5.
"""

import re
from itertools import groupby
from typing import Any

from converters.core import Converter, size_of
from converters.reading import State
from converters.resnet import IMAGENET_MEAN, IMAGENET_STD
from dfd_jax.models.detectors.efficientnet import VARIANTS, variant_sizes
from dfd_jax.models.frozen import Card

DEEPFAKE_BENCH_SIZE, UNKNOWN_SIZE = 256, 224


def channels_and_depths(state: State, prefix: str = "") -> tuple[list[int], list[int]]:
    """Of stem, stages and head; of every stage. A new stage begins where the channels change."""
    blocks = sum(key.startswith(f"{prefix}_blocks.") for key in state if "_bn2.bias" in key)
    widths = [
        size_of(state, f"{prefix}_blocks.{number}._project_conv.weight", 0, 0)
        for number in range(blocks)
    ]
    stages = [(width, len(list(same))) for width, same in groupby(widths)]
    stem = size_of(state, f"{prefix}_conv_stem.weight", 0, 32)
    head = size_of(state, f"{prefix}_conv_head.weight", 0, 1280)
    return [stem, *(width for width, _ in stages), head], [depth for _, depth in stages]


def nominal_size(channels: list[int], depths: list[int]) -> int:
    """The side of the images that a variant of these sizes is made for; 224 if there is none."""
    for name in VARIANTS:
        sizes = variant_sizes(name)
        if sizes["channels"] == tuple(channels) and sizes["depths"] == tuple(depths):
            return sizes["nominal_size"]
    return UNKNOWN_SIZE


def _rename(key: str) -> str:
    key = re.sub(r"^((model|net|backbone|efficientnet)\.)+", "", key)
    return re.sub(r"^(last_layer|_fc\.1)\.", "_fc.", key)


def _describe(state: State, keys: set[str]) -> Card:
    channels, depths = channels_and_depths(state)
    size = nominal_size(channels, depths)
    is_bench = any(key.startswith("backbone.") for key in keys)
    is_blended = any(key.startswith("net.") for key in keys)
    hyper = {
        "channels": channels,
        "depths": depths,
        "nominal_size": size,
        "padding": "bare_stem" if is_bench else "running",
        "num_classes": size_of(state, "_fc.weight", 0, 2),
    }
    normalised: dict[str, Any] = {"input_mean": IMAGENET_MEAN, "input_std": IMAGENET_STD}
    if is_blended:
        normalised = {"input_mean": (0.0,) * 3, "input_std": (1.0,) * 3}
    elif is_bench:
        normalised = {}
    return Card(
        "efficientnet",
        hyper,
        DEEPFAKE_BENCH_SIZE if is_bench else size,
        **normalised,
        real_index=0 if hyper["num_classes"] == 2 else None,
    )


EFFICIENTNET = Converter(describe=_describe, rename=_rename)
