"""The smallest networks of the same code, and what their cards say."""

import pathlib

from dfd_jax import models
from dfd_jax.data.expressions import ACTION_UNITS
from dfd_jax.models.frozen import Card

SHARED = pathlib.Path(__file__).parents[2] / "shared"
NAMES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
LABELS = {"stargan": NAMES, "ganimation": ACTION_UNITS}
TINY = {
    "stargan": {"conv_dim": 4, "c_dim": 5, "blocks": 1},
    "ganimation": {"conv_dim": 4, "blocks": 1},
    "resnet18": {"width": 4},
    "resnet50": {"width": 4, "stage_sizes": (1, 1, 1, 1)},
    "xception": {"channels": (4, 8, 8, 8, 8, 8, 16, 16), "middle_blocks": 1},
    "efficientnet": {"channels": (8, 4, 6, 8, 8, 10, 10, 12, 16), "depths": (1, 2, 1, 1, 1, 1, 1)},
    "multi_attentional": {
        "channels": (8, 4, 6, 8, 8, 10, 10, 12, 16),
        "depths": (1, 1, 1, 1, 1, 1, 1),
        "attention_layer": "b3",
        "maps": 2,
        "mid_dims": 8,
    },
    "fomm": {
        "num_kp": 4,
        "kp_block_expansion": 4,
        "kp_num_blocks": 1,
        "kp_scale_factor": 0.5,
        "block_expansion": 4,
        "num_down_blocks": 1,
        "num_bottleneck_blocks": 1,
        "motion_block_expansion": 4,
        "motion_num_blocks": 1,
        "motion_scale_factor": 0.5,
    },
    "unet": {"width": 4, "depth": 2},
    "resnet_perturber": {"width": 4, "blocks": 1},
}
PERTURBERS = ("unet", "resnet_perturber")
DETECTORS = ("resnet18", "resnet50", "xception", "efficientnet", "multi_attentional")


def tiny_network(model, size=16, seed=0):
    """A randomly initialised small network of the model, frozen."""
    card = Card(
        model=model,
        hyper=TINY[model],
        input_size=size,
        condition=LABELS.get(model, ()),
        real_index=0 if model in DETECTORS else None,
        input_mean=(0.0,) * 3 if model == "fomm" else (0.5,) * 3,
        input_std=(1.0,) * 3 if model == "fomm" else (0.5,) * 3,
        budget={"eps_255": 6.375, "bound": "tanh"} if model in PERTURBERS else None,
    )
    return models.build(card, seed)
