"""Defaults of every training of a generator."""

import ml_collections

from configs import common
from dfd_jax.runtime.config import Config


def get_config() -> Config:
    """All fields, with their meaning."""
    config: Config = ml_collections.ConfigDict()
    config.name = "generator"  # the default workdir is runs/NAME
    config.seed = 0
    config.dtype = "float32"  # compute type: float32 | bfloat16 (parameters stay float32)
    config.export_dtype = "float16"  # of the weights file

    config.generator = ml_collections.ConfigDict()
    config.generator.model = "stargan"  # stargan | ganimation | fomm
    config.generator.start = ""  # weights file of the same network to start from
    config.generator.hyper = ml_collections.ConfigDict()
    config.critic = ml_collections.ConfigDict()
    config.critic.start = ""  # the same for its critic
    config.critic.hyper = ml_collections.ConfigDict()
    config.conditions = ()  # the labels of its conditions, in this order

    config.data = common.photos_section()
    config.data.drawn = config.data.size
    # The training set has pairs of this many drawn people, whose targets are known, and a share of
    # photos; 0: photos only. Drawn people are cached in a folder; empty: the user's cache folder.
    config.data.people = 0
    config.data.photo_share = 0.0
    config.data.photo_same = 1 / 3  # StarGAN: share of photos whose target is the photo itself
    config.data.cache = ""

    config.driving = ml_collections.ConfigDict()  # for generators that animate a photo
    config.driving.root = ""  # folder of videos for the samples; empty: five drawn motions

    # Fields: GanObjective (opponents/wgan.py) or MotionObjective (opponents/fomm_training.py).
    config.objective = ml_collections.ConfigDict()

    config.train = ml_collections.ConfigDict()
    config.train.steps = 4000  # updates of the generator
    config.train.critic_updates = 5  # per step; 0: no critic, only pairs with known targets
    config.train.batch_size = 8  # over all devices
    config.train.learning_rate = 1e-4
    config.train.beta = 0.5  # StarGAN, GANimation: Adam's first; 0.9 trains faster without critic
    config.train.averaging = 0.999  # decay of the moving average of the weights
    config.train.log_every = 10
    config.train.samples_every = 250  # steps between sample sheets; 0: none
    config.train.checkpoint_every = 250
    config.train.keep = 2

    config.evaluate = ml_collections.ConfigDict()
    config.evaluate.photos = 64  # held-out photos for samples and the card
    config.evaluate.people = 64  # held-out drawn people, if the training set has pairs
    return config


def adversarial(config: Config) -> None:
    """Weights of the losses against a critic, from the StarGAN authors."""
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
    """Drawn faces and a short run: too short for usable fakes."""
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
    """The authors' scale on CelebA, with networks of `size` pixels."""
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
    """Pairs of drawn people, mixed with photos from `config.data.root`."""
    config.name = name
    config.data.people = 4000
    config.data.photo_share = 0.25
    config.train.samples_every = config.train.checkpoint_every = 250
