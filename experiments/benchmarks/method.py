"""What the benchmark trains and attacks: configs/stargan.py, at its own size or in full."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util

from configs import stargan
from dfd_jax import models
from dfd_jax.method import channel
from dfd_jax.method.forward import Opponents
from dfd_jax.models.frozen import Card, Perturber
from dfd_jax.runtime import sharding
from dfd_jax.runtime.config import Config
from dfd_jax.training import setup, steps
from dfd_jax.training.state import TrainState, create_state
from experiments.benchmarks import full_size
from experiments.benchmarks.seeded_weights import seeded_arrays

BATCHES = {"zoo": 8, "full": 2}  # photos in a training step, by scale
FULL_SIZE = 128  # of StarGAN as its authors publish it


class Method(NamedTuple):
    """P and what it is trained against."""

    config: Config
    perturber: Perturber
    against: Opponents

    @property
    def size(self) -> int:
        """Side of the photos."""
        return self.config.data.size

    @property
    def label_names(self) -> tuple[str, ...]:
        """What the generator's conditions are made of."""
        return setup.label_names(self.against.generators)

    def batch(self, photos: int) -> dict[str, np.ndarray]:
        """A training batch, of noise: what is in the photos changes no time."""
        rng = np.random.default_rng(0)
        shape = (photos, self.size, self.size, 3)
        labels = rng.integers(0, 2, (photos, len(self.label_names)))
        images = rng.integers(0, 256, shape).astype(np.uint8)
        return {"images": images, "attributes": labels.astype(np.float32)}

    def train_step(self, tx: optax.GradientTransformation) -> steps.TrainStep:
        """The step of `python -m dfd_jax.train`."""
        return steps.make_train_step(
            self.perturber,
            tx,
            setup.budget(self.perturber.card),
            setup.terms(self.config),
            self.label_names,
            (self.config.condition,),
            sharding.make_mesh(jax.devices()[:1]),
        )

    def state(self, tx: optax.GradientTransformation) -> TrainState:
        """Its first state."""
        return create_state(self.perturber, tx)


def open_method(scale: str) -> Method:
    """A U-Net, StarGAN and detectors. "zoo": those of the package; "full": random weights."""
    config = stargan.get_config()
    if scale == "zoo":
        config.detectors = ("zoo:xception", "zoo:resnet18")
        return Method(config, setup.perturber(config), setup.opponents(config))
    config.data.size = FULL_SIZE
    config.perturber.hyper = dict(full_size.HYPER)
    config.generators, config.detectors, config.channel.crop_sides = (), (), (FULL_SIZE, 178, 256)
    names = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
    generator = _seeded(Card("stargan", {}, FULL_SIZE, condition=names))
    detector = _seeded(Card("xception", {}, 299, real_index=0))
    resizes = tuple(
        channel.CropResize.of_side(side, FULL_SIZE) for side in config.channel.crop_sides
    )
    against = Opponents((generator,), (detector,), resizes)
    return Method(config, setup.perturber(config), against)


def _seeded(card: Card) -> Any:
    net = models.build(card)
    arrays = seeded_arrays(models.variable_shapes(card))
    return net.with_variables(jax.device_put(traverse_util.unflatten_dict(arrays, sep="/")))


class Draw(NamedTuple):
    """What chance decides for a step."""

    condition: jax.Array
    resize: int  # which of the opponents' resizes


def draws(method: Method, key: jax.Array, attributes: Any, count: int) -> list[Draw]:
    """What the first steps of a training draw, by the rules of steps.py and channel.py."""
    (generator,), resizes = method.against.generators, method.against.resizes
    drawn = []
    for step in range(count):
        condition_rng, channel_rng = jax.random.split(jax.random.fold_in(key, step))
        condition = generator.sample_condition(
            jax.random.fold_in(condition_rng, 0), jnp.asarray(attributes), method.config.condition
        )
        resize = jax.random.randint(channel_rng, (), 0, len(resizes))
        drawn.append(Draw(condition, int(resize)))
    return drawn
