"""Action units of photos, as OpenFace measured them (Baltrušaitis et al. 2018).

A data set in CelebA's layout may bring them in one of two forms, beside list_attr_celeba.txt:

    list_action_units_celeba.csv    a header and a line per photo; its file name comes first
    action_units/NAME.csv           what OpenFace's FaceLandmarkImg -aus writes for photo NAME.jpg

The columns AU01_r … AU45_r are found by their names, whatever else there is. Their intensities,
0 to 5, are divided by 5.
"""

import csv
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from dfd_jax.data.expressions import ACTION_UNITS, MAX_INTENSITY

LIST = "list_action_units_celeba.csv"
FOLDER = "action_units"


@runtime_checkable
class Annotations(Protocol):
    """The action units of some photos of a data set, by the photos' file names."""

    def __contains__(self, name: str, /) -> bool: ...

    def __getitem__(self, name: str, /) -> Float[np.ndarray, "17"]:
        """Intensities in [0, 1], in the order of ACTION_UNITS. ValueError if malformed."""
        ...


def open_annotations(root: str | os.PathLike[str]) -> Annotations | None:
    """The annotations in the folder `root`: of the list, else of the folder, None without either.

    ValueError if the list is malformed; the folder's files are read when they are asked for.
    """
    listed, folder = pathlib.Path(root, LIST), pathlib.Path(root, FOLDER)
    if listed.is_file():
        table = _read(listed)
        return dict(zip(table.names, table.units, strict=True))
    return _Folder(folder) if folder.is_dir() else None


def is_action_unit(name: str) -> bool:
    """Whether a label is an action unit, in [0, 1], and not an attribute that holds or not."""
    return name in ACTION_UNITS


def others(names: Sequence[str]) -> tuple[str, ...]:
    """Those labels that are not action units."""
    return tuple(name for name in names if not is_action_unit(name))


def fill(
    labels: Float[np.ndarray, " a"], names: Sequence[str], units: Float[np.ndarray, "17"]
) -> Float[np.ndarray, " a"]:
    """A photo's labels, called `names`, with its action units put in their places."""
    filled = labels.copy()
    for i, name in enumerate(names):
        if is_action_unit(name):
            filled[i] = units[ACTION_UNITS.index(name)]
    return filled


class _Folder:
    """One file per photo. Photos in which OpenFace found no face have none."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._stems = {path.stem for path in folder.glob("*.csv")}

    def __contains__(self, name: str, /) -> bool:
        return pathlib.PurePath(name).stem in self._stems

    def __getitem__(self, name: str, /) -> Float[np.ndarray, "17"]:
        """Of several faces, the one that OpenFace is surest of."""
        table = _read(self._folder / f"{pathlib.PurePath(name).stem}.csv")
        return table.units[int(np.argmax(table.confidences))]


class _Table(NamedTuple):
    names: list[str]  # what the first column holds
    confidences: list[float]  # of OpenFace, 0 where there is no such column
    units: Float[np.ndarray, "n 17"]


def _read(path: pathlib.Path) -> _Table:
    """A CSV file's lines. ValueError if a column lacks, or a value is not an intensity."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        header, *lines = [line for line in csv.reader(file) if line] or [[]]
    places = {name.strip(): i for i, name in enumerate(header)}  # OpenFace has spaces after commas
    lacking = [f"{unit}_r" for unit in ACTION_UNITS if f"{unit}_r" not in places]
    if lacking:
        raise ValueError(f"{path}: has no column {', '.join(lacking)}, as OpenFace writes them")
    if not lines:
        raise ValueError(f"{path}: has a header and no line; remove it if it is of no photo")
    confidence = places.get("confidence")
    wanted = [places[f"{unit}_r"] for unit in ACTION_UNITS]
    try:
        values = np.array([[float(line[i]) for i in wanted] for line in lines], np.float32)
        confidences = [0.0 if confidence is None else float(line[confidence]) for line in lines]
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: a line lacks a column or a number ({error})") from error
    wrong = ~((values >= 0) & (values <= MAX_INTENSITY)).all(1)
    if wrong.any():
        first = lines[int(np.argmax(wrong))]
        raise ValueError(f"{path}: expected intensities 0 to {MAX_INTENSITY:g}, found {first}")
    return _Table([line[0].strip() for line in lines], confidences, values / MAX_INTENSITY)
