"""A GANimation, for those without published weights.

configs/generator_ganimation.py          a tiny one on drawn faces: minutes on a laptop CPU, to see
                                         the command work, too short for usable fakes
configs/generator_ganimation.py:photos   a small one on photographs: --config.data.root=FOLDER.
                                         Aligned photos without action units are warped by their
                                         landmarks
configs/generator_ganimation.py:drawn    a small one on pairs of drawn people, whose targets are
                                         known, mixed with photographs: --config.data.root=FOLDER
configs/generator_ganimation.py:paper    the authors' size and losses on CelebA, on accelerators,
                                         with OpenFace's action units if CelebA's folder has them

Generators exist here to be defended against: P is trained and measured with them.
"""

from configs import generator_common
from dfd_jax.data.expressions import ACTION_UNITS
from dfd_jax.runtime.config import Config, choose_variant


def get_config(arg: str | None = None) -> Config:
    """The config named by `arg`: None, "photos", "paper" or "drawn"."""
    variants = {None: _embedded, "photos": _photos, "paper": _paper, "drawn": _drawn}
    return choose_variant(__file__, arg, generator_common.get_config, variants)


def _ganimation(config: Config) -> None:
    generator_common.adversarial(config)
    config.generator.model = "ganimation"
    config.generator.hyper = {"conv_dim": 24, "blocks": 4}
    config.critic.hyper = {"conv_dim": 32, "layers": 5}
    config.conditions = ACTION_UNITS
    config.objective.critic_labels = 160.0  # the authors': 4000 for the mean over a batch of 25
    config.objective.labels = 160.0
    config.objective.attention = 0.1
    config.objective.smoothness = 1e-5


def _embedded(config: Config) -> None:
    _ganimation(config)
    generator_common.embedded(config, "generator_ganimation")
    generator_common.tiny(config)


def _photos(config: Config) -> None:
    _ganimation(config)
    config.name = "generator_ganimation_photos"
    config.objective.labels = 60.0  # with 160 noise satisfies the critic; with 15 nothing changes
    config.objective.paired = 10.0  # warped photos come with their target
    config.train.critic_updates = 2
    config.train.learning_rate = 2e-4
    config.train.steps = 1600


def _drawn(config: Config) -> None:
    _ganimation(config)
    generator_common.drawn(config, "generator_ganimation_drawn")
    config.generator.hyper = {"conv_dim": 32, "blocks": 6}
    config.objective.labels = 60.0
    config.objective.paired = 20.0
    config.objective.painted = 10.0  # without it the attention becomes 1 and stays there
    config.objective.reconstruction = 0.0  # the targets say what has to stay
    config.train.critic_updates = 1
    config.train.learning_rate = 2e-4
    config.train.steps = 10_000


def _paper(config: Config) -> None:
    _ganimation(config)
    generator_common.paper(config, "generator_ganimation_paper", size=128)
    config.generator.hyper = {"conv_dim": 64, "blocks": 6}
    config.critic.hyper = {"conv_dim": 64, "layers": 6}
    config.train.batch_size = 25
