"""Folders of videos: as a source of faces, one a video, and as motions that drive a reenactment.

A video is a file (VIDEO_SUFFIXES), or a folder of its frames as pictures, named in their order.
"""

import itertools
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from dfd_jax.data import voxceleb
from dfd_jax.data.faces import ATTRIBUTES, Face, check_split, hashed_split
from dfd_jax.data.images import (
    IMAGE_SUFFIXES,
    Box,
    UnreadableImage,
    centre_box,
    crop_resize,
    has_suffix,
    read_rgb,
    walk_visible,
)
from dfd_jax.data.video_files import USUAL_RATE, Pixels, read_frames, read_info

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif"})
FRAME_SUFFIXES = IMAGE_SUFFIXES - VIDEO_SUFFIXES
KINDS = " ".join(sorted(VIDEO_SUFFIXES)) + " or folders of frames"  # for messages

Frames = UInt8[np.ndarray, "n s s 3"]
Choose = Callable[[Frames], int]  # frames of one video → the index of one


class Clip(NamedTuple):
    """A piece of video, cut to a square."""

    frames: Frames
    fps: float
    name: str


def read_clip(
    path: str | os.PathLike[str], size: int, limit: int | None = None, box: Box | None = None
) -> Clip:
    """The first `limit` frames of a video (None: all) at `size` x `size` pixels.

    `box` is the region that is cut out, in upright pixels (None: the largest centred square).
    UnreadableImage if it cannot be decoded, ValueError if the box does not lie inside.
    """
    cut = _cutter(size, box)
    frames = [cut(frame) for frame in itertools.islice(_frames(path), limit)]
    fps = float(USUAL_RATE) if os.path.isdir(path) else read_info(path).fps
    return Clip(np.stack(frames), fps, stem(pathlib.Path(path).name))


def list_videos(root: str | os.PathLike[str]) -> list[str]:
    """Relative paths (with `/`) of the videos in a folder and below, sorted.

    A video is a file with one of VIDEO_SUFFIXES in either case or a folder with two pictures or
    more; hidden ones are left out. ValueError if `root` is not a folder.
    """
    videos: list[pathlib.Path] = []
    for folder, files in walk_visible(root):
        videos += [folder / name for name in files if has_suffix(name, VIDEO_SUFFIXES)]
        pictures = sum(has_suffix(name, FRAME_SUFFIXES) for name in files)
        if folder != pathlib.Path(root) and pictures > 1:
            videos.append(folder)
    return sorted(path.relative_to(root).as_posix() for path in videos)


def middle(frames: Frames) -> int:
    """The frame halfway through."""
    return len(frames) // 2


