"""Which files to protect, the names of their outputs, and which square of each is protected."""

import collections
import csv
import json
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from dfd_jax.data.images import IMAGE_SUFFIXES, Box, list_images
from dfd_jax.data.shards import SUFFIX as SHARD_SUFFIX
from dfd_jax.data.shards import Packed, list_shards, read_shards
from dfd_jax.data.tfds_celeba import read_tfds
from dfd_jax.data.video_rewriting import CONTAINERS, UNWRITABLE

VIDEO_SUFFIXES = frozenset(CONTAINERS) | UNWRITABLE  # the latter are recorded as failed

TFDS = "tfds:"  # prefix of a prepared data set's split

_OWN_SUFFIXES = {"png": (".png",), "jpeg": (".jpg", ".jpeg")}  # the first is for other inputs


class InputFile(NamedTuple):
    """One photo or video to protect."""

    name: str  # relative, with /: its name in the boxes file and the manifest
    source: pathlib.Path | Packed  # of a video, a file
    output: str  # relative to the output folder, with /
    box: tuple[int, ...] | None = None  # as given, see `read_boxes`; None: the centre

    @property
    def is_video(self) -> bool:
        """Whether the file's name says that it is a video; an animated GIF is a photo."""
        return isinstance(self.source, pathlib.Path) and is_video(self.name)

    @property
    def path(self) -> pathlib.Path:
        """The file that is read: that of the photo or video, or the shard that holds the photo."""
        return self.source if isinstance(self.source, pathlib.Path) else self.source.path


def is_video(name: str) -> bool:
    """Whether a file of this name is treated as a video."""
    return pathlib.PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


Inputs = dict[str, pathlib.Path | Packed]  # name → file


def find_inputs(inputs: Sequence[str]) -> Inputs:
    """The photos and videos that files and folders stand for, by name.

    A folder stands for all files below it, named by their paths in it; with several folders, names
    start with the folder's own name. A file is named by the last part of its path. A shard
    (data/shards.py), given or found in a folder, stands for its photos, named as the shard's list
    of names says; tfds:NAME/SPLIT stands for a data set prepared by tensorflow-datasets.
    ValueError for a missing path, a folder without photos and videos, or a name that occurs twice.
    """
    folders = [path for path in inputs if os.path.isdir(path)]
    files: Inputs = {}
    for given in inputs:
        if given.startswith(TFDS):
            for photo in read_tfds(given.removeprefix(TFDS)):
                _add(files, photo.name, photo)
            continue
        path = pathlib.Path(given)
        if given not in folders:
            if not path.exists():
                raise ValueError(f"{given}: no such file or folder")
            if path.suffix == SHARD_SUFFIX:
                for photo in read_shards([path]):
                    _add(files, photo.name, photo)
            else:
                _add(files, path.name, path)
            continue
        names = list_images(path, IMAGE_SUFFIXES | VIDEO_SUFFIXES | {SHARD_SUFFIX})
        if not names:
            kinds = " ".join(sorted(IMAGE_SUFFIXES | frozenset(CONTAINERS)))
            raise ValueError(f"{given}: no photos or videos in this folder or below it ({kinds})")
        prefix = f"{path.resolve().name}/" if len(folders) > 1 else ""
        for name in names:
            if not name.endswith(SHARD_SUFFIX):
                _add(files, prefix + name, path / name)
        for folder in sorted({(path / n).parent for n in names if n.endswith(SHARD_SUFFIX)}):
            for photo in read_shards(list_shards(folder)):
                _add(files, prefix + (folder.relative_to(path) / photo.name).as_posix(), photo)
    return files


