"""Small PyTorch checkpoint files of every network, and what converting them gives."""

import collections

import numpy as np
import pytest

from converters import __main__ as cli
from converters import core
from dfd_jax import models
from dfd_jax.models.frozen import Card

torch = pytest.importorskip("torch", reason="PyTorch, which reads checkpoints, is not installed")

XCEPTION = {"channels": [4, 6, 8, 10, 12, 14, 16, 18], "middle_blocks": 2, "num_classes": 2}
EFFICIENTNET = {"channels": [8, 4, 6, 8, 12, 16, 20, 24, 32], "depths": [1, 2, 1, 3, 1, 1, 2]}
FOMM = {
    "num_kp": 3,
    "kp_block_expansion": 4,
    "kp_num_blocks": 2,
    "kp_max_features": 8,
    "kp_scale_factor": 1.0,
    "block_expansion": 4,
    "max_features": 16,
    "num_down_blocks": 2,
    "num_bottleneck_blocks": 1,
    "motion_block_expansion": 6,
    "motion_num_blocks": 3,
    "motion_max_features": 20,
    "motion_scale_factor": 1.0,
}
CARDS = {
    "stargan": Card("stargan", {"conv_dim": 4, "c_dim": 5, "blocks": 2}, 128),
    "stargan_discriminator": Card(
        "stargan_discriminator", {"image_size": 16, "conv_dim": 4, "c_dim": 3, "layers": 3}, 16
    ),
    "ganimation": Card("ganimation", {"conv_dim": 4, "c_dim": 17, "blocks": 2}, 128),
    "resnet": Card("resnet18", {"stage_sizes": [1, 2, 1, 1], "width": 4, "num_classes": 2}, 224),
    "xception": Card("xception", XCEPTION, 299),
    "fomm": Card("fomm", FOMM, 256),
    "efficientnet": Card("efficientnet", {**EFFICIENTNET, "nominal_size": 224}, 224),
    "multi_attentional": Card("multi_attentional", {**EFFICIENTNET, "maps": 2, "mid_dims": 6}, 224),
}


def small_state(name):
    """A small PyTorch state dict of the network, with weights that depend on every key."""
    shapes = models.variable_shapes(CARDS[name])
    rng = np.random.default_rng(0)
    return collections.OrderedDict(
        (core.torch_key(n), torch.from_numpy(rng.normal(size=core.to_torch_shape(s))).float())
        for n, s in shapes.items()
    )


def save(content, path, zipped=True):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def convert(name, path, *options):
    """Run the command line; the network it wrote."""
    out = path.with_suffix(".safetensors")
    cli.main([name, str(path), str(out), *options])
    return models.load(out)


def refusal(name, path, *options):
    """What the command line says when it refuses; nothing must have been written."""
    with pytest.raises(ValueError, match=r".") as caught:
        convert(name, path, *options)
    assert not path.with_suffix(".safetensors").exists()
    assert not path.with_suffix(".json").exists()
    return str(caught.value)
