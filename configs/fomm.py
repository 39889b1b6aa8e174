"""A disrupter against First Order Motion, under random frames of random driving motions.

configs/fomm.py          small networks on drawn faces and motions: minutes on a laptop CPU
configs/fomm.py:photos   the same networks on photographs (--config.data.root=FOLDER) and recorded
                         motions (--config.driving.root=FOLDER)
configs/fomm.py:paper    the vox-256 network on VoxCeleb1 videos at the paper's scale, on
                         accelerators; the weights file is written by `python -m converters fomm`

`config.condition` is "random" or the name of a driving motion: mouth, blink, yaw, nod, smile, or
the file names of your own clips.
"""

from configs import common
from dfd_jax.runtime.config import Config, choose_variant


def get_config(arg: str | None = None) -> Config:
    """The config named by `arg`: None, "photos" or "paper"."""
    variants = {None: _embedded, "photos": _photos, "paper": _paper}
    return choose_variant(__file__, arg, common.get_config, variants)


def _embedded(config: Config) -> None:
    common.embedded(config, "fomm")
    config.generators = ("zoo:fomm",)
    config.objective.real = 1.0  # else P trades the photo's own verdict for disruption


def _photos(config: Config) -> None:
    common.photos(config, "fomm_photos")
    config.generators = ("zoo:fomm",)


def _paper(config: Config) -> None:
    common.paper(config, "fomm_paper", size=256)
    config.data.kind = "videos"
    config.data.root = "vox"
    config.data.workers = 0  # threads: a network chooses the frame of each video
    config.driving.root = "driving"
    config.generators = ("weights/fomm.safetensors",)
    config.evaluate.detectors = ("weights/xception.safetensors", "weights/resnet18.safetensors")
    config.train.batch_size = 64
