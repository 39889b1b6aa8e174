"""Pack photos into ArrayRecord shards: python -m dfd_jax.data.pack PHOTOS PACKED

A few large files in place of many small ones, as network file systems and object stores want it.
PHOTOS is a folder in CelebA's layout or any folder of photos. PACKED gets the same layout, with
shards where the photos were and copies of the lists, so it can stand wherever PHOTOS did, as data
of a training or as input of protect, with the same result. No photo is encoded anew.

With --square N photos are cut to their centred squares and shrunk to N x N pixels first, so that a
training on large photos decodes no more than it needs. Smaller squares stay as they are. Squares
are JPEG files of high quality; lists of places in the photos (landmarks, boxes) are left out.
"""

import argparse
import importlib
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from dfd_jax.data import action_units, celeba
from dfd_jax.data.images import UnreadableImage, centre_box, crop_resize, list_images, read_rgb
from dfd_jax.data.saving import jpeg_file
from dfd_jax.data.shards import NAMES, SUFFIX

PHOTOS_PER_SHARD = 10_000
QUALITY = 95  # of squares
PLACES = ("landmarks", "bbox")  # in the names of lists that squares make wrong
OPTIONS = "group_size:1,uncompressed"  # any record can be read alone; photos are compressed already


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, or 2 if it cannot be done."""
    parser = argparse.ArgumentParser(
        "python -m dfd_jax.data.pack", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument("photos", metavar="PHOTOS")
    parser.add_argument("packed", metavar="PACKED")
    parser.add_argument(
        "--per_shard", type=int, default=PHOTOS_PER_SHARD, help="photos (default %(default)s)"
    )
    parser.add_argument("--square", type=int, metavar="N", help="pack squares of N x N pixels")
    arguments = parser.parse_args(argv)
    try:
        count = pack(arguments.photos, arguments.packed, arguments.per_shard, arguments.square)
    except (ValueError, OSError) as error:
        print(f"pack: {error}", file=sys.stderr)
        return 2
    Console(soft_wrap=True, highlight=False).print(f"{count} photos are in {arguments.packed}")
    return 0


def pack(
    source: str | os.PathLike[str],
    packed: str | os.PathLike[str],
    per_shard: int = PHOTOS_PER_SHARD,
    square: int | None = None,
) -> int:
    """Pack the photos of a folder, or squares of them; returns their number.

    `packed` is there as a whole or not at all. A photo that cannot be read is packed as it is.
    ValueError if there is no photo, `per_shard` or `square` is not positive, or `packed` exists.
    """
    root, target = pathlib.Path(source), pathlib.Path(packed)
    _array_record()
    inner = celeba.PHOTOS if (root / "list_attr_celeba.txt").exists() else "."
    names = list_images(root / inner)
    if not names:
        raise ValueError(f"{root / inner}: no photos in this folder or below it")
    if per_shard < 1:
        raise ValueError(f"found {per_shard} photos a shard, expected at least 1")
    if square is not None and square < 1:
        raise ValueError(f"found squares of {square} pixels, expected at least 1")
    if target.exists():
        raise ValueError(f"{target}: exists already; remove it, or choose another folder")
    unfinished = target.with_name(f".{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a pack that was killed
    (unfinished / inner).mkdir(parents=True)
    for path in [*root.glob("*.txt"), *root.glob("*.csv")]:
        if square is None or not any(word in path.name for word in PLACES):
            shutil.copy(path, unfinished)
    if (root / action_units.FOLDER).is_dir():
        shutil.copytree(root / action_units.FOLDER, unfinished / action_units.FOLDER)
    parts = [names[start : start + per_shard] for start in range(0, len(names), per_shard)]
    for number, part in enumerate(parts):
        stem = f"photos-{number:05d}-of-{len(parts):05d}"
        _write(unfinished / inner / stem, root / inner, part, square)
    unfinished.rename(target)
    return len(names)


def _write(
    stem: pathlib.Path, folder: pathlib.Path, names: Sequence[str], square: int | None
) -> None:
    """One shard, and the names of its photos."""
    writer = _array_record().ArrayRecordWriter(os.fspath(stem.with_suffix(SUFFIX)), OPTIONS)
    for name in names:
        writer.write(_record((folder / name).read_bytes(), square))
    writer.close()
    lines = "".join(json.dumps(name) + "\n" for name in names)
    stem.with_suffix(NAMES).write_text(lines, encoding="utf-8")


def _array_record() -> Any:
    """The package that writes shards. ValueError if it is not installed."""
    try:
        return importlib.import_module("array_record.python.array_record_module")
    except ImportError as error:
        raise ValueError(
            "packing needs the package array_record, which has no wheels for Windows: "
            "pip install 'dfd-jax[shards]'"
        ) from error


def _record(content: bytes, square: int | None) -> bytes:
    """A file as it is, or the square of its photo as a JPEG file."""
    if square is None:
        return content
    try:
        pixels = read_rgb("", content)
    except UnreadableImage:  # whoever reads the shard says so
        return content
    box = centre_box(*pixels.shape[:2])
    return jpeg_file(crop_resize(pixels, box, min(square, box.side)), QUALITY)


if __name__ == "__main__":
    sys.exit(main())
