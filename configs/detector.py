"""A deepfake detector.

configs/detector.py             a small ResNet-18 on drawn faces: minutes on a laptop CPU
configs/detector.py:resnet18    the zoo's networks, on drawn faces and photographs
configs/detector.py:resnet50    (--config.data.root=FOLDER)
configs/detector.py:xception
configs/detector.py:multi_attentional       a small multi-attentional detector, likewise
configs/detector.py:full        full-size Xception at 256 px, on accelerators; other models with
                                --config.detector.model=resnet50
configs/detector.py:full_multi_attentional  size, losses and schedule of its paper, at 380 px
"""

import dataclasses
import functools

import ml_collections

from configs import common
from dfd_jax.opponents.attention_losses import AttentionLosses
from dfd_jax.runtime.config import Config, choose_variant

ZOO = {  # hyper-parameters of the zoo's detectors by model
    "resnet18": {"width": 16},
    "resnet50": {"width": 12},
    "xception": {"channels": (8, 16, 32, 64, 160, 192, 256, 320), "middle_blocks": 4},
    "multi_attentional": {
        "channels": (16, 8, 16, 24, 40, 56, 80, 112, 160),
        "depths": (1, 2, 2, 2, 2, 2, 1),
        "attention_layer": "b3",
        "mid_dims": 64,
    },
}


def get_config(arg: str | None = None) -> Config:
    """The config named by `arg`: None or one of those above."""
    variants = {
        None: _embedded,
        **{model: functools.partial(_zoo, model=model) for model in ZOO},
        "full": _full,
        "full_multi_attentional": _full_multi_attentional,
    }
    return choose_variant(__file__, arg, _common, variants)


def _common() -> Config:
    config: Config = ml_collections.ConfigDict()
    config.name = "detector"  # the default workdir is runs/NAME
    config.seed = 0
    config.dtype = "float32"  # compute type: float32 | bfloat16 (parameters stay float32)
    config.export_dtype = "float32"  # of the weights file

    config.detector = ml_collections.ConfigDict()
    # resnet18 | resnet50 | xception | efficientnet | multi_attentional
    config.detector.model = "resnet18"
    config.detector.hyper = ml_collections.ConfigDict({"width": 16})

    config.data = common.photos_section()  # without a root: drawn faces only
    config.data.count = 200  # drawn faces to train on besides photos; 0: none

    config.fakes = ml_collections.ConfigDict()
    config.fakes.families = ()  # manipulations made on the fly (manipulations.py); (): all
    config.fakes.folders = ()  # folders of ready-made fakes
    config.fakes.generators = ()  # weights files of generators that make fakes
    config.fakes.made_share = 0.5  # share made on the fly if there are other fakes

    config.train = ml_collections.ConfigDict()
    config.train.steps = 900
    config.train.batch_size = 24  # pairs of a real photo and a fake, over all devices
    config.train.learning_rate = 2e-3
    config.train.warmup = 100
    config.train.clip = 1.0
    config.train.weight_decay = 0.02
    config.train.label_smoothing = 0.02
    config.train.averaging = 0.99  # decay of the moving average of the weights
    config.train.log_every = 25
    config.train.evaluate_every = 100
    config.train.keep = 2

    # Fields: AttentionLosses; empty: cross-entropy alone.
    config.attention_losses = ml_collections.ConfigDict()

    config.evaluate = ml_collections.ConfigDict()
    config.evaluate.photos = 0  # per split and kind of photos; 0 = all
    config.evaluate.pass_rate = 0.98  # of the validation's real photos, set by calibration
    config.evaluate.generators = ("zoo:stargan",)  # their fakes are only tested on
    return config


def _embedded(config: Config) -> None:
    config.data.kind = "synthetic"
    config.train.steps = 400


def _zoo(config: Config, model: str) -> None:
    config.name = f"detector_{model}"
    config.detector.model = model
    config.detector.hyper = ZOO[model]
    config.export_dtype = "float16"
    config.train.steps = 2000
    config.train.batch_size = 16
    config.train.averaging = 0.995
    config.train.evaluate_every = 200
    if model == "multi_attentional":
        _attention_losses(config)  # for 64 pixels:
        config.attention_losses.update({"epoch_steps": 200, "shrink": 0.5, "sigma": 2.0})


def _full(config: Config) -> None:
    config.name = "detector_full"
    config.detector.model = "xception"
    config.detector.hyper = ml_collections.ConfigDict()
    config.dtype = "bfloat16"
    config.data.kind = "celeba"
    config.data.root = "celeba"
    config.data.count = 0
    config.data.size = 256
    config.data.workers = 16
    config.train.steps = 20_000
    config.train.batch_size = 64
    config.train.learning_rate = 5e-4
    config.train.warmup = 1000
    config.train.log_every = 50
    config.train.evaluate_every = 1000
    config.evaluate.photos = 1000


def _full_multi_attentional(config: Config) -> None:
    _full(config)
    config.name = "detector_full_multi_attentional"
    config.detector.model = "multi_attentional"  # on EfficientNet-B4
    config.data.size = 380
    config.train.batch_size = 24  # pairs: 48 photos
    config.train.learning_rate = 1e-3
    config.train.weight_decay = 1e-6
    config.train.label_smoothing = 0.0
    _attention_losses(config)


def _attention_losses(config: Config) -> None:
    """The losses of multi-attentional training with the paper's settings."""
    config.attention_losses = ml_collections.ConfigDict(dataclasses.asdict(AttentionLosses()))
