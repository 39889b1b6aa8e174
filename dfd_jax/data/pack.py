"""Pack photos into ArrayRecord shards: python -m dfd_jax.data.pack PHOTOS PACKED

A few large files in place of many small ones, as network file systems and object stores want it.
PHOTOS is a folder in CelebA's layout or any folder of photos. PACKED gets the same layout, with
shards where the photos were and copies of the lists, so it can stand wherever PHOTOS did, as data
of a training or as input of protect, with the same result. No photo is encoded anew.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Sequence

from rich.console import Console

from dfd_jax.data import action_units, celeba
from dfd_jax.data.images import list_images
from dfd_jax.data.shards import NAMES, SUFFIX

PHOTOS_PER_SHARD = 10_000
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
    arguments = parser.parse_args(argv)
    try:
        count = pack(arguments.photos, arguments.packed, arguments.per_shard)
    except (ValueError, OSError) as error:
        print(f"pack: {error}", file=sys.stderr)
        return 2
    Console(soft_wrap=True, highlight=False).print(f"{count} photos are in {arguments.packed}")
    return 0


def pack(
    source: str | os.PathLike[str],
    packed: str | os.PathLike[str],
    per_shard: int = PHOTOS_PER_SHARD,
) -> int:
    """Pack the photos of a folder; returns their number. `packed` is there as a whole or not.

    ValueError if there is no photo, `per_shard` is not positive, or `packed` exists.
    """
    root, target = pathlib.Path(source), pathlib.Path(packed)
    inner = celeba.PHOTOS if (root / "list_attr_celeba.txt").exists() else "."
    names = list_images(root / inner)
    if not names:
        raise ValueError(f"{root / inner}: no photos in this folder or below it")
    if per_shard < 1:
        raise ValueError(f"found {per_shard} photos a shard, expected at least 1")
    if target.exists():
        raise ValueError(f"{target}: exists already; remove it, or choose another folder")
    unfinished = target.with_name(f".{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a pack that was killed
    (unfinished / inner).mkdir(parents=True)
    for path in [*root.glob("*.txt"), *root.glob("*.csv")]:
        shutil.copy(path, unfinished)
    if (root / action_units.FOLDER).is_dir():
        shutil.copytree(root / action_units.FOLDER, unfinished / action_units.FOLDER)
    parts = [names[start : start + per_shard] for start in range(0, len(names), per_shard)]
    for number, part in enumerate(parts):
        stem = f"photos-{number:05d}-of-{len(parts):05d}"
        _write(unfinished / inner / stem, root / inner, part)
    unfinished.rename(target)
    return len(names)


def _write(stem: pathlib.Path, folder: pathlib.Path, names: Sequence[str]) -> None:
    """One shard, and the names of its photos."""
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(os.fspath(stem.with_suffix(SUFFIX)), OPTIONS)
    for name in names:
        writer.write((folder / name).read_bytes())
    writer.close()
    lines = "".join(json.dumps(name) + "\n" for name in names)
    stem.with_suffix(NAMES).write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
