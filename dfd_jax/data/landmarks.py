"""The five landmarks of aligned faces: where a photo's eyes, nose and mouth are.

CelebA's list_landmarks_align_celeba.txt gives, per photo, the pixel (x, y) of both pupils, the tip
of the nose and both corners of the mouth. "Left" is the viewer's left. Where there is no such
list, CANONICAL stands in: where the alignment puts them in an average photo.

    source = Landmarked(open_source("celeba", "train", root=root), read_landmarks(root))
    source[0].points            # in the photo's pixels
    next(make_loader(source, batch_size=8, size=64))["points"]      # in those of the 64 px square

Coordinates count from the centre of the top left pixel, as in CelebA's list: the first pixel's
centre is 0, its outer edge -0.5.
"""

import os
import pathlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float32

from dfd_jax.data import celeba
from dfd_jax.data.faces import Face, FaceSource
from dfd_jax.data.images import Box, centre_box

Points = Float32[np.ndarray, "5 2"]  # (x, y) of each of LANDMARKS

LIST = "list_landmarks_align_celeba.txt"
LANDMARKS = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
COLUMNS = tuple(f"{name}_{axis}" for name in LANDMARKS for axis in "xy")
CANONICAL = np.array(
    [(69, 111), (109, 111), (89, 138), (69, 151), (109, 151)], np.float32
)  # in an aligned photo
ALIGNED = (218, 178)  # height and width of an aligned photo
_MIRRORED = [1, 0, 2, 4, 3]  # what was the left eye is the right one in the mirror


def read_landmarks(root: str | os.PathLike[str]) -> dict[str, Points] | None:
    """File name → landmarks in the photo's pixels, from the list in the folder `root`.

    None if there is no list. ValueError if it is malformed: its first line is not the number of
    photos, the second not COLUMNS, or a line is not a name, seen once, and ten finite numbers.
    """
    path = pathlib.Path(root, LIST)
    if not path.is_file():
        return None
    columns, lines = celeba.read_list(path)
    if columns != COLUMNS:
        raise ValueError(
            f"{path}: expected the columns {' '.join(COLUMNS)}, found {' '.join(columns)}"
        )
    points: dict[str, Points] = {}
    for line in lines:
        name, *numbers = line.split()
        if name in points:
            raise ValueError(f"{path}: lists {name} twice; remove one of its lines")
        points[name] = _points(path, line, numbers)
    return points


def _points(path: pathlib.Path, line: str, numbers: list[str]) -> Points:
    try:
        points = np.array(numbers, np.float32)
    except ValueError:
        points = np.full(0, np.nan, np.float32)
    if points.size != len(COLUMNS) or not np.isfinite(points).all():
        raise ValueError(f"{path}: expected a name and {len(COLUMNS)} numbers, found {line!r}")
    return points.reshape(len(LANDMARKS), 2)


def canonical(height: int, width: int) -> Points:
    """CANONICAL in a photo of any size whose largest centred square shows what CelebA's does.

    True of aligned photos that were resized or cut to a square, and of drawn faces that look ahead.
    """
    aligned, box = centre_box(*ALIGNED), centre_box(height, width)
    corner = np.array([box.left, box.top], np.float32)
    return (in_square(CANONICAL, aligned, box.side) + corner).astype(np.float32)


def in_square(points: Float[np.ndarray, "5 2"], box: Box, size: int) -> Points:
    """A photo's points in the square that `images.crop_resize` makes of its region `box`."""
    corner = np.array([box.left, box.top])
    return ((points + 0.5 - corner) * (size / box.side) - 0.5).astype(np.float32)


def mirrored(points: Float[np.ndarray, "5 2"], width: int) -> Points:
    """The points of a mirrored photo: other places, and left and right have changed sides."""
    x, y = points[_MIRRORED].T
    return np.stack([width - 1 - x, y], axis=-1).astype(np.float32)


class Landmarked:
    """Another source whose faces bring their `points`, looked up by the photos' names.

    Without `landmarks` (None) they are canonical. A photo that the list lacks raises a ValueError
    when it is asked for.
    """

    def __init__(self, source: FaceSource, landmarks: Mapping[str, Points] | None) -> None:
        self.attribute_names, self.known_names = source.attribute_names, source.known_names
        self._source = source
        self._landmarks = landmarks

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int, /) -> Face:
        face = self._source[index]
        if self._landmarks is None:
            height, width, _ = face.pixels.shape
            return face._replace(points=canonical(height, width))
        if face.name not in self._landmarks:
            raise ValueError(
                f"{LIST}: has no line for {face.name}; add it, or remove the list to use the "
                "places that the alignment aims at"
            )
        return face._replace(points=self._landmarks[face.name])
