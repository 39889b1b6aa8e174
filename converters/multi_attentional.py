"""Multi-attentional detectors as the authors' training saves them, on EfficientNet or Xception.

A checkpoint nests {"logs", "state_dict", "optimizer_state", "scheduler_state"}. The buffers of the
training loss (`auxiliary_loss.*`) are left out. The border mask is checked, since it is a constant
here. Xception's stages 3 to 11 look alike, so the one that the authors use is assumed.
"""

from typing import Any

import numpy as np

from converters.core import Converter, size_of
from converters.efficientnet import channels_and_depths, nominal_size
from converters.reading import State
from converters.xception import FACE_FORENSICS_SIZE, channels_and_middle_blocks
from dfd_jax.models.detectors.multi_attentional import border_mask
from dfd_jax.models.frozen import Card

USUAL = "b5"  # the authors' attention layer, where several stages have the same channels


def _describe(state: State, keys: set[str]) -> Card:
    _check_version(state)
    if "net._conv_stem.weight" in state:
        channels, depths = channels_and_depths(state, "net.")
        stages = {f"b{number}": width for number, width in enumerate(channels[:-1])}
        backbone, size = "efficientnet", nominal_size(channels, depths)
    else:
        channels, middle = channels_and_middle_blocks(state, "net.")
        stages = {f"b{n}": c for n, c in enumerate([*channels[1:5], *[channels[4]] * middle])}
        stages[f"b{middle + 4}"] = channels[5]
        backbone, depths, size = "xception", [middle], FACE_FORENSICS_SIZE
    stages["final"] = channels[-1]
    hyper: dict[str, Any] = {
        "backbone": backbone,
        "channels": channels,
        "depths": depths,
        "feature_layer": _layer(stages, state, "texture_enhance.conv_extract.weight"),
        "attention_layer": _layer(stages, state, "attentions.conv_extract.weight"),
        "maps": size_of(state, "attentions.conv2.weight", 0, 4),
        "mid_dims": size_of(state, "project_final.weight", 0, 256),
        "num_classes": size_of(state, "ensemble_classifier_fc.2.weight", 0, 2),
    }
    return Card(
        "multi_attentional", hyper, size, real_index=0 if hyper["num_classes"] == 2 else None
    )


def _layer(stages: dict[str, int], state: State, key: str) -> str:
    """The stage whose output the convolution takes. ValueError if none has its channels."""
    width = size_of(state, key, 1, stages.get(USUAL, 0))
    fitting = [name for name, channels in stages.items() if channels == width]
    if not fitting:
        known = ", ".join(f"{name} {channels}" for name, channels in stages.items())
        raise ValueError(
            f"{key} takes {width} channels, as no stage of the backbone has them: {known}; "
            "is the file complete, and from one network?"
        )
    return USUAL if USUAL in fitting else fitting[0]


def _check_version(state: State) -> None:
    """ValueError if the file's network computes something else under the same names."""
    if size_of(state, "texture_enhance.conv0.weight", 2, 5) == 1:
        raise ValueError(
            "this file has the first version of texture enhancement (conv0 has one pixel, shared "
            "by all maps); only the second, released one is supported (conv0 of 5x5 for each map)"
        )
    mask = state.get("attentions.mask")
    if mask is not None and not np.array_equal(mask[0, 0], border_mask()):
        raise ValueError(
            f"attentions.mask ({mask.shape[-2]}x{mask.shape[-1]}) is not the authors' border of "
            "two pixels in 24x24; such a network would compute something else here"
        )


MULTI_ATTENTIONAL = Converter(
    describe=_describe,
    ignorable=r"\.num_batches_tracked$|^auxiliary_loss\.|^attentions\.mask$",
)
