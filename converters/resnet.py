"""ResNets as torchvision saves them, with 1000 classes or another head.

Basic blocks become `resnet18` and bottlenecks `resnet50`; other depths (34, 101, 152) are the same
code with other `stage_sizes`, counted from the keys.
"""

import re

from converters.core import Converter, size_of
from converters.reading import State
from dfd_jax.models.frozen import Card

IMAGENET_MEAN, IMAGENET_STD, IMAGENET_SIZE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224


def _describe(state: State, keys: set[str]) -> Card:
    blocks = [re.match(r"layer(\d+)\.(\d+)\.conv1\.weight$", key) for key in state]
    stages = [int(match.group(1)) for match in blocks if match]
    is_bottleneck = "layer1.0.conv3.weight" in state
    hyper = {
        "stage_sizes": [stages.count(stage) for stage in range(1, max(stages, default=0) + 1)],
        "bottleneck": is_bottleneck,
        "width": size_of(state, "conv1.weight", 0, 64),
        "num_classes": size_of(state, "fc.weight", 0, 2),
    }
    return Card(
        "resnet50" if is_bottleneck else "resnet18",
        hyper,
        IMAGENET_SIZE,
        input_mean=IMAGENET_MEAN,
        input_std=IMAGENET_STD,
        real_index=0 if hyper["num_classes"] == 2 else None,
    )


# A head replaced by Sequential(Dropout, Linear) is saved as fc.1.
RESNET = Converter(describe=_describe, rename=lambda key: re.sub(r"^fc\.1\.", "fc.", key))
