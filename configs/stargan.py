"""A disrupter against StarGAN.

configs/stargan.py          small networks on drawn faces: minutes on a laptop CPU
configs/stargan.py:photos   the same networks on photographs: --config.data.root=FOLDER
configs/stargan.py:paper    full-size networks at the paper's scale, on accelerators; the weights
                            files, in ./weights, are written by `python -m converters`
"""

from configs import common
from dfd_jax.runtime.config import Config, choose_variant


def get_config(arg: str | None = None) -> Config:
    """The config named by `arg`: None, "photos" or "paper"."""
    variants = {None: _embedded, "photos": _photos, "paper": _paper}
    return choose_variant(__file__, arg, common.get_config, variants)


def _embedded(config: Config) -> None:
    common.embedded(config, "stargan")


def _photos(config: Config) -> None:
    common.photos(config, "stargan_photos")


def _paper(config: Config) -> None:
    common.paper(config, "stargan_paper", size=256)
    config.generators = ("weights/stargan.safetensors",)
