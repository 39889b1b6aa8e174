"""A small network that reads drawn faces: which attributes, expression and pose they show.

It judges whether a generator did what it was asked for. It learned from drawn faces and their exact
labels alone, never from a generator's output; on photographs it knows nothing.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, UInt8

from dfd_jax import models, pixels
from dfd_jax.data import drawn_pairs, images, synthetic
from dfd_jax.data.expressions import ACTION_UNITS
from dfd_jax.models.frozen import Card, FrozenNetwork

FILE = "zoo:face_reader"
ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
HAIR = slice(0, 3)
POSE = {"yaw": 30.0, "pitch": 15.0, "roll": 12.0}  # degrees that count as 1
READ = (*ATTRIBUTES, *ACTION_UNITS, *POSE)  # log-odds of attributes, then values
MOMENT = slice(len(ATTRIBUTES), len(READ))  # expression and pose
UNITS = slice(len(ATTRIBUTES), len(ATTRIBUTES) + len(ACTION_UNITS))
NOISE_255 = 6.0  # in training: fakes are not as clean as drawings
VALUES_WEIGHT = 20.0


def truth(face: synthetic.FaceParameters) -> Float[np.ndarray, " r"]:
    """What should be read: attributes 0 or 1, action units in [0, 1], angles in units of POSE."""
    labels = synthetic.attributes(face, (*ATTRIBUTES, *ACTION_UNITS))
    angles = [getattr(face, name) / most for name, most in POSE.items()]
    return np.concatenate([labels, angles]).astype(np.float32)


def new(size: int, conv_dim: int = 16, layers: int = 5, seed: int = 0) -> FrozenNetwork:
    """A reader that has not learned yet: StarGAN's critic, of which only the labels are used."""
    hyper = {"conv_dim": conv_dim, "layers": layers, "c_dim": len(READ), "image_size": size}
    return models.build(Card("stargan_discriminator", hyper, size, condition=READ), seed)


def read(
    net: FrozenNetwork, pictures: UInt8[np.ndarray, "n s s 3"], batch_size: int = 64
) -> Float[np.ndarray, "n r"]:
    """READ of each picture, for any number and size of them."""
    size, found = net.card.input_size, []
    if pictures.shape[1] != size:
        box = images.centre_box(*pictures.shape[1:3])
        pictures = np.stack([images.crop_resize(picture, box, size) for picture in pictures])
    for start in range(0, len(pictures), batch_size):
        rows = np.arange(start, start + batch_size).clip(max=len(pictures) - 1)
        found.append(np.asarray(_read(net, jnp.asarray(pictures[rows]))))
    return np.concatenate(found)[: len(pictures)]


@jax.jit
def _read(net: FrozenNetwork, pictures: UInt8[Array, "b s s 3"]) -> Float[Array, "b r"]:
    return net.apply(net.variables, pixels.from_uint8(pictures))[1]


class Lesson(NamedTuple):
    """What the reader learns from."""

    pictures: UInt8[np.ndarray, "b s s 3"]
    truths: Float[np.ndarray, "b r"]


def lesson(pools: list[drawn_pairs.Pool], count: int, rng: np.random.Generator) -> Lesson:
    """Random variants of random people of the pools."""
    pictures, truths = [], []
    for _ in range(count):
        pool = pools[int(rng.integers(len(pools)))]
        person, variant = int(rng.integers(pool.count)), int(rng.integers(pool.variants))
        pictures.append(pool.picture(person, variant))
        truths.append(truth(pool.parameters(person)[variant]))
    return Lesson(np.stack(pictures), np.stack(truths))


def loss(
    params: Any, net: FrozenNetwork, images: Float[Array, "b s s 3"], truths: Float[Array, "b r"]
) -> Float[Array, ""]:
    """Cross-entropy of the attributes, squared error of the values."""
    found = net.apply({"params": params}, images)[1]
    count = len(ATTRIBUTES)
    names = optax.sigmoid_binary_cross_entropy(found[:, :count], truths[:, :count]).mean()
    return names + VALUES_WEIGHT * jnp.square(found[:, count:] - truths[:, count:]).mean()


def taught(
    net: FrozenNetwork, pools: list[drawn_pairs.Pool], steps: int, batch_size: int, seed: int
) -> FrozenNetwork:
    """The network after `steps` updates on lessons from the pools."""
    tx = optax.adam(optax.cosine_decay_schedule(1e-3, steps), 0.9, 0.999)

    @jax.jit
    def update(params: Any, opt: Any, images: Array, truths: Array, key: Array) -> Any:
        noise = pixels.levels_to_units(NOISE_255) * jax.random.normal(key, images.shape)
        value, grads = jax.value_and_grad(loss)(params, net, images + noise, truths)
        updates, opt = tx.update(grads, opt, params)
        return optax.apply_updates(params, updates), opt, value

    params = net.variables["params"]
    opt, rng = tx.init(params), np.random.default_rng([seed, 5])
    for step in range(steps):
        pictures, truths = lesson(pools, batch_size, rng)
        key = jax.random.fold_in(jax.random.key(seed), step)
        inputs = pixels.from_uint8(jnp.asarray(pictures))
        params, opt, _ = update(params, opt, inputs, jnp.asarray(truths), key)
    return net.with_variables({"params": params})


def accuracy(net: FrozenNetwork, test: Lesson) -> dict[str, float]:
    """How well it reads: the share of right attributes, and of values the correlation with the
    truth where the truth varies.
    """
    found, figures = read(net, test.pictures), {}
    for i, name in enumerate(READ):
        known = test.truths[:, i]
        if name in ATTRIBUTES:
            figures[name] = float(((found[:, i] > 0) == (known > 0.5)).mean())
        elif known.std() > 0:
            figures[name] = float(np.corrcoef(found[:, i], known)[0, 1])
    return {name: round(value, 3) for name, value in figures.items()}
