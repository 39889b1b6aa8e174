"""Eight virtual CPU devices for every test, and the smallest networks of the same code."""

import atexit
import gc
import os
import shutil
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "")
if "xla_force_host_platform_device_count" not in os.environ["XLA_FLAGS"]:
    os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=8"
if "xla_backend_optimization_level" not in os.environ["XLA_FLAGS"]:
    # tests mostly compile: this halves it, and small programs run as fast
    os.environ["XLA_FLAGS"] += " --xla_backend_optimization_level=0"
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # processes that tests start compile the same
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="dfd-xla-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import pathlib

import numpy as np
import pytest
from absl import flags

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


def pytest_configure(config):
    gc.set_threshold(200_000, 50, 100)  # tracing makes many objects that live long
    flags.FLAGS.mark_as_parsed()  # grain's worker processes read absl flags


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
