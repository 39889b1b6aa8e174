"""The networks of this project once more, in PyTorch, for the Flax ones to be held against.

Every function runs a network straight from a state dict with the keys of the original checkpoints,
NCHW, in inference mode. Sizes are read off the arrays. Nothing here knows Flax.
"""

from experiments.torch_networks.classifiers import efficientnet, resnet, xception
from experiments.torch_networks.fomm import (
    Keypoints,
    fomm_animate,
    fomm_generator,
    fomm_keypoints,
    relative_keypoints,
)
from experiments.torch_networks.generators import ganimation, stargan, stargan_discriminator
from experiments.torch_networks.multi_attentional import multi_attentional
from experiments.torch_networks.ops import State, part
from experiments.torch_networks.unet import for_pixel_shuffle, unet

__all__ = [
    "Keypoints",
    "State",
    "efficientnet",
    "fomm_animate",
    "fomm_generator",
    "fomm_keypoints",
    "for_pixel_shuffle",
    "ganimation",
    "multi_attentional",
    "part",
    "relative_keypoints",
    "resnet",
    "stargan",
    "stargan_discriminator",
    "unet",
    "xception",
]
