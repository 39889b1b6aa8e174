"""Xception detectors as FaceForensics++ and DeepfakeBench save them, and the ImageNet original.

FaceForensics++ (299 px): keys with or without `model.`, the head `last_linear` or, with dropout,
`last_linear.1`. DeepfakeBench (256 px): keys with `backbone.`, and an `adjust_channel` that its
Xception never uses. The ImageNet file: matrices instead of 1×1 kernels, 1000-class head `fc`.
"""

import re

from converters.core import Converter, size_of
from converters.reading import State
from dfd_jax.models.frozen import Card

FACE_FORENSICS_SIZE, DEEPFAKE_BENCH_SIZE = 299, 256
FACE_FORENSICS_DROPOUT = 0.5


def _rename(key: str) -> str:
    key = re.sub(r"^(model|backbone)\.", "", key)
    return re.sub(r"^(last_linear\.1|fc)\.", "last_linear.", key)


def channels_and_middle_blocks(state: State, prefix: str = "") -> tuple[list[int], int]:
    """`Xception.channels` and the number of middle blocks."""
    pattern = re.escape(prefix) + r"block\d+\.rep\.7\.conv1\.weight"
    middle = sum(bool(re.fullmatch(pattern, key)) for key in state)
    widths = {  # where each entry of `channels` can be read, and its full size
        "conv1": 32,
        "conv2": 64,
        "block1.rep.0.pointwise": 128,
        "block2.rep.1.pointwise": 256,
        "block3.rep.1.pointwise": 728,
        f"block{middle + 4}.rep.4.pointwise": 1024,
        "conv3.pointwise": 1536,
        "conv4.pointwise": 2048,
    }
    channels = [size_of(state, f"{prefix}{k}.weight", 0, full) for k, full in widths.items()]
    return channels, middle


def _describe(state: State, keys: set[str]) -> Card:
    channels, middle = channels_and_middle_blocks(state)
    has_dropout = any(key.endswith("last_linear.1.weight") for key in keys)
    hyper = {
        "channels": channels,
        "middle_blocks": middle,
        "num_classes": size_of(state, "last_linear.weight", 0, 2),
        "dropout": FACE_FORENSICS_DROPOUT if has_dropout else 0.0,
    }
    is_bench = any(key.startswith("backbone.") for key in keys)
    return Card(
        "xception",
        hyper,
        DEEPFAKE_BENCH_SIZE if is_bench else FACE_FORENSICS_SIZE,
        real_index=0 if hyper["num_classes"] == 2 else None,
    )


XCEPTION = Converter(
    describe=_describe,
    rename=_rename,
    ignorable=r"\.num_batches_tracked$|^adjust_channel\.",
)
