"""A disrupter against several generators and detectors at once.

configs/ensemble.py          the zoo's small networks on drawn faces: minutes on a laptop CPU
configs/ensemble.py:photos   the same networks on photographs: --config.data.root=FOLDER
configs/ensemble.py:paper    all networks of the paper in full size, on accelerators; the weights
                             files, in ./weights, are written by `python -m converters`

Generators and detectors are lists and combine freely. Photos are loaded at `config.data.size`; each
generator resizes them to its own size. `config.condition` is "random" for all generators, or one
condition for each, separated by commas.
"""

from configs import common
from dfd_jax.runtime.config import Config, choose_variant


def get_config(arg: str | None = None) -> Config:
    """The config named by `arg`: None, "photos" or "paper"."""
    variants = {None: _embedded, "photos": _photos, "paper": _paper}
    return choose_variant(__file__, arg, common.get_config, variants)


def _small(config: Config) -> None:
    config.generators = ("zoo:stargan", "zoo:ganimation", "zoo:fomm")
    config.detectors = ("zoo:xception", "zoo:resnet18")
    config.objective.generator_weights = (1.0, 1.0, 1.0)
    config.objective.detector_weights = (1.0, 1.0)


def _embedded(config: Config) -> None:
    common.embedded(config, "ensemble")
    _small(config)


def _photos(config: Config) -> None:
    common.photos(config, "ensemble_photos")
    _small(config)


def _paper(config: Config) -> None:
    common.paper(config, "ensemble_paper", size=256)
    config.generators = tuple(
        f"weights/{name}.safetensors" for name in ("stargan", "ganimation", "fomm")
    )
    config.detectors = tuple(
        f"weights/{name}.safetensors" for name in ("xception", "resnet18", "multi_attentional")
    )
    config.objective.generator_weights = (1.0, 1.0, 1.0)
    config.objective.detector_weights = (1.0, 1.0, 1.0)
    config.evaluate.detectors = (*config.detectors, "weights/resnet50.safetensors")
    config.train.batch_size = 64
