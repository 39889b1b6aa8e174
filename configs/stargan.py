"""A disrupter against StarGAN.

configs/stargan.py          small embedded networks on drawn faces: minutes on a laptop CPU
configs/stargan.py:photos   the same networks on real photographs: --config.data.root=FOLDER
configs/stargan.py:paper    full-size networks at the paper's scale, on accelerators; the weights
files are those
                            that `python -m converters` writes, in ./weights
"""

from configs import common
from dfd_jax.config import Config


def get_config(arg: str | None = None) -> Config:
    """The config named by `arg`: None, "photos" or "paper"."""
    variants = {None: _embedded, "photos": _photos, "paper": _paper}
    if arg not in variants:
        raise ValueError(f"configs/stargan.py has no variant {arg!r}; it has :photos and :paper")
    config = common.get_config()
    variants[arg](config)
    return config


def _embedded(config: Config) -> None:
    config.name = "stargan"
    config.data.kind = "synthetic"
    config.perturber.hyper = {"width": 16, "depth": 4}
    config.detectors = ("zoo:xception",)
    config.train.steps = 150
    config.train.checkpoint_every = 50
    config.evaluate.photos = 32
    config.evaluate.channels = False


def _photos(config: Config) -> None:
    config.name = "stargan_photos"
    config.perturber.hyper = {"width": 16, "depth": 4}
    config.detectors = ("zoo:xception", "zoo:resnet18")  # ResNet-50 stays unseen
    config.objective.fake = 0.3
    config.objective.ramp = 500  # break fakes first: from there detectors are won over faster
    config.train.steps = 1500


def _paper(config: Config) -> None:
    config.name = "stargan_paper"
    config.data.kind = "celeba"
    config.data.root = "celeba"
    config.data.size = 256
    config.data.workers = 16
    config.perturber.hyper = {"width": 64, "depth": 5}
    config.generators = ("weights/stargan.safetensors",)
    config.detectors = ("weights/xception.safetensors",)
    config.evaluate.detectors = tuple(
        f"weights/{name}.safetensors" for name in ("xception", "resnet18", "resnet50")
    )
    config.evaluate.photos = 100  # the paper's number
    config.evaluate.regions = (256, 512, 1024)
    config.channel.regions = (178, 256, 512, 1024)
    config.dtype = "bfloat16"
    config.train.batch_size = 256
    config.train.steps = 20_000
    config.train.learning_rate = 2e-4
    config.train.warmup = 500
    config.train.log_every = 50
    config.train.checkpoint_every = 1000
