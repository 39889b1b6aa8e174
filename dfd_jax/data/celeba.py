"""The text files of CelebA's aligned release: labels, and which photo belongs to which split."""

import pathlib
import random
from typing import Any

from dfd_jax.data.action_units import is_action_unit

STARGAN_TEST_PHOTOS = 1999
PARTITIONS = {"train": 0, "valid": 1, "test": 2}  # CelebA's numbers
PHOTOS = "img_align_celeba"
LAYOUT = """a folder in CelebA's layout has
  img_align_celeba/         the aligned photos, or shards with them (see data/pack.py)
  list_attr_celeba.txt      number of photos; attribute names; a line per photo
  list_eval_partition.txt   a line per photo: its name and 0 (train), 1 (valid) or 2 (test)
and may have action units, for GANimation (see data/action_units.py):
  list_action_units_celeba.csv   a header; a line per photo: its name and OpenFace's AU01_r …
and landmarks, to warp photos by (see data/landmarks.py):
  list_landmarks_align_celeba.txt   number of photos; column names; a line per photo"""


def attribute_rows(
    path: pathlib.Path, attribute_names: tuple[str, ...]
) -> dict[str, tuple[bool, ...]]:
    """File name → whether each attribute holds, in the order of the list; action units do not.

    ValueError if the file is missing or malformed, or an attribute is not in it.
    """
    known, lines = read_list(path)
    check_known(attribute_names, known, str(path))
    columns = [1 + known.index(n) if n in known else None for n in attribute_names]
    rows = {}
    for line in lines:
        fields = line.split()
        if len(fields) != 1 + len(known):
            raise ValueError(f"{path}: expected a name and {len(known)} labels, found {line!r}")
        rows[fields[0]] = tuple(c is not None and fields[c] == "1" for c in columns)
    return rows


def read_list(path: pathlib.Path) -> tuple[tuple[str, ...], list[str]]:
    """The names of a list's columns, and its lines for each photo.

    ValueError if the file is missing, or does not start with its number of photos and the names.
    """
    lines = _lines(path)
    if len(lines) < 2 or not lines[0].strip().isdecimal():
        raise ValueError(f"{path}: does not start with the number of photos and column names")
    if len(lines) - 2 != int(lines[0]):
        raise ValueError(f"{path}: says {int(lines[0])} photos and lists {len(lines) - 2}")
    return tuple(lines[1].split()), lines[2:]


def check_known(names: tuple[str, ...], known: tuple[str, ...], where: str) -> None:
    """ValueError if one of `names` is neither among the `known` attributes nor an action unit."""
    unknown = [name for name in names if name not in known and not is_action_unit(name)]
    if unknown:
        raise ValueError(f"{where}: has no {', '.join(unknown)}; it has {', '.join(known)}")


def official_split(path: pathlib.Path, split: str, rows: dict[str, Any]) -> list[str]:
    """The photos that list_eval_partition.txt puts into `split`. ValueError if it misses one."""
    numbers = {}
    for line in _lines(path):
        name, _, number = line.strip().partition(" ")
        numbers[name] = number.strip()
    lost = [name for name in rows if name not in numbers]
    if lost:
        raise ValueError(f"{path}: has no line for {lost[0]} ({len(lost)} photos in all)")
    return [name for name in rows if numbers[name] == str(PARTITIONS[split])]


def stargan_split(names: list[str], split: str) -> list[str]:
    """The StarGAN authors' train or test photos: the list shuffled with seed 1234, test first.

    Source: github.com/yunjey/stargan, data_loader.py. ValueError for valid, which they have not,
    and for a data set so small that all of it would be test.
    """
    if split == "valid":
        raise ValueError(
            "the StarGAN authors' split has train and test, no valid; use protocol 'official'"
        )
    if split != "all" and len(names) <= STARGAN_TEST_PHOTOS:
        raise ValueError(
            f"the StarGAN authors' split puts {STARGAN_TEST_PHOTOS} photos into test, so none of "
            f"these {len(names)} would be left for training; use protocol 'official'"
        )
    shuffled = list(names)
    random.Random(1234).shuffle(shuffled)
    parts = {
        "all": names,
        "test": shuffled[:STARGAN_TEST_PHOTOS],
        "train": shuffled[STARGAN_TEST_PHOTOS:],
    }
    return parts[split]


def _lines(path: pathlib.Path) -> list[str]:
    """The lines of a text file that are not blank, whatever ends them."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; {LAYOUT}")
    text = path.read_text(encoding="utf-8-sig")
    return [line for line in text.splitlines() if line.strip()]
