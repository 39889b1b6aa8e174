"""Networks and photos of the paper's tables and figures: python -m experiments.table1 and so on.

configs/experiments.py          the zoo's small networks on drawn faces, or on photographs in
                                CelebA's layout with --config.data.root=FOLDER
configs/experiments.py:paper    full-size networks on CelebA; the weights files are written by
                                `python -m converters` and `python -m dfd_jax.train`
"""

import ml_collections

from configs import common
from dfd_jax.runtime.config import Config, choose_variant


def get_config(arg: str | None = None) -> Config:
    """The config named by `arg`: None or "paper"."""
    return choose_variant(__file__, arg, _fields, {None: _zoo, "paper": _paper})


def _fields() -> Config:
    config: Config = ml_collections.ConfigDict()
    config.name = "experiments"  # the default workdir is runs/experiments; all tables share it
    config.seed = 0
    config.data = common.photos_section()
    config.photos = 0  # of the test split; 0: all
    # Side of the face crop in the files. The paper's files are as large as the network's
    # input; 0 takes photos as they are.
    config.crop_side = 64
    config.batch_size = 16
    config.generators = ml_collections.ConfigDict()  # name → weights file
    config.conditions = ml_collections.ConfigDict()  # name → conditions; missing: all
    config.driving = ml_collections.ConfigDict()
    config.driving.root = ""  # folder of driving videos; empty: five drawn motions
    config.driving.test_frames = 2  # per motion
    config.detectors = ml_collections.ConfigDict()
    config.in_the_loop = ("xception", "resnet18")  # detectors that P and the attacks use
    config.perturbers = ml_collections.ConfigDict()  # generator or ensemble → weights file
    config.attack_steps = 10
    # How the tables train perturbers that do not ship with the package, see training.py.
    config.train = ml_collections.ConfigDict()
    config.train.variant = "photos"  # of configs/GENERATOR.py
    config.train.steps = 300
    config.train.fake = 0.5  # C2
    config.train.ramp = 100
    return config


def _zoo(config: Config) -> None:
    for name in ("stargan", "ganimation", "fomm"):
        config.generators[name] = f"zoo:{name}"
        config.perturbers[name] = f"zoo:disrupter_{name}"
    config.perturbers.stargan = "zoo:disrupter_stargan_64"  # for files of the network's own size
    config.perturbers.ensemble = "zoo:disrupter_ensemble"
    for name in ("xception", "resnet18", "resnet50", "multi_attentional"):
        config.detectors[name] = f"zoo:{name}"


def _paper(config: Config) -> None:
    config.name = "experiments_paper"
    config.data.kind = "celeba"
    config.data.root = "celeba"
    config.data.size = config.crop_side = 256
    config.photos = 100  # the paper's number
    for name in ("stargan", "ganimation", "fomm"):
        config.generators[name] = f"weights/{name}.safetensors"
    for name in ("stargan", "ganimation", "fomm", "ensemble"):
        config.perturbers[name] = f"runs/{name}_paper/perturber.safetensors"
    for name in ("xception", "resnet18", "resnet50", "multi_attentional"):
        config.detectors[name] = f"weights/{name}.safetensors"
    config.train.variant = "paper"
    config.train.steps = 20_000
    config.train.fake = 0.1
    config.train.ramp = 0
