"""The types that all sources of faces share: a face, a source, and sources joined or cached.

The kinds of sources are in folders.py, videos.py, tfds_celeba.py and synthetic/; `sources.py` opens
them by name.
"""

import bisect
import hashlib
import itertools
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

SPLITS = ("train", "valid", "test", "all")
# the StarGAN authors' five
ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")


class Face(NamedTuple):
    """One upright photo, what is known about it, and what to call it in reports."""

    pixels: UInt8[np.ndarray, "h w 3"]
    attributes: Float[np.ndarray, " a"]  # one per attribute name: 0 or 1; action units 0 … 1
    name: str
    points: Float[np.ndarray, "5 2"] | None = None  # landmarks, if known: see landmarks.py


@runtime_checkable
class FaceSource(Protocol):
    """A random-access collection of faces; the same index always gives the same face."""

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """What each entry of `Face.attributes` means."""
        ...

    @property
    def known_names(self) -> tuple[str, ...]:
        """The `attribute_names` that are real labels; the values of the others are stand-ins."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Face:
        """The face at `index`. UnreadableImage if its file cannot be decoded."""
        ...


@runtime_checkable
class SquareSource(FaceSource, Protocol):
    """A source that can decode just the centred square of a photo, which is faster."""

    def square(self, index: int, size: int, crop: int | None, reduced: bool) -> Face:
        """The face at `index`, its pixels being the centred square of `images.read_square`."""
        ...


class Concatenation:
    """Several sources, one after another. ValueError if their attribute names differ."""

    def __init__(self, sources: Sequence[FaceSource]) -> None:
        if not sources:
            raise ValueError("found no source to concatenate, expected at least one")
        self.attribute_names = sources[0].attribute_names
        for source in sources:
            if source.attribute_names != self.attribute_names:
                raise ValueError(
                    f"found sources with attributes {self.attribute_names} and "
                    f"{source.attribute_names}; open all sources with the same names"
                )
        common = set(sources[0].known_names).intersection(*(s.known_names for s in sources))
        self.known_names = tuple(name for name in self.attribute_names if name in common)
        self._sources = list(sources)
        self._starts = list(itertools.accumulate((len(source) for source in sources), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int, /) -> Face:
        part, offset = locate(self._starts, index)
        return self._sources[part][offset]


class Cached:
    """A source that keeps the first `capacity` requested faces of another one in memory.

    Use it where a face is slow to make and small: a drawn face of 178 px takes 95 kB.
    """

    def __init__(self, source: FaceSource, capacity: int = 4096) -> None:
        self.attribute_names, self.known_names = source.attribute_names, source.known_names
        self._source = source
        self._capacity = capacity
        self._faces: dict[int, Face] = {}

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int, /) -> Face:
        face = self._faces.get(index)
        if face is None:
            face = self._source[index]
            if len(self._faces) < self._capacity:
                self._faces[index] = face
        return face


def check_split(split: str) -> None:
    """ValueError if it is not one of SPLITS."""
    if split not in SPLITS:
        raise ValueError(f"found split {split!r}, expected one of {', '.join(SPLITS)}")


def name_digest(text: str) -> int:
    """A 64-bit hash of a name, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8])


def hashed_split(name: str, seed: int, fractions: tuple[float, float, float]) -> str:
    """The split of a photo of this name; `fractions` are the shares of train, valid and test."""
    place = name_digest(f"{seed}:{name}") / 2**64
    if place < fractions[0]:
        return "train"
    return "valid" if place < fractions[0] + fractions[1] else "test"


def locate(starts: list[int], index: int) -> tuple[int, int]:
    """Which of several concatenated sequences holds `index`, and the index within it."""
    if not 0 <= index < starts[-1]:
        raise IndexError(f"index {index} is not in 0 … {starts[-1] - 1}")
    part = bisect.bisect_right(starts, index) - 1
    return part, index - starts[part]
