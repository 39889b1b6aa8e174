"""StarGAN as its authors' solver saves it: `200000-G.ckpt` and `200000-D.ckpt`.

The running statistics of the generator's instance norms are ignored: its authors never switch it to
evaluation mode, and with them the published weights give broken pictures.
"""

import re

from converters.core import Converter, size_of
from converters.reading import State
from dfd_jax.models.frozen import Card

CELEBA_LABELS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")  # the authors' default
CELEBA_SIZE = 128


def _describe_generator(state: State, keys: set[str]) -> Card:
    hyper = {
        "conv_dim": size_of(state, "main.0.weight", 0, 64),
        "c_dim": size_of(state, "main.0.weight", 1, 8) - 3,
        "blocks": sum(bool(re.fullmatch(r"main\.\d+\.main\.0\.weight", key)) for key in state),
    }
    labels = tuple(f"label_{i}" for i in range(hyper["c_dim"]))
    condition = CELEBA_LABELS if hyper["c_dim"] == len(CELEBA_LABELS) else labels
    return Card("stargan", hyper, CELEBA_SIZE, condition=condition)


def _describe_discriminator(state: State, keys: set[str]) -> Card:
    layers = sum(bool(re.fullmatch(r"main\.\d+\.weight", key)) for key in state)
    image_size = size_of(state, "conv2.weight", 2, 2) * 2**layers
    hyper = {
        "image_size": image_size,
        "conv_dim": size_of(state, "main.0.weight", 0, 64),
        "c_dim": size_of(state, "conv2.weight", 0, 5),
        "layers": layers,
    }
    return Card("stargan_discriminator", hyper, image_size)


GENERATOR = Converter(
    describe=_describe_generator,
    ignorable=r"\.(running_mean|running_var|num_batches_tracked)$",
)
DISCRIMINATOR = Converter(describe=_describe_discriminator)
