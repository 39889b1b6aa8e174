"""A StarGAN, for those without published weights.

configs/generator_stargan.py          a tiny one on drawn faces: minutes on a laptop CPU, to see
                                      the command work, too short for usable fakes
configs/generator_stargan.py:photos   a small one on photographs in CelebA's layout:
                                      --config.data.root=FOLDER
configs/generator_stargan.py:drawn    a small one on pairs of drawn people, whose targets are
                                      known, mixed with photographs: --config.data.root=FOLDER
configs/generator_stargan.py:paper    the authors' size and schedule on CelebA, on accelerators

Generators exist here to be defended against: P is trained and measured with them.
"""

from configs import generator_common
from dfd_jax.runtime.config import Config, choose_variant


def get_config(arg: str | None = None) -> Config:
    """The config named by `arg`: None, "photos", "paper" or "drawn"."""
    variants = {None: _embedded, "photos": _photos, "paper": _paper, "drawn": _drawn}
    return choose_variant(__file__, arg, generator_common.get_config, variants)


def _stargan(config: Config) -> None:
    generator_common.adversarial(config)
    config.generator.model = "stargan"
    config.generator.hyper = {"conv_dim": 32, "blocks": 6}
    config.critic.hyper = {"conv_dim": 32, "layers": 5}
    config.conditions = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")


def _embedded(config: Config) -> None:
    _stargan(config)
    generator_common.embedded(config, "generator_stargan")
    generator_common.tiny(config)


def _photos(config: Config) -> None:
    _stargan(config)
    config.name = "generator_stargan_photos"


def _drawn(config: Config) -> None:
    _stargan(config)
    generator_common.drawn(config, "generator_stargan_drawn")
    config.objective.paired = 20.0
    config.objective.reconstruction = 0.0  # the targets say what has to stay
    config.train.critic_updates = 1
    config.train.learning_rate = 2e-4
    config.train.steps = 14_000


def _paper(config: Config) -> None:
    _stargan(config)
    generator_common.paper(config, "generator_stargan_paper", size=256)
    config.generator.hyper = {"conv_dim": 64, "blocks": 6}
    config.critic.hyper = {"conv_dim": 64, "layers": 6}
