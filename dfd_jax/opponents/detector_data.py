"""From a config to what a detector is trained and evaluated on: real photos and fakes."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from dfd_jax import models, pixels
from dfd_jax.data import faces, manipulations, pairs, pipeline, saving
from dfd_jax.models.frozen import FrozenGenerator
from dfd_jax.runtime.config import Config
from dfd_jax.training import photo_source, setup

SEED_OFFSET = 1  # other drawn faces than those that `data.kind = synthetic` draws from the seed
DRAWN_IN_EVALUATION = 64  # drawn faces in an evaluation set


def sources(config: Config, split: str) -> dict[str, faces.FaceSource]:
    """The real photos of a split by kind: "photos", "synthetic", or both. ValueError if neither."""
    d, names = config.data, faces.ATTRIBUTES
    by_kind: dict[str, faces.FaceSource] = {}
    if d.kind != "synthetic" and (d.root or d.kind == "tfds"):
        by_kind["photos"] = faces.Cached(photo_source.open_split(config, split, names))
    if d.count:
        count = d.count if split == "train" else DRAWN_IN_EVALUATION
        drawn = faces.open_source(
            "synthetic",
            split,
            attribute_names=names,
            seed=config.seed + SEED_OFFSET,
            count=count,
            size=max(d.size, d.drawn),
        )
        by_kind["synthetic"] = faces.Cached(drawn)
    if not by_kind:
        raise ValueError(
            "neither photos nor drawn faces to train on: set data.root to a folder of photos, "
            "data.count to a number of drawn faces, or both"
        )
    return by_kind


def batches(config: Config, mesh: Mesh, workdir: pathlib.Path) -> Any:
    """An endless iterator over this process's part of the training batches of pairs."""
    pairing = pairs.Pairing(
        families(config), ready_fakes(config, "train", workdir), config.fakes.made_share
    )
    photos = faces.Concatenation(list(sources(config, "train").values()))
    return photo_source.batches(config, photos, mesh, workdir, pairing)


def evaluation_sets(config: Config, split: str, workdir: pathlib.Path) -> list[pairs.EvaluationSet]:
    """One evaluation set for each kind of real photos of a split."""
    ready, limit = ready_fakes(config, split, workdir), config.evaluate.photos or None
    ready_faces = pipeline.read_split(ready, limit=limit) if ready is not None else []
    return [
        pairs.make_evaluation_set(
            name,
            pipeline.read_split(source, limit=limit, skipped_file=workdir / "skipped.txt"),
            families(config),
            size=config.data.size,
            crop=config.data.crop or None,
            seed=config.seed,
            ready=ready_faces,
        )
        for name, source in sources(config, split).items()
    ]


def families(config: Config) -> tuple[str, ...]:
    """The manipulation families of the config, or all if it names none."""
    return tuple(config.fakes.families) or tuple(manipulations.FAMILIES)


def ready_fakes(config: Config, split: str, workdir: pathlib.Path) -> faces.FaceSource | None:
    """Fakes from the config's folders and generators, or None. What a generator makes is written to
    `workdir/fakes` once.
    """
    folders: list[faces.FaceSource] = [
        faces.PhotoFolder(folder, split, config.seed) for folder in config.fakes.folders
    ]
    for path in config.fakes.generators:
        name = path.removeprefix("zoo:").replace("/", "-")
        folder = workdir / "fakes" / name / split
        if not folder.exists():
            _write_fakes(config, load_generator(path), split, folder)
        folders.append(faces.PhotoFolder(folder, "all"))
    return faces.Cached(faces.Concatenation(folders)) if folders else None


def load_generator(path: str) -> FrozenGenerator:
    """The generator in a file, with driving clips if it needs any. ValueError if the file holds
    another kind of network.
    """
    net = models.load(path)
    if not isinstance(net, FrozenGenerator):
        raise ValueError(f"{path} holds {net.card.model}, which is not a generator")
    return setup.with_driving_clips(net, "", frames=1)


def generate(
    net: FrozenGenerator, photos: np.ndarray, attributes: np.ndarray, target: str, rng: jax.Array
) -> np.ndarray:
    """The generator's fakes of 8-bit photos under one target condition: uint8 [n, g, g, 3].

    `attributes` are the photos' `faces.ATTRIBUTES`; other labels count as absent (0).
    """

    @jax.jit
    def fakes_of(net: FrozenGenerator, photos: jax.Array, condition: Any) -> jax.Array:
        return pixels.to_uint8(net(pixels.from_uint8(photos), condition))

    labels = np.zeros((len(photos), len(net.labels)), np.float32)
    for known, name in zip(attributes.T, faces.ATTRIBUTES, strict=True):
        if name in net.labels:
            labels[:, net.labels.index(name)] = known
    condition = net.sample_condition(rng, jnp.asarray(labels), target)
    made = []
    for i in range(0, len(photos), 32):
        part = jax.tree.map(lambda leaf, i=i: leaf[i : i + 32], condition)
        made.append(np.asarray(fakes_of(net, photos[i : i + 32], part)))
    return np.concatenate(made)


def _write_fakes(config: Config, net: FrozenGenerator, split: str, folder: pathlib.Path) -> None:
    """Write one fake of every photo of a split, under a random condition. The folder appears when
    it is complete.
    """
    source = faces.Concatenation(list(sources(config, split).values()))
    real = pairs.make_evaluation_set(
        split,
        pipeline.read_split(source),
        (),
        size=net.card.input_size,
        crop=config.data.crop or None,
        seed=config.seed,
    )
    rng = jax.random.key(config.seed)
    made = generate(net, real.reals, real.attributes, "random", rng)
    unfinished = folder.with_name(f".{folder.name}")
    for index, fake in enumerate(made):
        saving.write_photo(unfinished / f"{index:06d}.png", fake)
    unfinished.rename(folder)
