"""Where faces come from: every source is a fixed, ordered collection of labelled photos.

    source = open_source("auto", "train", root="photos/", attribute_names=("Male", "Young"))
    face = source[0]

Sources read a photo only when it is asked for, so a data set of any size opens at once.
"""

import abc
import bisect
import functools
import hashlib
import itertools
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from dfd_jax.data import action_units, celeba
from dfd_jax.data.images import IMAGE_SUFFIXES, list_images, read_rgb, read_square
from dfd_jax.data.shards import Photos, list_shards, open_photos

SPLITS = ("train", "valid", "test", "all")
ATTRIBUTES = (
    "Black_Hair",
    "Blond_Hair",
    "Brown_Hair",
    "Male",
    "Young",
)  # the StarGAN authors' five
HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")


class Face(NamedTuple):
    """One upright photo, what is known about it, and what to call it in reports."""

    pixels: UInt8[np.ndarray, "h w 3"]
    attributes: Float[np.ndarray, " a"]  # as the source's attribute_names: 0 or 1; action units 0…1
    name: str
    points: Float[np.ndarray, "5 2"] | None = None  # where it is known, see landmarks.py


@runtime_checkable
class FaceSource(Protocol):
    """A random-access collection of faces; the same index always gives the same face."""

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """What each entry of `Face.attributes` means."""
        ...

    @property
    def known_names(self) -> tuple[str, ...]:
        """Those of `attribute_names` that are known of the photos; the others are stand-ins."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Face:
        """The face at `index`. UnreadableImage if its file cannot be decoded."""
        ...


@runtime_checkable
class SquareSource(FaceSource, Protocol):
    """Faces whose squares can be read without the photo around them, which is faster."""

    def square(self, index: int, size: int, crop: int | None, reduced: bool) -> Face:
        """The face with its centred square in place of the photo: see `images.read_square`."""
        ...


def open_source(
    kind: str,
    split: str,
    *,
    root: str | os.PathLike[str] | None = None,
    attribute_names: Sequence[str] = ATTRIBUTES,
    seed: int = 0,
    protocol: str = "official",
    count: int = 512,
    size: int = 178,
    choose: Callable[[UInt8[np.ndarray, "n s s 3"]], int] | None = None,
) -> FaceSource:
    """The faces of one split of a data set.

    `kind` is "celeba" (a folder in CelebA's layout), "folder" (any photos), "array_record" (either,
    packed into shards by pack.py), "videos" (a face of each video below a folder or of a copy of
    VoxCeleb, picked by `choose`: see videos.py), "tfds" (CelebA prepared by tensorflow-datasets;
    `root` is its data_dir or None), "synthetic" (`count` drawn faces of `size` pixels; no photo of
    one split is in another) or "auto": celeba if `root` has its attribute list, videos if it has
    some and no photo, else folder, and synthetic without a root. `protocol` is used by celeba,
    `seed` by folder, videos and synthetic. ValueError if there are no data, or none of the split.
    """
    names = tuple(attribute_names)
    if kind == "auto":
        kind = _kind_of(root)
    if kind == "tfds":
        from dfd_jax.data.tfds_celeba import TfdsCeleba  # it imports this module

        return TfdsCeleba(split, names, data_dir=root)
    if kind == "synthetic":
        return _synthetic(split, names, seed, count, size)
    if kind not in ("celeba", "folder", "array_record", "videos"):
        known = "auto, celeba, folder, array_record, videos, tfds, synthetic"
        raise ValueError(f"found data kind {kind!r}, expected one of {known}")
    if root is None:
        raise ValueError(f"data kind {kind!r} needs a root: the folder with the photos or videos")
    if kind == "videos":
        from dfd_jax.data import videos  # it imports this module

        return videos.VideoFaces(root, split, seed, names, choose=choose or videos.middle)
    if kind == "array_record":
        if not list_shards(root) and not list_shards(pathlib.Path(root, celeba.PHOTOS)):
            command = "python -m dfd_jax.data.pack PHOTOS PACKED"
            raise ValueError(f"{os.fspath(root)}: no shards in it; make them with {command}")
        kind = _kind_of(root)
    if kind == "celeba":
        return CelebaFolder(root, split, names, protocol)
    return PhotoFolder(root, split, seed, names)


class _Stored(abc.ABC):
    """Faces whose photos have names, as files or packed."""

    _names: list[str]
    _photos: Photos

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int, /) -> Face:
        name = self._names[index]
        return Face(read_rgb(*self._photos.find(name)), self._labels(index), name)

    def square(self, index: int, size: int, crop: int | None, reduced: bool) -> Face:
        """The face with its centred square in place of the photo: see `images.read_square`."""
        path, content = self._photos.find(name := self._names[index])
        pixels = read_square(path, size, crop, content, reduced=reduced)
        return Face(pixels, self._labels(index), name)

    @abc.abstractmethod
    def _labels(self, index: int) -> Float[np.ndarray, " a"]: ...


class CelebaFolder(_Stored):
    """A folder in the layout of CelebA's aligned release. Attributes are its labels, as 0 and 1.

    Action units are read where the folder brings them (data/action_units.py), and photos in which
    none were found are then left out; they are 0 where it does not.
    `protocol` says which photos a split has: "official" follows list_eval_partition.txt, "stargan"
    the StarGAN authors' own split: 1,999 photos drawn with seed 1234 are test, the rest train.
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
        asks_units = self.known_names != self.attribute_names
        self._units = action_units.open_annotations(root) if asks_units else None
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

    The split of a photo follows from a hash of its relative path and `seed`, so it stays the same
    when others are added. Its attributes are drawn from a hash of the path, **not known**:
    generators such as StarGAN are trained with a source label, so one hair colour and random other
    bits stand in for it. Action units are 0.
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
        found = self._photos.names
        if not found:
            suffixes = " ".join(sorted(IMAGE_SUFFIXES))
            raise ValueError(f"{os.fspath(root)}: no photo in it or below (looked for {suffixes})")
        self._names = [n for n in found if split in ("all", hashed_split(n, seed, fractions))]
        if not self._names:
            raise ValueError(
                f"{os.fspath(root)}: none of its {len(found)} photos falls into the split "
                f"{split!r}; add photos or use the split 'all'"
            )

    def _labels(self, index: int) -> Float[np.ndarray, " a"]:
        return _drawn(self._names[index], self.attribute_names)