class VideoFaces:
    """One face of each video in a folder, or of each utterance of one in VoxCeleb's layout.

    `choose` picks it from `candidates` frames at most, evenly spaced over the video, cut to the
    largest centred square, or to the face track where there is one (see voxceleb.py), at `size`
    pixels. Splits are made like PhotoFolder's, except that all videos of a VoxCeleb speaker are in
    one, and where VoxCeleb1's own test speakers are there, they are the test split. Attributes are
    not known: they are 0. ValueError if there is no video, or none in this split.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        seed: int = 0,
        attribute_names: Sequence[str] = ATTRIBUTES,
        *,
        choose: Choose = middle,
        size: int = 256,
        candidates: int = 64,
    ) -> None:
        check_split(split)
        self.attribute_names, self.known_names = tuple(attribute_names), ()
        self._choose, self._size, self._candidates = choose, size, candidates
        self._root = pathlib.Path(root)
        videos = _videos(self._root)
        if not videos:
            raise ValueError(f"{self._root}: no video in it or below (looked for {KINDS})")
        splits = _splits(list(videos), seed)
        self._videos = [(n, v) for n, v in videos.items() if split in ("all", splits[n])]
        if not self._videos:
            raise ValueError(
                f"{self._root}: none of its {len(videos)} videos falls into the split {split!r}; "
                "add videos or use the split 'all'"
            )

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index: int, /) -> Face:
        name, video = self._videos[index]
        frames = video.candidates(self._candidates, self._size)
        chosen = self._choose(frames)
        if not 0 <= chosen < len(frames):
            raise ValueError(f"frame {chosen} was chosen of {len(frames)}")
        return Face(frames[chosen], np.zeros(len(self.attribute_names), np.float32), name)


class _Video(NamedTuple):
    path: pathlib.Path
    track: pathlib.Path | None = None
    is_whole: bool = False  # the track's utterance is only a part of it

    def candidates(self, most: int, size: int) -> Frames:
        """Up to `most` frames, evenly spaced. UnreadableImage if video or track are broken."""
        try:
            if self.track is None:
                return _spread(_frames(self.path), _cutter(size), most)
            track = voxceleb.read_track(self.track).steady()
            start, stop = track.seconds()
            if not self.is_whole:
                start, stop = 0.0, (len(track.frames) - 1) / voxceleb.FPS
            frames = read_frames(self.path, start=start, stop=stop)
            return _spread(frames, _cutter(size, track), most)
        except UnreadableImage:
            raise
        except ValueError as error:
            raise UnreadableImage(self.path, str(error)) from error


def _videos(root: pathlib.Path) -> dict[str, _Video]:
    """Name → video of every clip that a folder holds."""
    tracks = root / voxceleb.TRACKS
    if not tracks.is_dir():
        return {name: _Video(root / name) for name in list_videos(root)}
    files: dict[str, pathlib.Path] = {}
    for folder in voxceleb.VIDEO_FOLDERS:
        if (root / folder).is_dir():
            names = list_videos(root / folder)
            files |= {stem(name): root / folder / name for name in names}
    clips = {}
    for track in sorted(tracks.rglob("*.txt")):
        name = track.relative_to(tracks).with_suffix("").as_posix()
        whole = name.rpartition("/")[0]
        if name in files:
            clips[name] = _Video(files[name], track)
        elif whole in files or whole.rpartition("/")[2] in files:
            path = files.get(whole) or files[whole.rpartition("/")[2]]
            clips[name] = _Video(path, track, is_whole=True)
    return clips


def _splits(names: list[str], seed: int) -> dict[str, str]:
    speakers = {name: voxceleb.speaker_of(name) for name in names}
    is_official = not voxceleb.TEST_SPEAKERS.isdisjoint(speakers.values())
    fractions = (0.9, 0.1, 0.0) if is_official else (0.8, 0.1, 0.1)
    return {
        name: "test"
        if is_official and speaker in voxceleb.TEST_SPEAKERS
        else hashed_split(speaker or name, seed, fractions)
        for name, speaker in speakers.items()
    }


def _frames(path: str | os.PathLike[str]) -> Iterator[Pixels]:
    if not os.path.isdir(path):
        return read_frames(path)
    names = [name for name in os.listdir(path) if has_suffix(name, FRAME_SUFFIXES)]
    if not names:
        raise UnreadableImage(path, "a folder without pictures, not a video")
    return (read_rgb(pathlib.Path(path, name)) for name in sorted(names, key=_in_counting_order))


def _cutter(
    size: int, where: Box | voxceleb.Track | None = None
) -> Callable[[Pixels], UInt8[np.ndarray, "s s 3"]]:
    def cut(frame: Pixels) -> UInt8[np.ndarray, "s s 3"]:
        height, width, _ = frame.shape
        box = where.square(height, width) if isinstance(where, voxceleb.Track) else where
        return crop_resize(frame, box or centre_box(height, width), size)

    return cut


def _spread(
    frames: Iterator[Pixels], cut: Callable[[Pixels], UInt8[np.ndarray, "s s 3"]], most: int
) -> Frames:
    """At most `most` frames, evenly spaced and cut; never more than one beyond that in memory."""
    kept: list[np.ndarray] = []
    stride = 1
    for index, frame in enumerate(frames):
        if index % stride == 0:
            kept.append(cut(frame))
        if len(kept) > most:
            kept, stride = kept[::2], 2 * stride
    return np.stack(kept)


def _in_counting_order(name: str) -> list[tuple[int, str]]:
    """A key that sorts 2.png before 10.png."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def stem(name: str) -> str:
    """A video's name without its suffix."""
    suffix = pathlib.PurePath(name).suffix
    return name.removesuffix(suffix) if has_suffix(name, VIDEO_SUFFIXES) else name
