"""Defaults shared by every training of a generator."""

import ml_collections

from configs import common
from dfd_jax.config import Config


def get_config() -> Config:
    """All fields, with their meaning."""
    config: Config = ml_collections.ConfigDict()
    config.name = "generator"  # the default workdir is runs/NAME
    config.seed = 0
    config.dtype = "float32"  # compute type: float32 | bfloat16 (parameters stay float32)
    config.export_dtype = "float16"  # of the weights file

    config.generator = ml_collections.ConfigDict()
    config.generator.model = "stargan"  # stargan | ganimation | fomm
    config.generator.start = ""  # weights file of such a generator to go on from
    config.generator.hyper = ml_collections.ConfigDict()
    config.critic = ml_collections.ConfigDict()
    config.critic.start = ""  # and of its critic
    config.critic.hyper = ml_collections.ConfigDict()
    config.conditions = ()  # the labels that can be asked for, in this order

    config.data = common.photos_section()
    config.data.drawn = config.data.size
    # Pairs of this many drawn people, whose truth is known; 0: photos only. Among them is a share
    # of photos. People are drawn once and kept in a folder; empty: the user's cache folder.
    config.data.people = 0
    config.data.photo_share = 0.0
    config.data.photo_same = 1 / 3  # of a StarGAN's photos, the share that is asked to stay
    config.data.cache = ""

    config.driving = ml_collections.ConfigDict()  # of generators that animate a photo
    config.driving.root = ""  # folder of videos for the samples; empty: five drawn motions

    config.objective = ml_collections.ConfigDict()  # fields: dfd_jax/wgan.py, reenactment.py

    config.train = ml_collections.ConfigDict()
    config.train.steps = 4000  # updates of the generator
    config.train.critic_updates = 5  # a step; 0: without a critic, on pairs whose truth is known
    config.train.batch_size = 8  # over all devices
    config.train.learning_rate = 1e-4
    config.train.beta = 0.5  # Adam's, of StarGAN and GANimation: 0.9 learns faster without a critic
    config.train.averaging = 0.999  # decay of the moving average of the weights
    config.train.log_every = 10
    config.train.samples_every = 250  # steps between sheets of samples; 0: none
    config.train.checkpoint_every = 250
    config.train.keep = 2

    config.evaluate = ml_collections.ConfigDict()
    config.evaluate.photos = 64  # held-out photos for samples and the card
    config.evaluate.people = 64  # held-out drawn people, for trainings on pairs of them
    return config


def adversarial(config: Config) -> None:
    """The weights of the losses against a critic: those of the StarGAN authors."""
    config.objective.critic_labels = 1.0
    config.objective.adversarial = 1.0
    config.objective.labels = 1.0
    config.objective.reconstruction = 10.0
    config.objective.penalty = 10.0
    config.objective.attention = 0.0
    config.objective.smoothness = 0.0
    config.objective.paired = 0.0
    config.objective.painted = 0.0


def embedded(config: Config, name: str) -> None:
    """Drawn faces, and a run that is too short for usable fakes."""
    config.name = name
    config.data.kind = "synthetic"
    config.train.steps = 200
    config.train.learning_rate = 2e-4
    config.train.samples_every = config.train.checkpoint_every = 100


def tiny(config: Config) -> None:
    """A tiny generator and its critic."""
    config.generator.hyper.update({"conv_dim": 16, "blocks": 2})
    config.critic.hyper.update({"conv_dim": 16, "layers": 4})


def paper(config: Config, name: str, size: int) -> None:
    """The authors' scale on CelebA, with networks that take `size` pixels."""
    config.name = name
    config.data.kind = "celeba"
    config.data.root = "celeba"
    config.data.size = size
    config.data.workers = 16
    config.export_dtype = "float32"
    config.dtype = "bfloat16"
    config.train.batch_size = 16
    config.train.steps = 40_000  # 200,000 updates of the critic
    config.train.log_every = 50
    config.train.samples_every = config.train.checkpoint_every = 1000


def drawn(config: Config, name: str) -> None:
    """Drawn people in pairs, and photos of `config.data.root` among them."""
    config.name = name
    config.data.people = 4000
    config.data.photo_share = 0.25
    config.train.samples_every = config.train.checkpoint_every = 250
