"""Photos packed into ArrayRecord shards, and photos in general: by name, packed or as plain files.

A shard NAME.array_record holds one encoded photo, a file's bytes as they were, in each record.
NAME.names beside it has the photos' names, one JSON string a line; without it photos are called by
their numbers, so shards of other makers can be read too. `python -m dfd_jax.data.pack` makes them.
"""

import json
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from dfd_jax.data.images import list_images

SUFFIX = ".array_record"
NAMES = ".names"


@runtime_checkable
class Records(Protocol):
    """Encoded photos by their place."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> bytes: ...


class Packed(NamedTuple):
    """One photo that is not a file of its own."""

    records: Records
    place: int
    name: str
    path: pathlib.Path  # of the shard or data set that holds it

    def __str__(self) -> str:
        return f"{self.path}: {self.name}"

    def read_bytes(self) -> bytes:
        """The photo's encoded bytes."""
        return bytes(self.records[self.place])


class Files:
    """The photo files in a folder and below it."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = os.fspath(folder)

    @property
    def names(self) -> list[str]:
        """The photos that are there, sorted."""
        return list_images(self._folder)

    def find(self, name: str) -> tuple[str, bytes | None]:
        """Where the photo is, if it is there."""
        return os.path.join(self._folder, name), None


class Shards:
    """The photos packed in the shards of a folder."""

    def __init__(self, folder: str | os.PathLike[str], shards: Sequence[pathlib.Path]) -> None:
        self._folder = os.fspath(folder)
        self._photos = {photo.name: photo for photo in read_shards(shards)}

    @property
    def names(self) -> list[str]:
        """The photos that are there, sorted."""
        return sorted(self._photos)

    def find(self, name: str) -> tuple[str, bytes | None]:
        """What the photo was called as a file, and its bytes, if it is there."""
        photo = self._photos.get(name)
        content = None if photo is None else photo.read_bytes()
        return os.path.join(self._folder, name), content


Photos = Files | Shards


def open_photos(folder: str | os.PathLike[str]) -> Photos:
    """The photos packed in the shards of a folder, or if it has none, the photo files below it.

    ValueError if it is no folder, or shards are missing or do not fit their names.
    """
    shards = list_shards(folder)
    return Shards(folder, shards) if shards else Files(folder)


def list_shards(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The shards in a folder, sorted. ValueError if some of a numbered set are missing."""
    shards = sorted(pathlib.Path(folder).glob(f"*{SUFFIX}"))
    for path in shards:
        number = re.search(r"-of-(\d+)$", path.stem)
        if number and len(list(path.parent.glob(f"*-of-{number[1]}{SUFFIX}"))) != int(number[1]):
            raise ValueError(
                f"{folder}: there are not all of the {int(number[1])} shards; copy it anew"
            )
    return shards


def read_shards(paths: Sequence[pathlib.Path]) -> list[Packed]:
    """The photos of some shards, in their order; none is read yet.

    ValueError if a shard cannot be read, does not fit its names, or a name occurs twice or leads
    out of the folder that it is relative to.
    """
    photos = []
    for path in paths:
        records = _open(path)
        names = _names(path, len(records))
        photos += [Packed(records, place, name, path) for place, name in enumerate(names)]
    seen: set[str] = set()
    for photo in photos:
        if photo.name in seen:
            raise ValueError(f"{photo.path}: holds {photo.name}, which was there before")
        seen.add(photo.name)
    return photos


def _open(path: pathlib.Path) -> Any:
    from grain.sources import ArrayRecordDataSource  # takes a while, and only shards need it

    try:
        return ArrayRecordDataSource(os.fspath(path))
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path}: not an ArrayRecord file, or a broken one ({error})") from error


def _names(path: pathlib.Path, count: int) -> list[str]:
    listed = path.with_suffix(NAMES)
    if not listed.exists():
        return [f"{path.stem}/{place:06d}" for place in range(count)]
    try:
        names = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise ValueError(f"{listed}: expected one JSON string a line ({error})") from error
    if len(names) != count:
        raise ValueError(f"{listed}: lists {len(names)} photos, but the shard holds {count}")
    for name in names:
        parts = pathlib.PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise ValueError(f"{listed}: {name!r} is not a path inside a folder")
    return names
