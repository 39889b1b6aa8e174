"""Pairs of real photos and fakes to train detectors on, and sets to evaluate them on."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, UInt8

from dfd_jax.data import images, manipulations, retouch
from dfd_jax.data.faces import Face, FaceSource
from dfd_jax.data.pipeline import Example


@dataclasses.dataclass(frozen=True)
class Pairing:
    """Turns a real photo into a pair (real, fake), both augmented: [s, s, 3] → [2, s, s, 3].

    The fake is made from the photo itself (`families`, see manipulations.py), or, with probability
    1 - `made_share`, is one of `ready`, a source of ready-made fakes. Used by make_loader.
    """

    families: tuple[str, ...]
    ready: FaceSource | None = None
    made_share: float = 1.0

    def __call__(self, example: Example, rng: np.random.Generator) -> Example:
        photo = example["images"]
        if self.ready is not None and rng.random() >= self.made_share:
            fake = _square(self.ready[int(rng.integers(len(self.ready)))], len(photo), None)
        else:
            fake, _ = manipulations.manipulate(photo, rng, self.families)
        pair = [manipulations.augment(photo, rng), manipulations.augment(fake, rng)]
        return {**example, "images": np.stack(pair)}


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """Real photos of one kind and fakes of them; the same for the same seed.

    `disturbed` are the reals under noise that leaves them real, by the noise's name; `fakes` are by
    manipulation family, one of each photo, and "ready-made" if there are any.
    """

    name: str
    reals: UInt8[np.ndarray, "n s s 3"]
    attributes: Float[np.ndarray, "n a"]
    disturbed: dict[str, UInt8[np.ndarray, "n s s 3"]]
    fakes: dict[str, UInt8[np.ndarray, "_ s s 3"]]


def make_evaluation_set(
    name: str,
    faces: Sequence[Face],
    families: Sequence[str],
    *,
    size: int,
    crop: int | None,
    seed: int,
    ready: Sequence[Face] = (),
) -> EvaluationSet:
    """The evaluation set of these faces, cropped to `size` pixels as by the loader.

    ValueError if there are no faces.
    """
    if not faces:
        raise ValueError(f"{name}: no photo to evaluate a detector on, expected at least one")
    photos = np.stack([_square(face, size, crop) for face in faces])
    rng = np.random.default_rng(seed)
    fakes = {
        family: np.stack([manipulations.manipulate(photo, rng, (family,))[0] for photo in photos])
        for family in families
    }
    if ready:
        fakes["ready-made"] = np.stack([_square(face, size, None) for face in ready])
    return EvaluationSet(
        name=name,
        reals=photos,
        attributes=np.stack([face.attributes for face in faces]),
        disturbed={
            noise: np.stack([alter(photo, rng) for photo in photos])
            for noise, alter in DISTURBANCES.items()
        },
        fakes=fakes,
    )


def disturb(
    photo: UInt8[np.ndarray, "s s 3"], rng: np.random.Generator, *, coarseness: float, levels: float
) -> UInt8[np.ndarray, "s s 3"]:
    """The photo with every pixel `levels` brighter or darker, in patches of `coarseness` x side."""
    size = len(photo)
    cells = max(2, round(1 / coarseness)) if coarseness else size
    noise = np.stack([retouch.waves(size, cells, rng) for _ in range(3)], axis=-1)
    return retouch.to_pixels(photo.astype(np.float32) + levels * np.sign(noise))


DISTURBANCES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "white noise": functools.partial(disturb, coarseness=0.0, levels=6.0),
    "patchy noise": functools.partial(disturb, coarseness=1 / 16, levels=6.0),
    "smooth noise": functools.partial(disturb, coarseness=1 / 4, levels=6.0),
}


def _square(face: Face, size: int, crop: int | None) -> UInt8[np.ndarray, "s s 3"]:
    height, width, _ = face.pixels.shape
    return images.crop_resize(face.pixels, images.centre_box(height, width, crop), size)
