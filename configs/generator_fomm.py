"""A First Order Motion Model, for those without published weights.

configs/generator_fomm.py          a tiny one on drawn faces: minutes on a laptop CPU, to see the
                                   command work, too short for usable fakes
configs/generator_fomm.py:photos   a small one on photographs: --config.data.root=FOLDER. Each is
                                   warped to another pose by its landmarks: no video is needed
configs/generator_fomm.py:drawn    a small one on pairs of frames of drawn people, mixed with
                                   photographs: --config.data.root=FOLDER
configs/generator_fomm.py:paper    the size of the published weights for faces, on photographs of
                                   256 pixels, on accelerators

Generators exist here to be defended against: P is trained and measured with them.
"""

from configs import generator_common
from dfd_jax.runtime.config import Config, choose_variant

SMALL = {
    "kp_block_expansion": 16,
    "kp_num_blocks": 2,
    "kp_max_features": 128,
    "kp_scale_factor": 0.25,
    "block_expansion": 24,
    "max_features": 96,
    "num_down_blocks": 2,
    "num_bottleneck_blocks": 3,
    "motion_block_expansion": 16,
    "motion_num_blocks": 2,
    "motion_max_features": 128,
    "motion_scale_factor": 0.25,
}

# At 64 pixels two halvings leave 16 x 16 features, too few for eyes and teeth, so one halving. The
# keypoint head is unpadded and loses 6 pixels, but its heat maps are read as the whole picture: of
# 16 pixels 10 are left, which stretches keypoints by 1.6; of 32, by 1.2; of vox-256's 64, by 1.1.
SHARP = {
    **SMALL,
    "kp_scale_factor": 0.5,
    "kp_num_blocks": 3,
    "num_down_blocks": 1,
    "block_expansion": 32,
    "max_features": 64,
}


def get_config(arg: str | None = None) -> Config:
    """The config named by `arg`: None, "photos", "paper" or "drawn"."""
    variants = {None: _embedded, "photos": _photos, "paper": _paper, "drawn": _drawn}
    return choose_variant(__file__, arg, generator_common.get_config, variants)


def _fomm(config: Config) -> None:
    config.generator.model = "fomm"
    config.generator.hyper = dict(SMALL)
    config.train.learning_rate = 5e-4
    config.objective.pixels = 2.0
    config.objective.perceptual = 1.0
    config.objective.equivariance_value = 1.0
    config.objective.equivariance_jacobian = 1.0
    config.objective.sizes = 3


def _embedded(config: Config) -> None:
    _fomm(config)
    generator_common.embedded(config, "generator_fomm")
    config.generator.hyper.update({"kp_block_expansion": 8, "motion_block_expansion": 8})
    config.generator.hyper.update({"block_expansion": 12, "max_features": 48})
    config.train.learning_rate = 1e-3


def _photos(config: Config) -> None:
    _fomm(config)
    config.name = "generator_fomm_photos"
    config.train.steps = 2000


def _drawn(config: Config) -> None:
    _fomm(config)
    generator_common.drawn(config, "generator_fomm_drawn")
    config.generator.hyper = dict(SHARP)
    config.objective.spots = 10.0  # supervised: without labels keypoints take far more steps
    config.train.steps = 10_000


def _paper(config: Config) -> None:
    _fomm(config)
    generator_common.paper(config, "generator_fomm_paper", size=256)
    config.generator.hyper = {}  # the network's own defaults: vox-256
    config.objective.sizes = 4
    config.train.learning_rate = 2e-4
    config.train.steps = 150_000
