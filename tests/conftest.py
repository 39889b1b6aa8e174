"""Eight virtual CPU devices for every test, and the smallest networks of the same code."""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # processes that tests start compile the same
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="dfd-xla-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import pathlib

import numpy as np
import pytest
from absl import flags

from dfd_jax import models
from dfd_jax.models.frozen import Card

SHARED = pathlib.Path(__file__).parents[2] / "shared"
NAMES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
TINY = {
    "stargan": {"conv_dim": 4, "c_dim": 5, "blocks": 1},
    "resnet18": {"width": 4},
    "xception": {"channels": (4, 8, 8, 8, 8, 8, 16, 16), "middle_blocks": 1},
    "unet": {"width": 4, "depth": 2},
    "resnet_perturber": {"width": 4, "blocks": 1},
}
PERTURBERS = ("unet", "resnet_perturber")


def pytest_configure(config):
    flags.FLAGS.mark_as_parsed()  # grain's worker processes read absl flags


def tiny_network(model, size=16, seed=0):
    """A randomly initialised small network of the model, frozen."""
    card = Card(
        model=model,
        hyper=TINY[model],
        input_size=size,
        condition=NAMES if model == "stargan" else (),
        real_index=0 if model in ("resnet18", "xception") else None,
        budget={"eps_255": 6.375, "bound": "tanh"} if model in PERTURBERS else None,
    )
    return models.build(card, seed)


@pytest.fixture
def tiny():
    """`tiny(model, size=16, seed=0)`: a small random network."""
    return tiny_network


@pytest.fixture(scope="session")
def tiny_zoo(tmp_path_factory):
    """Weights files of small random networks, by model name."""
    folder = tmp_path_factory.mktemp("zoo")
    paths = {}
    for model in ("stargan", "resnet18", "xception", "unet"):
        net = tiny_network(model)
        paths[model] = folder / f"{model}.safetensors"
        models.save(paths[model], net.variables, net.card)
    return paths


@pytest.fixture
def photos():
    """Eight 16-pixel pictures, uint8, with structure at several scales."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 4, 4, 3)).repeat(4, 1).repeat(4, 2)
    return np.clip(coarse + rng.integers(-20, 21, (8, 16, 16, 3)), 0, 255).astype(np.uint8)