class Concatenation:
    """Several sources one after another. ValueError unless all have the same attribute names."""

    def __init__(self, sources: Sequence[FaceSource]) -> None:
        if not sources:
            raise ValueError("found no source to concatenate, expected at least one")
        self.attribute_names = sources[0].attribute_names
        for source in sources:
            if source.attribute_names != self.attribute_names:
                raise ValueError(
                    f"found attributes {source.attribute_names} beside {self.attribute_names}; "
                    "open all sources with the same names"
                )
        every = set(sources[0].known_names).intersection(*(s.known_names for s in sources))
        self.known_names = tuple(name for name in self.attribute_names if name in every)
        self._sources = list(sources)
        self._starts = list(itertools.accumulate((len(source) for source in sources), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int, /) -> Face:
        part, offset = locate(self._starts, index)
        return self._sources[part][offset]


class Cached:
    """Another source whose first `capacity` requested faces are kept in memory.

    Worth it where a face is slow to make and small (a drawn one of 178 px takes 95 kB).
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


def _kind_of(root: str | os.PathLike[str] | None) -> str:
    if root is None:
        return "synthetic"
    if pathlib.Path(root, "list_attr_celeba.txt").exists():
        return "celeba"
    from dfd_jax.data.videos import VIDEO_SUFFIXES, list_videos  # it imports this module

    photos = list_images(root)
    if all(pathlib.PurePath(name).suffix.lower() == ".gif" for name in photos):
        suffixes = {pathlib.PurePath(name).suffix.lower() for name in list_videos(root)}
        if suffixes & (VIDEO_SUFFIXES - {".gif"}):
            return "videos"
    return "folder"


def _synthetic(split: str, names: tuple[str, ...], seed: int, count: int, size: int) -> FaceSource:
    """`count` drawn faces per split; "all" is the three splits one after another."""
    from dfd_jax.data.synthetic import SyntheticFaces  # it imports this module

    check_split(split)
    splits = list(celeba.PARTITIONS) if split == "all" else [split]
    seeds = [len(celeba.PARTITIONS) * seed + celeba.PARTITIONS[name] for name in splits]
    sources = [Cached(SyntheticFaces(count, s, size, names)) for s in seeds]
    return sources[0] if len(sources) == 1 else Concatenation(sources)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8])


def hashed_split(name: str, seed: int, fractions: tuple[float, float, float]) -> str:
    """The split that a name always falls into; `fractions` are the shares of the three."""
    place = _digest(f"{seed}:{name}") / 2**64
    if place < fractions[0]:
        return "train"
    return "valid" if place < fractions[0] + fractions[1] else "test"


@functools.cache  # in every epoch again it would be a seventh of the time that decoding takes
def _drawn(name: str, attribute_names: tuple[str, ...]) -> Float[np.ndarray, " a"]:
    rng = np.random.default_rng(_digest(name))
    drawn = rng.integers(0, 2, len(attribute_names)).astype(np.float32)
    drawn[[action_units.is_action_unit(name) for name in attribute_names]] = 0
    hair = [i for i, attribute in enumerate(attribute_names) if attribute in HAIR_COLOURS]
    if hair:
        drawn[hair] = 0
        drawn[rng.choice(hair)] = 1
    drawn.setflags(write=False)
    return drawn


def locate(starts: list[int], index: int) -> tuple[int, int]:
    """Which of the joined sequences holds `index`, and where in it."""
    if not 0 <= index < starts[-1]:
        raise IndexError(f"index {index} is not in 0 … {starts[-1] - 1}")
    part = bisect.bisect_right(starts, index) - 1
    return part, index - starts[part]
