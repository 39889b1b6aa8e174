"""Which files to protect, what their outputs are called, and which region of each is protected."""

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

VIDEO_SUFFIXES = frozenset(CONTAINERS) | UNWRITABLE  # the latter fail, with the reason

TFDS = "tfds:"  # starts what stands for a split of a prepared data set

_OWN_SUFFIXES = {"png": (".png",), "jpeg": (".jpg", ".jpeg")}  # the first is for other inputs


class Job(NamedTuple):
    """One photo or video to protect."""

    name: str  # relative, with /: how boxes and manifest call it
    source: pathlib.Path | Packed  # of a video, a file
    output: str  # relative to the output folder, with /
    region: tuple[int, ...] | None = None  # as asked for, see `read_regions`; None: the centre

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


Found = dict[str, pathlib.Path | Packed]  # name → file


def find_inputs(inputs: Sequence[str]) -> Found:
    """The photos and videos that files and folders stand for, by name.

    A folder gives all of them below it, named by their path inside it; of several folders each name
    starts with the folder's own. A file is named by its last part. A shard (data/shards.py), given
    or in a folder or below it, stands for the photos in it, each where its name says beside it;
    tfds:NAME/SPLIT for those of a data set that tensorflow-datasets has prepared.
    ValueError for a missing path, a folder without photos and videos, or two of one name.
    """
    folders = [path for path in inputs if os.path.isdir(path)]
    found: Found = {}
    for given in inputs:
        if given.startswith(TFDS):
            for photo in read_tfds(given.removeprefix(TFDS)):
                _add(found, photo.name, photo)
            continue
        path = pathlib.Path(given)
        if given not in folders:
            if not path.exists():
                raise ValueError(f"{given}: no such file or folder")
            if path.suffix == SHARD_SUFFIX:
                for photo in read_shards([path]):
                    _add(found, photo.name, photo)
            else:
                _add(found, path.name, path)
            continue
        names = list_images(path, IMAGE_SUFFIXES | VIDEO_SUFFIXES | {SHARD_SUFFIX})
        if not names:
            kinds = " ".join(sorted(IMAGE_SUFFIXES | frozenset(CONTAINERS)))
            raise ValueError(f"{given}: no photos or videos in this folder or below it ({kinds})")
        prefix = f"{path.resolve().name}/" if len(folders) > 1 else ""
        for name in names:
            if not name.endswith(SHARD_SUFFIX):
                _add(found, prefix + name, path / name)
        for folder in sorted({(path / n).parent for n in names if n.endswith(SHARD_SUFFIX)}):
            for photo in read_shards(list_shards(folder)):
                _add(found, prefix + (folder.relative_to(path) / photo.name).as_posix(), photo)
    return found


def read_list(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> Found:
    """The files listed in a text file, one path a line, named by their path below `root`.

    Relative paths start at `root`. Files need not exist. ValueError for a path outside `root`.
    """
    found: Found = {}
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
        _add(found, pathlib.Path(name).as_posix(), pathlib.Path(source))
    if not found:
        raise ValueError(f"{path}: the list is empty")
    return found


def _add(found: Found, name: str, source: pathlib.Path | Packed) -> None:
    other = found.setdefault(name, source)
    if other is not source and _place(other) != _place(source):
        raise ValueError(
            f"two files would both be called {name}: {other} and {source}; protect them in "
            "separate commands, into separate folders"
        )


def _place(source: pathlib.Path | Packed) -> tuple[pathlib.Path, int | None]:
    """Where a photo is: two of one place are the same."""
    if isinstance(source, Packed):
        return source.path.resolve(), source.place
    return source.resolve(), None


def output_names(names: Iterable[str], format: str) -> dict[str, str]:
    """Name of each photo → name of its output: the same, with the suffix of the output's format.
    Videos keep theirs.

    Where that would give two photos one output (a.jpg and a.png), the suffix is added to the full
    name instead (a.jpg.png and a.png.png). Case does not tell names apart: on some disks it cannot.
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


def read_regions(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """Regions per photo: (left, top, side), or a rectangle (left, top, width, height).

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
    regions: dict[str, tuple[int, ...]] = {}
    for name, numbers in rows:
        try:
            region = tuple(round(float(number)) for number in numbers)
        except (TypeError, ValueError, OverflowError):
            region = ()
        if len(region) not in (3, 4) or min(region[2:]) < 1:
            raise ValueError(
                f"{path}: {name}: found {numbers}, expected left, top, side or left, top, width, "
                "height in pixels"
            )
        if name in regions:
            raise ValueError(f"{path}: {name}: listed twice, but a photo has one region")
        regions[name] = region
    return regions


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


def square(region: tuple[int, ...], height: int, width: int) -> Box:
    """The box that a region stands for in a photo of this size.

    A square stays as it is. Around a rectangle it is the square of the longer side with the same
    centre, moved or shrunk as little as keeps it inside the photo. ValueError if a rectangle does
    not even touch the photo.
    """
    if len(region) == 3:
        return Box(*region)
    left, top, wide, tall = region
    if left >= width or top >= height or left + wide <= 0 or top + tall <= 0:
        raise ValueError(f"the rectangle {region} misses the photo of {width} x {height} pixels")
    side = min(max(wide, tall), height, width)
    return Box(
        left=min(max(left + (wide - side) // 2, 0), width - side),
        top=min(max(top + (tall - side) // 2, 0), height - side),
        side=side,
    )
