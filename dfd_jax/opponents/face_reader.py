"""A small network that predicts what a drawn face shows: its attributes, expression and pose.

It judges whether a generator's edit is visible. Its training set is drawn faces and their exact
labels, never a generator's output; on photographs it is useless.
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
from dfd_jax.models.frozen import Card, Network
from dfd_jax.runtime.batching import padded_batches

FILE = "zoo:face_reader"
ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
HAIR = slice(0, 3)
POSE = {"yaw": 30.0, "pitch": 15.0, "roll": 12.0}  # degrees that count as 1
OUTPUTS = (*ATTRIBUTES, *ACTION_UNITS, *POSE)  # log-odds of the attributes, then values
UNITS = slice(len(ATTRIBUTES), len(ATTRIBUTES) + len(ACTION_UNITS))
UNITS_AND_POSE = slice(len(ATTRIBUTES), len(OUTPUTS))
NOISE_255 = 6.0  # added in training: fakes are noisier than drawings
VALUES_WEIGHT = 20.0


class LabelledFaces(NamedTuple):
    """Drawn faces with the right answers."""

    pictures: UInt8[np.ndarray, "b s s 3"]
    labels: Float[np.ndarray, "b r"]  # see `labels_of`


def labels_of(face: synthetic.FaceParameters) -> Float[np.ndarray, " r"]:
    """The right answer: attributes 0 or 1, action units in [0, 1], angles in units of POSE."""
    labels = synthetic.attributes(face, (*ATTRIBUTES, *ACTION_UNITS))
    angles = [getattr(face, name) / unit for name, unit in POSE.items()]
    return np.concatenate([labels, angles]).astype(np.float32)


def new(size: int, conv_dim: int = 16, layers: int = 5, seed: int = 0) -> Network:
    """An untrained reader: StarGAN's critic, of which only the label head is used."""
    hyper = {"conv_dim": conv_dim, "layers": layers, "c_dim": len(OUTPUTS), "image_size": size}
    return models.build(Card("stargan_discriminator", hyper, size, condition=OUTPUTS), seed)


def read(
    net: Network, pictures: UInt8[np.ndarray, "n s s 3"], batch_size: int = 64
) -> Float[np.ndarray, "n r"]:
    """The reader's OUTPUTS for each picture; pictures of another size are resized."""
    size = net.card.input_size
    if pictures.shape[1] != size:
        box = images.centre_box(*pictures.shape[1:3])
        pictures = np.stack([images.crop_resize(picture, box, size) for picture in pictures])
    return np.concatenate(
        [
            np.asarray(_read(net, jnp.asarray(pictures[rows])))[:real]
            for rows, real in padded_batches(len(pictures), batch_size)
        ]
    )


@jax.jit
def _read(net: Network, pictures: UInt8[Array, "b s s 3"]) -> Float[Array, "b r"]:
    return net.apply(net.variables, pixels.from_uint8(pictures))[1]


def sample(pools: list[drawn_pairs.Pool], count: int, rng: np.random.Generator) -> LabelledFaces:
    """Random variants of random people of the pools."""
    pictures, labels = [], []
    for _ in range(count):
        pool = pools[int(rng.integers(len(pools)))]
        person, variant = int(rng.integers(pool.count)), int(rng.integers(pool.variants))
        pictures.append(pool.picture(person, variant))
        labels.append(labels_of(pool.parameters(person)[variant]))
    return LabelledFaces(np.stack(pictures), np.stack(labels))


def loss(
    params: Any, net: Network, images: Float[Array, "b s s 3"], labels: Float[Array, "b r"]
) -> Float[Array, ""]:
    """Cross-entropy of the attributes, plus the squared error of the values."""
    outputs = net.apply({"params": params}, images)[1]
    count = len(ATTRIBUTES)
    names = optax.sigmoid_binary_cross_entropy(outputs[:, :count], labels[:, :count]).mean()
    return names + VALUES_WEIGHT * jnp.square(outputs[:, count:] - labels[:, count:]).mean()


def train(
    net: Network, pools: list[drawn_pairs.Pool], steps: int, batch_size: int, seed: int
) -> Network:
    """The network after `steps` updates on random faces of the pools."""
    tx = optax.adam(optax.cosine_decay_schedule(1e-3, steps), 0.9, 0.999)

    @jax.jit
    def update(params: Any, opt: Any, images: Array, labels: Array, key: Array) -> Any:
        noise = pixels.levels_to_units(NOISE_255) * jax.random.normal(key, images.shape)
        grads = jax.grad(loss)(params, net, images + noise, labels)
        updates, opt = tx.update(grads, opt, params)
        return optax.apply_updates(params, updates), opt

    params = net.variables["params"]
    opt, rng = tx.init(params), np.random.default_rng([seed, 5])
    for step in range(steps):
        faces = sample(pools, batch_size, rng)
        key = jax.random.fold_in(jax.random.key(seed), step)
        inputs = pixels.from_uint8(jnp.asarray(faces.pictures))
        params, opt = update(params, opt, inputs, jnp.asarray(faces.labels), key)
    return net.with_variables({"params": params})


def accuracy(net: Network, test: LabelledFaces) -> dict[str, float]:
    """The accuracy of each attribute; of each value that varies, the correlation with its label."""
    outputs, figures = read(net, test.pictures), {}
    for i, name in enumerate(OUTPUTS):
        labels = test.labels[:, i]
        if name in ATTRIBUTES:
            figures[name] = float(((outputs[:, i] > 0) == (labels > 0.5)).mean())
        elif labels.std() > 0:
            figures[name] = float(np.corrcoef(outputs[:, i], labels)[0, 1])
    return {name: round(value, 3) for name, value in figures.items()}