def read_list(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> Inputs:
    """The files listed in a text file, one path a line, named by their path below `root`.

    Relative paths start at `root`. Files need not exist. ValueError for a path outside `root`.
    """
    files: Inputs = {}
    base = os.path.abspath(root)
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        source = os.path.normpath(os.path.join(base, line.strip()))
        name = os.path.relpath(source, base)
        if name.startswith(os.pardir):
            raise ValueError(
                f"{path}: {line.strip()} does not lie in {base}; give --root, the folder that "
                "holds all listed photos"
            )
        _add(files, pathlib.Path(name).as_posix(), pathlib.Path(source))
    if not files:
        raise ValueError(f"{path}: the list is empty")
    return files


def _add(files: Inputs, name: str, source: pathlib.Path | Packed) -> None:
    other = files.setdefault(name, source)
    if other is not source and _place(other) != _place(source):
        raise ValueError(
            f"two files would both be called {name}: {other} and {source}; protect them in "
            "separate commands, into separate folders"
        )


def _place(source: pathlib.Path | Packed) -> tuple[pathlib.Path, int | None]:
    """Where a photo is stored: two inputs with the same place are the same photo."""
    if isinstance(source, Packed):
        return source.path.resolve(), source.place
    return source.resolve(), None


def output_names(names: Iterable[str], format: str) -> dict[str, str]:
    """Name of each input → name of its output: the same, with the suffix of the output's format.
    Videos keep their suffix.

    Where two photos would get the same output (a.jpg and a.png), the suffix is added to the full
    name instead (a.jpg.png and a.png.png). Case is ignored, as some file systems ignore it.
    """
    suffixes = _OWN_SUFFIXES[format]

    def short(name: str) -> str:
        path = pathlib.PurePosixPath(name)
        if path.suffix.lower() in suffixes or is_video(name):
            return name
        is_known = path.suffix.lower() in IMAGE_SUFFIXES
        return str(path.with_suffix(suffixes[0])) if is_known else name + suffixes[0]

    outputs = {name: short(name) for name in names}
    while True:
        uses = collections.Counter(output.casefold() for output in outputs.values())
        clashing = [
            name
            for name, output in outputs.items()
            if uses[output.casefold()] > 1 and output != name + suffixes[0] and not is_video(name)
        ]
        if not clashing:
            return outputs
        outputs |= {name: name + suffixes[0] for name in clashing}


def read_boxes(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """The boxes file: name → (left, top, side), or a rectangle (left, top, width, height).

    From JSON, `{"a/b.jpg": [left, top, side]}`, or from CSV with a header, `path,left,top,side` or
    `path,left,top,width,height`. Numbers are pixels of the upright photo. ValueError names the
    photo whose entry does not fit.
    """
    try:
        if pathlib.Path(path).suffix.lower() == ".csv":
            rows = _csv_rows(path)
        else:
            rows = list(json.loads(pathlib.Path(path).read_text(encoding="utf-8")).items())
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: not a boxes file, JSON or .csv ({error})") from error
    boxes: dict[str, tuple[int, ...]] = {}
    for name, numbers in rows:
        try:
            box = tuple(round(float(number)) for number in numbers)
        except (TypeError, ValueError, OverflowError):
            box = ()
        if len(box) not in (3, 4) or min(box[2:]) < 1:
            raise ValueError(
                f"{path}: {name}: found {numbers}, expected left, top, side or left, top, width, "
                "height in pixels"
            )
        if name in boxes:
            raise ValueError(f"{path}: {name}: listed twice, but a photo has one box")
        boxes[name] = box
    return boxes


def _csv_rows(path: str | os.PathLike[str]) -> list[tuple[str, list[Any]]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        header = reader.fieldnames or []
        columns = ["left", "top", "side"]
        if "side" not in header:
            columns = ["left", "top", "width", "height"]
        missing = [column for column in ["path", *columns] if column not in header]
        if missing:
            raise ValueError(f"the header is {','.join(header)}; missing {','.join(missing)}")
        return [(row["path"], [row[column] for column in columns]) for row in reader]


def box_in_photo(given: tuple[int, ...], height: int, width: int) -> Box:
    """The square to protect in a photo of this size, from an entry of the boxes file.

    A square stays as it is. A rectangle becomes the square of its longer side with the same centre,
    moved or shrunk as little as needed to fit into the photo. ValueError if a rectangle lies
    outside the photo.
    """
    if len(given) == 3:
        return Box(*given)
    left, top, wide, tall = given
    if left >= width or top >= height or left + wide <= 0 or top + tall <= 0:
        raise ValueError(f"the rectangle {given} misses the photo of {width} x {height} pixels")
    side = min(max(wide, tall), height, width)
    return Box(
        left=min(max(left + (wide - side) // 2, 0), width - side),
        top=min(max(top + (tall - side) // 2, 0), height - side),
        side=side,
    )
