"""Opens every kind of source by name: the one module that knows them all.

source = open_source("auto", "train", root="photos/", attribute_names=("Male", "Young"))
face = source[0]
"""

import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8

from dfd_jax.data import celeba, videos
from dfd_jax.data.faces import ATTRIBUTES, Cached, Concatenation, FaceSource, check_split
from dfd_jax.data.folders import CelebaFolder, PhotoFolder
from dfd_jax.data.images import list_images
from dfd_jax.data.shards import list_shards
from dfd_jax.data.synthetic import FaceParameters, SyntheticFaces
from dfd_jax.data.synthetic.motions import MOTIONS, render_motion
from dfd_jax.data.tfds_celeba import TfdsCeleba


def open_source(
    kind: str,
    split: str,
    *,
    root: str | os.PathLike[str] | None = None,
    attribute_names: Sequence[str] = ATTRIBUTES,
    seed: int = 0,
    protocol: str = "official",
    count: int = 512,
    size: int = 178,
    choose: Callable[[UInt8[np.ndarray, "n s s 3"]], int] | None = None,
) -> FaceSource:
    """The faces of one split of a data set.

    `kind` is one of
    - "celeba": a folder in CelebA's layout; `protocol` chooses the splits (see CelebaFolder);
    - "folder": any folder of photos; `seed` fixes the splits;
    - "array_record": either of them, packed into shards by pack.py;
    - "videos": one face from each video below a folder or in a copy of VoxCeleb, picked by `choose`
      (see videos.py); `seed` fixes the splits;
    - "tfds": CelebA prepared by tensorflow-datasets; `root` is its data_dir, or None;
    - "synthetic": `count` drawn faces of `size` pixels, fixed by `seed`; splits do not overlap;
    - "auto": synthetic without a root, celeba if `root` has its attribute list, videos if it has
      videos and no photos, else folder.
    ValueError if there are no data, or none in this split.
    """
    names = tuple(attribute_names)
    if kind == "auto":
        kind = _kind_of(root)
    if kind == "tfds":
        return TfdsCeleba(split, names, data_dir=root)
    if kind == "synthetic":
        return _synthetic(split, names, seed, count, size)
    if kind not in ("celeba", "folder", "array_record", "videos"):
        known = "auto, celeba, folder, array_record, videos, tfds, synthetic"
        raise ValueError(f"found data kind {kind!r}, expected one of {known}")
    if root is None:
        raise ValueError(f"data kind {kind!r} needs a root: the folder with the photos or videos")
    if kind == "videos":
        return videos.VideoFaces(root, split, seed, names, choose=choose or videos.middle)
    if kind == "array_record":
        if not list_shards(root) and not list_shards(pathlib.Path(root, celeba.PHOTOS)):
            command = "python -m dfd_jax.data.pack PHOTOS PACKED"
            raise ValueError(f"{os.fspath(root)}: no shards in it; make them with {command}")
        kind = _kind_of(root)
    if kind == "celeba":
        return CelebaFolder(root, split, names, protocol)
    return PhotoFolder(root, split, seed, names)


def driving_clips(
    root: str | os.PathLike[str] | None, size: int, *, limit: int = 250, drawn_frames: int = 25
) -> dict[str, videos.Frames]:
    """Driving clips for a reenactment by name: at most `limit` frames of each video in a folder.

    Without a root, `drawn_frames` frames of a drawn face for each of five motions: mouth, blink,
    yaw, nod, smile. ValueError if the folder has no video, or one cannot be read.
    """
    if not root:
        return {m: render_motion(m, FaceParameters(), drawn_frames, size) for m in MOTIONS}
    names = videos.list_videos(root)
    if not names:
        raise ValueError(f"{os.fspath(root)}: no video in it or below ({videos.KINDS})")
    return {
        videos.stem(name): videos.read_clip(pathlib.Path(root, name), size, limit).frames
        for name in names
    }


def _kind_of(root: str | os.PathLike[str] | None) -> str:
    if root is None:
        return "synthetic"
    if pathlib.Path(root, "list_attr_celeba.txt").exists():
        return "celeba"
    photos = list_images(root)
    if all(pathlib.PurePath(name).suffix.lower() == ".gif" for name in photos):
        suffixes = {pathlib.PurePath(name).suffix.lower() for name in videos.list_videos(root)}
        if suffixes & (videos.VIDEO_SUFFIXES - {".gif"}):
            return "videos"
    return "folder"


def _synthetic(split: str, names: tuple[str, ...], seed: int, count: int, size: int) -> FaceSource:
    """`count` drawn faces per split; "all" is the three splits, one after another."""
    check_split(split)
    splits = list(celeba.PARTITIONS) if split == "all" else [split]
    seeds = [len(celeba.PARTITIONS) * seed + celeba.PARTITIONS[name] for name in splits]
    sources = [Cached(SyntheticFaces(count, s, size, names)) for s in seeds]
    return sources[0] if len(sources) == 1 else Concatenation(sources)
