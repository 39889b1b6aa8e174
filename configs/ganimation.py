"""A disrupter against GANimation, with a random expression for every photo and step.

configs/ganimation.py          small networks on drawn faces: minutes on a laptop CPU
configs/ganimation.py:photos   the same networks on photographs: --config.data.root=FOLDER
configs/ganimation.py:paper    full-size networks at the paper's scale, on accelerators; the weights
                               files, in ./weights, are written by `python -m converters`

`config.condition` is "random", an expression ("happiness_5", or its index 0 … 80), or "own": the
photo's own action units, if the data set has them.
"""

from configs import common
from dfd_jax.runtime.config import Config, choose_variant


def get_config(arg: str | None = None) -> Config:
    """The config named by `arg`: None, "photos" or "paper"."""
    variants = {None: _embedded, "photos": _photos, "paper": _paper}
    return choose_variant(__file__, arg, common.get_config, variants)


def _embedded(config: Config) -> None:
    common.embedded(config, "ganimation")
    _small(config)


def _photos(config: Config) -> None:
    common.photos(config, "ganimation_photos")
    _small(config)


def _small(config: Config) -> None:
    config.generators = ("zoo:ganimation",)
    config.objective.distortion = 20.0  # the distance is small: the generator copies most pixels
    config.objective.real = 1.0  # a fake that is mostly the photo gets the photo's verdict


def _paper(config: Config) -> None:
    common.paper(config, "ganimation_paper", size=128)
    config.generators = ("weights/ganimation.safetensors",)
