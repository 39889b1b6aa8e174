"""What the tests of the protect command share: a tiny perturber, photos, looks at outputs."""

import functools
import hashlib
import json
import pathlib

import numpy as np
from PIL import Image

from dfd_jax import models, protect
from dfd_jax.method.protector import Protector
from dfd_jax.models.frozen import Card, Perturber

SIZE = 16
BUDGET = {"eps_255": 6.375, "bound": "tanh"}


@functools.cache
def network():
    """A tiny perturber that uses its whole budget."""
    card = Card("unet", {"width": 4, "depth": 1}, SIZE, budget=BUDGET)
    net = models.build(card)
    net.variables["params"]["leave"]["kernel"] *= 20
    return net


@functools.cache
def shared_protector() -> Protector:
    net = network()
    return Protector(Perturber(net.variables, net.module, net.card), 1)


def save_network(folder: pathlib.Path) -> str:
    """The tiny perturber as a training run leaves it."""
    net = network()
    models.save(folder / protect.EXPORTED, net.variables, net.card)
    return str(folder)


def pixels(height: int = 40, width: int = 30, seed: int = 0) -> np.ndarray:
    smooth = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return np.array(Image.fromarray(smooth).resize((width, height), Image.Resampling.BICUBIC))


def save(path: pathlib.Path, image: Image.Image | np.ndarray, **options) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **options)
    return path


def save_photos(folder: pathlib.Path) -> pathlib.Path:
    """Six photos of different sizes, one of them two folders down."""
    for index in range(5):
        save(folder / f"{index}.png", pixels(40 + index, 30 + 3 * index, index))
    save(folder / "sub" / "deep" / "x.jpg", pixels(seed=9), quality=95)
    return folder


def run(*arguments: object) -> int:
    return protect.main([str(a) for a in arguments])


def records(output: pathlib.Path) -> dict[str, dict]:
    lines = (output / "manifest.jsonl").read_text().splitlines()
    return {record["input"]: record for record in map(json.loads, lines)}


def hashes(output: pathlib.Path) -> dict[str, str]:
    return {
        path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in output.rglob("*.png")
    }
