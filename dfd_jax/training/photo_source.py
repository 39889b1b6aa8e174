"""From a config to the photos it names, and the batches of a training."""

import pathlib
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from dfd_jax.data import celeba, faces, landmarks, pipeline, videos, warps
from dfd_jax.data.action_units import is_action_unit
from dfd_jax.models.frozen import FrozenGenerator
from dfd_jax.models.generators.fomm import FOMM
from dfd_jax.models.generators.ganimation import OWN
from dfd_jax.runtime import sharding
from dfd_jax.runtime.config import Config


def open_split(
    config: Config,
    split: str,
    attribute_names: tuple[str, ...],
    generators: Iterable[FrozenGenerator] = (),
) -> faces.FaceSource:
    """The photos of one split.

    Of a video it is one frame. If a generator animates photos, that is the frame whose pose is
    nearest to the first frame of its first driving clip.
    """
    d = config.data
    animating = next((net for net in generators if isinstance(net, FOMM)), None)
    photos = faces.open_source(
        d.kind,
        split,
        root=d.root or None,
        attribute_names=attribute_names,
        seed=config.seed,
        protocol=d.split_protocol,
        count=d.count if split == "train" else max(d.count // 4, 64),
        size=max(d.size, d.drawn),
        choose=animating.best_frame if animating else None,
    )
    if not isinstance(photos, videos.VideoFaces):
        return photos
    if animating and d.workers:
        raise ValueError(
            f"config.data.workers is {d.workers}, but a network chooses the frame of each video "
            "and worker processes do not have it; set --config.data.workers=0"
        )
    return faces.Cached(photos)  # choosing a frame takes as long as decoding the video


def perturber_batches(
    config: Config,
    label_names: tuple[str, ...],
    generators: Iterable[FrozenGenerator],
    mesh: Mesh,
    workdir: pathlib.Path,
) -> Any:
    """An endless iterator over this process's part of the batches that P is trained on.

    ValueError if the config asks for labels that the photos do not have.
    """
    photos = open_split(config, "train", label_names, generators)
    _check_labels(config, photos)
    if not config.data.get("poses", False):  # missing from the configs of older runs
        return batches(config, photos, mesh, workdir)
    return batches(config, with_landmarks(config, faces.Cached(photos)), mesh, workdir, _turn)


def batches(
    config: Config,
    photos: faces.FaceSource,
    mesh: Mesh,
    workdir: pathlib.Path,
    transform: pipeline.Transform | None = None,
) -> Any:
    """An endless iterator over this process's part of batches of these photos."""
    return pipeline.make_loader(
        photos,
        batch_size=sharding.local_batch_size(config.train.batch_size, mesh),
        size=config.data.size,
        crop=config.data.crop or None,
        seed=config.seed,
        transform=transform,
        workers=config.data.workers,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        skipped_file=workdir / "skipped.txt",
        reduced=config.data.get("reduced", False),  # missing from the configs of older runs
    )


def with_landmarks(config: Config, photos: faces.FaceSource) -> faces.FaceSource:
    """The photos with their landmarks: canonical ones if the data set has no list of them."""
    root = config.data.root
    return landmarks.Landmarked(photos, landmarks.read_landmarks(root) if root else None)


def _turn(example: pipeline.Example, rng: np.random.Generator) -> pipeline.Example:
    """Turn the face of two photos in three to another pose. A transform of make_loader."""
    photo = example["images"]
    if rng.random() < 2 / 3:
        photo = warps.turn(photo, example["points"], *warps.random_pose(rng))
    return {"images": photo, "attributes": example["attributes"]}


def _check_labels(config: Config, photos: faces.FaceSource) -> None:
    """ValueError if the photos should keep expressions whose action units are not known."""
    unknown = [name for name in photos.attribute_names if name not in photos.known_names]
    units = [name for name in unknown if is_action_unit(name)]
    if OWN in config.condition.split(",") and units:
        raise ValueError(
            f"config.condition asks for each photo's own expression, but its action units are not "
            f"known ({units[0]} … {units[-1]}); {celeba.LAYOUT}"
        )
