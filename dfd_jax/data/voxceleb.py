"""VoxCeleb's face tracks: where a speaker's face is in each frame of an utterance.

    VoxCeleb1/txt/id10001/7w0IBEWc9Qw/00001.txt     the tracks, as released
    VoxCeleb1/mp4/id10001/7w0IBEWc9Qw/00001.mp4     videos cut into utterances, or
    VoxCeleb1/mp4/id10001/7w0IBEWc9Qw.mp4           whole ones (also mp4/7w0IBEWc9Qw.mp4)

`video`, `videos` or `vid` may stand for `mp4`. A track is a header (Identity, Reference, FV Conf,
ASD Conf), an empty line, and a table FRAME X Y W H. Frames are counted at 25 a second from the
whole video's beginning. Boxes are pixels of a video 360 high (VoxCeleb1) or shares of the frame's
width and height (VoxCeleb2 and later copies).
"""

import os
import pathlib
import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dfd_jax.data.images import Box, UnreadableImage

TRACKS = "txt"
VIDEO_FOLDERS = ("mp4", "video", "videos", "vid")
FPS = 25.0
REFERENCE_HEIGHT = 360
TEST_SPEAKERS = frozenset(f"id{number}" for number in range(10270, 10310))  # of VoxCeleb1
MARGIN = 0.1  # on each side of the face, of the box's longer side
SAME_PLACE = 0.25  # least overlap (IoU) with the first box


class Track(NamedTuple):
    """The boxes of one utterance, a row per frame."""

    frames: Int[np.ndarray, " n"]
    boxes: Float[np.ndarray, "n 4"]  # left, top, width, height
    is_relative: bool  # shares of the frame rather than pixels of one REFERENCE_HEIGHT high

    def seconds(self) -> tuple[float, float]:
        """When the first and the last frame are shown, in the whole video."""
        return float(self.frames[0] / FPS), float(self.frames[-1] / FPS)

    def steady(self) -> "Track":
        """The leading frames whose faces overlap the first, as First Order Motion cuts clips."""
        leaves = np.flatnonzero(_overlaps(self.boxes[0], self.boxes) < SAME_PLACE)
        end = int(leaves[0]) if leaves.size else len(self.frames)
        return Track(self.frames[:end], self.boxes[:end], self.is_relative)

    def square(self, height: int, width: int) -> Box:
        """The square around all boxes and a margin, in a video of this size.

        It is moved or shrunk as little as keeps it inside the frame. ValueError if the boxes lie
        outside.
        """
        scale = (width, height) if self.is_relative else (height / REFERENCE_HEIGHT,) * 2
        left, top = (self.boxes[:, :2] * scale).min(0)
        right, bottom = ((self.boxes[:, :2] + self.boxes[:, 2:]) * scale).max(0)
        if left >= width or top >= height or right <= 0 or bottom <= 0:
            raise ValueError(f"the face track lies outside the video of {width} x {height} pixels")
        side = round((1 + 2 * MARGIN) * max(right - left, bottom - top))
        side = max(1, min(side, height, width))
        return Box(
            left=int(np.clip(round((left + right - side) / 2), 0, width - side)),
            top=int(np.clip(round((top + bottom - side) / 2), 0, height - side)),
            side=side,
        )


def read_track(path: str | os.PathLike[str]) -> Track:
    """The track in a VoxCeleb text file. UnreadableImage if it is missing or holds none."""
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnreadableImage(path, error.strerror or str(error)) from error
    _, header, table = text.partition("FRAME")
    rows = [line.split() for line in table.splitlines()[1:] if line.strip()]
    try:
        numbers = np.array(rows, np.float64).reshape(-1, 5)
    except ValueError as error:
        raise UnreadableImage(path, "its rows are not FRAME X Y W H") from error
    if not header or not len(numbers):
        raise UnreadableImage(path, "no face track: no table FRAME X Y W H")
    boxes = numbers[:, 1:]
    if not (np.isfinite(boxes).all() and (boxes[:, 2:] > 0).all()):
        raise UnreadableImage(path, "a box of its face track has no size")
    return Track(numbers[:, 0].astype(int), boxes, is_relative=bool(boxes[:, 2:].max() <= 1))


def speaker_of(name: str) -> str | None:
    """The speaker in a name like id10001/7w0IBEWc9Qw/00001 or id10001#7w0IBEWc9Qw#00001#000.mp4."""
    match = re.search(r"(?:^|/)(id\d{5})(?=[/#]|$)", name)
    return match[1] if match else None


def _overlaps(
    box: Float[np.ndarray, "4"], boxes: Float[np.ndarray, "n 4"]
) -> Float[np.ndarray, " n"]:
    """Intersection over union of a box with each of `boxes`."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    return shared / (np.prod(box[2:]) + np.prod(boxes[:, 2:], axis=1) - shared)
