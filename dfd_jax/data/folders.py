"""Faces in folders on disk: CelebA's aligned release, and any folder of photos.

Photos are read when they are asked for, so a data set of any size opens at once. In place of photo
files a folder may hold them packed into shards (pack.py).
"""

import abc
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dfd_jax.data import action_units, celeba
from dfd_jax.data.faces import (
    ATTRIBUTES,
    HAIR_COLOURS,
    Face,
    check_split,
    hashed_split,
    name_digest,
)
from dfd_jax.data.images import IMAGE_SUFFIXES, read_rgb, read_square
from dfd_jax.data.shards import Photos, open_photos


class _Stored(abc.ABC):
    """Faces whose photos have names: files, or records of shards."""

    _names: list[str]
    _photos: Photos

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int, /) -> Face:
        name = self._names[index]
        return Face(read_rgb(*self._photos.find(name)), self._labels(index), name)

    def square(self, index: int, size: int, crop: int | None, reduced: bool) -> Face:
        """The face at `index`, its pixels being the centred square of `images.read_square`."""
        path, content = self._photos.find(name := self._names[index])
        pixels = read_square(path, size, crop, content, reduced=reduced)
        return Face(pixels, self._labels(index), name)

    @abc.abstractmethod
    def _labels(self, index: int) -> Float[np.ndarray, " a"]: ...


class CelebaFolder(_Stored):
    """A folder in the layout of CelebA's aligned release. Attributes are its labels, 0 or 1.

    If the folder has a list of action units (action_units.py), photos without an entry in it are
    left out; without the list, action units are 0.
    `protocol` defines the splits: "official" follows list_eval_partition.txt; "stargan" is the
    StarGAN authors' own split: 1,999 photos drawn with seed 1234 are test, the rest train.
    ValueError if a file is missing or malformed, an attribute unknown, or the split empty.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        attribute_names: Sequence[str] = ATTRIBUTES,
        protocol: str = "official",
    ) -> None:
        self.attribute_names = tuple(attribute_names)
        check_split(split)
        folder = pathlib.Path(root, celeba.PHOTOS)
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; {celeba.LAYOUT}")
        self._photos = open_photos(folder)
        attribute_list = pathlib.Path(root, "list_attr_celeba.txt")
        rows = celeba.attribute_rows(attribute_list, self.attribute_names)
        if protocol == "official":
            partition = pathlib.Path(root, "list_eval_partition.txt")
            names = list(rows) if split == "all" else celeba.official_split(partition, split, rows)
        elif protocol == "stargan":
            names = celeba.stargan_split(list(rows), split)
        else:
            raise ValueError(f"found protocol {protocol!r}, expected 'official' or 'stargan'")
        self.known_names = action_units.others(self.attribute_names)
        wants_units = self.known_names != self.attribute_names
        self._units = action_units.open_annotations(root) if wants_units else None
        if self._units is not None:
            self.known_names = self.attribute_names
            names = [name for name in names if name in self._units]
        if not names:
            which = f"{split!r} ({protocol})" + (" with action units" if self._units else "")
            raise ValueError(f"{os.fspath(root)}: the split {which} has no photo")
        self._names = names
        self._attributes = np.array([rows[name] for name in names], np.float32)

    def _labels(self, index: int) -> Float[np.ndarray, " a"]:
        labels = self._attributes[index]
        if self._units is None:
            return labels
        return action_units.fill(labels, self.attribute_names, self._units[self._names[index]])


class PhotoFolder(_Stored):
    """Any folder of photos, searched recursively.

    A photo's split is a hash of its relative path and `seed`, so it does not change when photos
    are added. Its attributes are **stand-ins**, drawn from a hash of the path: generators such as
    StarGAN are trained with a source label, for which one hair colour and random other bits stand
    in. Action units are 0.
    ValueError if there is no photo, or none in this split.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        seed: int = 0,
        attribute_names: Sequence[str] = ATTRIBUTES,
        fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    ) -> None:
        self.attribute_names, self.known_names = tuple(attribute_names), ()
        check_split(split)
        if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
            raise ValueError(f"found fractions {fractions}, expected shares that sum to 1")
        self._photos = open_photos(root)
        names = self._photos.names
        if not names:
            suffixes = " ".join(sorted(IMAGE_SUFFIXES))
            raise ValueError(f"{os.fspath(root)}: no photo in it or below (looked for {suffixes})")
        self._names = [n for n in names if split in ("all", hashed_split(n, seed, fractions))]
        if not self._names:
            raise ValueError(
                f"{os.fspath(root)}: none of its {len(names)} photos falls into the split "
                f"{split!r}; add photos or use the split 'all'"
            )

    def _labels(self, index: int) -> Float[np.ndarray, " a"]:
        return _stand_in_attributes(self._names[index], self.attribute_names)


def _stand_in_attributes(name: str, attribute_names: tuple[str, ...]) -> Float[np.ndarray, " a"]:
    rng = np.random.default_rng(name_digest(name))
    drawn = rng.integers(0, 2, len(attribute_names)).astype(np.float32)
    drawn[[action_units.is_action_unit(name) for name in attribute_names]] = 0
    hair = [i for i, attribute in enumerate(attribute_names) if attribute in HAIR_COLOURS]
    if hair:
        drawn[hair] = 0
        drawn[rng.choice(hair)] = 1
    return drawn
