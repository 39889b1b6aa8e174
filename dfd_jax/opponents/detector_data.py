"""What a detector's training reads, from its config: real photos, ready-made fakes, exams."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from dfd_jax import models, pixels
from dfd_jax.data import faces, folders, manipulations, pairs, pipeline, saving
from dfd_jax.data import sources as face_sources
from dfd_jax.models.frozen import FrozenGenerator
from dfd_jax.runtime.config import Config
from dfd_jax.training import setup

SYNTHETIC_SEED = 1  # drawn faces that a data.kind of synthetic with the usual seed does not draw
EXAM_SYNTHETIC = 64  # drawn faces in an exam


def sources(config: Config, split: str) -> dict[str, faces.FaceSource]:
    """The real photos of a split by kind: "photos" and "synthetic", or one of them."""
    d, names = config.data, faces.ATTRIBUTES
    found: dict[str, faces.FaceSource] = {}
    if d.kind != "synthetic" and (d.root or d.kind == "tfds"):
        found["photos"] = faces.Cached(setup.source(config, split, names))
    if d.count:
        count = d.count if split == "train" else EXAM_SYNTHETIC
        drawn = face_sources.open_source(
            "synthetic",
            split,
            attribute_names=names,
            seed=config.seed + SYNTHETIC_SEED,
            count=count,
            size=max(d.size, d.drawn),
        )
        found["synthetic"] = faces.Cached(drawn)
    if not found:
        raise ValueError(
            "neither photos nor drawn faces to train on: set data.root to a folder of photos, "
            "data.count to a number of drawn faces, or both"
        )
    return found


def batches(config: Config, mesh: Mesh, workdir: pathlib.Path) -> Any:
    """An endless iterator over this process's part of the training batches of pairs."""
    pairing = pairs.Pairing(
        families(config), ready_fakes(config, "train", workdir), config.fakes.made_share
    )
    photos = faces.Concatenation(list(sources(config, "train").values()))
    return setup.loader(config, photos, mesh, workdir, pairing)


def exams(config: Config, split: str, workdir: pathlib.Path) -> list[pairs.Exam]:
    """One exam for each kind of real photos of a split."""
    ready, limit = ready_fakes(config, split, workdir), config.evaluate.photos or None
    ready_faces = pipeline.read_split(ready, limit=limit) if ready is not None else []
    return [
        pairs.make_exam(
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
    """The manipulation families of the config; all of them if it names none."""
    return tuple(config.fakes.families) or tuple(manipulations.FAMILIES)


def ready_fakes(config: Config, split: str, workdir: pathlib.Path) -> faces.FaceSource | None:
    """Fakes from the config's folders and, through files made on first use, its generators."""
    found: list[faces.FaceSource] = [
        folders.PhotoFolder(folder, split, config.seed) for folder in config.fakes.folders
    ]
    for path in config.fakes.generators:
        name = path.removeprefix("zoo:").replace("/", "-")
        folder = workdir / "fakes" / name / split
        _generate(config, load_generator(path), split, folder)
        found.append(folders.PhotoFolder(folder, "all"))
    return faces.Cached(faces.Concatenation(found)) if found else None


def load_generator(path: str) -> FrozenGenerator:
    """The generator in a file, ready to be asked. ValueError if the file holds something else."""
    net = models.load(path)
    if not isinstance(net, FrozenGenerator):
        raise ValueError(f"{path} holds {net.card.model}, which is not a generator")
    return setup.driven(net, "", frames=1)


def generate(
    net: FrozenGenerator, photos: np.ndarray, attributes: np.ndarray, target: str, rng: jax.Array
) -> np.ndarray:
    """The generator's fakes of 8-bit photos for one target, as 8-bit pictures of its own size.

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


def _generate(config: Config, net: FrozenGenerator, split: str, folder: pathlib.Path) -> None:
    """Write one fake of every photo of a split, under a random condition, unless that is done."""
    if folder.exists():
        return
    source = faces.Concatenation(list(sources(config, split).values()))
    exam = pairs.make_exam(
        split,
        pipeline.read_split(source),
        (),
        size=net.card.input_size,
        crop=config.data.crop or None,
        seed=config.seed,
    )
    rng = jax.random.key(config.seed)
    made = generate(net, exam.reals, exam.attributes, "random", rng)
    unfinished = folder.with_name(f".{folder.name}")
    for index, fake in enumerate(made):
        saving.write_photo(unfinished / f"{index:06d}.png", fake)
    unfinished.rename(folder)
