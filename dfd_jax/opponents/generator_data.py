"""From a config to what a generator is trained on and measured on: batches, held-out photos."""

import functools
import pathlib
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, UInt8

from dfd_jax.data import (
    action_units,
    celeba,
    drawn_pairs,
    faces,
    landmarks,
    pipeline,
    sources,
    spots,
    videos,
    warps,
)
from dfd_jax.data.face_photos import FacePhotos
from dfd_jax.models.frozen import FrozenGenerator
from dfd_jax.models.generators import stargan
from dfd_jax.models.generators.fomm import FOMM
from dfd_jax.opponents import fomm_training
from dfd_jax.runtime import sharding
from dfd_jax.runtime.config import Config
from dfd_jax.training import photo_source, steps

Pictures = UInt8[np.ndarray, "n s s 3"]


class HeldOut(NamedTuple):
    """Photos that training does not see, at the generator's size."""

    photos: Pictures
    labels: Float[np.ndarray, "n a"]
    points: Float[np.ndarray, "n 5 2"]  # landmarks in these photos
    clips: dict[str, videos.Frames] | None  # driving clips, for a generator that animates photos

    def first(self, count: int) -> "HeldOut":
        """The first `count` photos."""
        return self._replace(
            photos=self.photos[:count], labels=self.labels[:count], points=self.points[:count]
        )


def batches(config: Config, mesh: Mesh, workdir: pathlib.Path) -> Any:
    """An endless iterator over this process's part of the training batches."""
    if config.data.people:
        return _pair_batches(config, mesh, workdir)
    photos = faces.Cached(labelled(config, "train"))
    transform = warps.motion_pair if config.generator.model == "fomm" else _expression_pair
    if transform is _expression_pair and not are_warped(photos):
        return photo_source.batches(config, photos, mesh, workdir)
    photos = photo_source.with_landmarks(config, photos)
    return photo_source.batches(config, photos, mesh, workdir, transform)


def _pair_batches(config: Config, mesh: Mesh, workdir: pathlib.Path) -> Any:
    """Batches of pairs of drawn people, mixed with photos."""
    d, kind = config.data, drawn_pairs.KINDS[config.generator.model]
    folder = pathlib.Path(d.cache) if d.cache else drawn_pairs.cache_folder()
    pool = drawn_pairs.Pool(kind, d.people, d.size, config.seed, folder)
    examples = drawn_pairs.Pairs(pool, tuple(config.conditions), config.seed)
    if d.photo_share:
        photos = _photo_examples(config, workdir)
        examples = drawn_pairs.Mixed(examples, photos, d.photo_share, config.seed)
    return pipeline.batched(
        examples,
        sharding.local_batch_size(config.train.batch_size, mesh),
        workers=d.workers,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )


def _photo_examples(config: Config, workdir: pathlib.Path) -> grain.MapDataset[pipeline.Example]:
    """Endless examples of photos, with the same fields as pairs of drawn people."""
    photos = photo_source.with_landmarks(config, faces.Cached(labelled(config, "train")))
    return pipeline.make_examples(
        photos,
        config.data.size,
        config.data.crop or None,
        config.seed,
        transform=_as_pair(config),
        skipped_file=workdir / "skipped.txt",
        reduced=config.data.reduced,
    )


def _as_pair(config: Config) -> pipeline.Transform:
    """The transform of `make_examples` that makes a photo an example like a drawn pair."""
    if config.generator.model == "fomm":
        return _motion_pair
    if config.generator.model == "ganimation":
        return _known_expression_pair
    return functools.partial(
        drawn_pairs.choose_attributes,
        tuple(config.conditions),
        stargan.HAIR_COLOURS,
        config.data.photo_same,
    )


def _motion_pair(example: pipeline.Example, rng: np.random.Generator) -> pipeline.Example:
    """A photo in two poses, with unknown spots."""
    nothing = np.zeros((len(spots.SPOTS), 2), np.float32)
    unknown = {"source_spots": nothing, "driving_spots": nothing, "known": np.zeros((), np.float32)}
    return {**warps.motion_pair(example, rng), **unknown}


def _known_expression_pair(example: pipeline.Example, rng: np.random.Generator) -> pipeline.Example:
    return {**_expression_pair(example, rng), "paired": np.ones((), np.float32)}


def held_out(config: Config, workdir: pathlib.Path) -> HeldOut:
    """Photos of the test split. Unknown action units are 0, as they are relative to the photo."""
    test_faces = pipeline.read_split(
        photo_source.with_landmarks(config, labelled(config, "test")),
        limit=config.evaluate.photos,
        seed=config.seed,
        skipped_file=workdir / "skipped.txt",
    )
    held, size = FacePhotos.from_faces(test_faces, config.data.crop or None), config.data.size
    pairs = zip(test_faces, held.boxes, strict=True)
    known = [(face.points, box) for face, box in pairs if face.points is not None]  # all of them
    points = [landmarks.in_square(of_face, box, size) for of_face, box in known]
    animates = config.generator.model == "fomm"
    clips = sources.driving_clips(config.driving.root, size) if animates else None
    return HeldOut(held.crops(size), held.attributes, np.stack(points), clips)


def held_out_pairs(config: Config, count: int) -> pipeline.Example:
    """A batch of pairs of drawn people that no training sees (see drawn_pairs.Pairs)."""
    kind, size = drawn_pairs.KINDS[config.generator.model], config.data.size
    pool = drawn_pairs.Pool(kind, count, size, config.seed, held_out=True)
    rngs = [np.random.default_rng([config.seed, i, 13]) for i in range(count)]
    names = tuple(config.conditions)
    pairs = [drawn_pairs.pair(pool, i, names, rng) for i, rng in enumerate(rngs)]
    return {name: np.stack([pair[name] for pair in pairs]) for name in pairs[0]}


def fakes_of_pairs(net: FrozenGenerator, pairs: pipeline.Example) -> tuple[Pictures, ...]:
    """The pictures of these pairs, their targets, and the generator's fakes."""
    if isinstance(net, FOMM):
        source, driving = pairs["source"], pairs["driving"]
        made = fomm_training.reenact(net, jnp.asarray(source), jnp.asarray(driving))
        return source, driving, np.asarray(made)
    made = fakes(net, pairs["images"], jnp.asarray(pairs["target_attributes"]))
    return pairs["images"], pairs["targets"], made


def labelled(config: Config, split: str) -> faces.FaceSource:
    """The photos of a split.

    ValueError if an attribute among the conditions is unknown: a generator cannot learn it from
    placeholders. Action units may be unknown, as warps can make them.
    """
    source = photo_source.open_split(config, split, tuple(config.conditions))
    unknown = [n for n in action_units.others(config.conditions) if n not in source.known_names]
    if unknown:
        raise ValueError(
            f"config.conditions asks for {', '.join(unknown)}, which nobody knows of the photos in "
            f"{config.data.root!r}; {celeba.LAYOUT}\nDrawn faces know all labels: "
            "--config.data.kind=synthetic"
        )
    return source


def are_warped(photos: faces.FaceSource) -> bool:
    """Whether training makes the photos' expressions itself, by warping around the landmarks."""
    return any(name not in photos.known_names for name in photos.attribute_names)


def description(config: Config) -> str:
    """What training sees, for the card."""
    photos = labelled(config, "train")
    kind = "drawn faces" if config.data.kind == "synthetic" else "photos"
    how = ""
    if config.generator.model == "fomm":
        how = ", each in two poses and expressions, warped by its landmarks"
    elif are_warped(photos):
        how = ", warped by their landmarks: units are relative to the photo"
    seen = f"{len(photos)} {kind} (training split), seed {config.seed}{how}"
    people, share = config.data.people, config.data.photo_share
    if not people:
        return seen
    pairs = f"pairs of {people} drawn people, seed {config.seed}"
    return f"{pairs}; {share:g} of the examples are photos: {seen}" if share else pairs


def _expression_pair(example: pipeline.Example, rng: np.random.Generator) -> pipeline.Example:
    """The photo with two random expressions. A transform of make_loader."""
    pair = warps.expression_pair(example, rng)
    return {
        "images": pair["images"],
        "attributes": pair["units"],
        "targets": pair["targets"],
        "target_attributes": pair["target_units"],
    }


def fakes(net: FrozenGenerator, photos: Pictures, condition: Any) -> Pictures:
    """G(photo, condition) as 8-bit pictures."""
    return np.asarray(steps.fake_and_judge(net, (), jnp.asarray(photos), condition).fakes)


def fakes_of_each(
    net: FrozenGenerator, held: HeldOut, conditions: tuple[str, ...]
) -> dict[str, Pictures]:
    """The fakes of all held-out photos, by condition."""
    labels = jnp.asarray(held.labels)
    return {c: fakes(net, held.photos, net.test_condition(labels, c)) for c in conditions}


def with_clips(net: FrozenGenerator, held: HeldOut) -> FrozenGenerator:
    """The generator with the driving clips if it animates photos: one frame for each photo."""
    if held.clips is None or not isinstance(net, FOMM):
        return net
    return net.with_motions(held.clips, frames_per_photo=1)


def measure(config: Config, net: FrozenGenerator, held: HeldOut) -> dict[str, Any]:
    """How much a generator changes held-out photos and how well it does what it learned, in 8-bit
    levels.

    `change_255`: mean |G(x, c) - x| by condition. `cycle_255`: mean |G(G(x, c), own labels) - x|,
    over the same conditions. Of a generator that animates, instead, `reenacted_255`: mean
    |G(source, driving) - driving| on warped photos, and `copied_255`: mean |source - driving|.
    """
    net = with_clips(net, held)
    made = fakes_of_each(net, held, net.test_conditions)
    figures = {
        "photos": len(held.photos),
        "change_255": {c: round(_difference(f, held.photos), 2) for c, f in made.items()},
    }
    if isinstance(net, FOMM):
        return {**figures, **_reenacted(net, held, config.seed)}
    own = jnp.asarray(held.labels)
    cycle = [_difference(fakes(net, fake, own), held.photos) for fake in made.values()]
    return {**figures, "cycle_255": round(float(np.mean(cycle)), 2)}


def _reenacted(net: FOMM, held: HeldOut, seed: int) -> dict[str, float]:
    """The errors of moving every held-out photo from one pose to another."""
    rng, pairs = np.random.default_rng(seed), []
    for photo, points in zip(held.photos, held.points, strict=True):
        pairs.append(warps.motion_pair({"images": photo, "points": points}, rng))
    source, driving = (np.stack([pair[name] for pair in pairs]) for name in ("source", "driving"))
    made = fomm_training.reenact(net, jnp.asarray(source), jnp.asarray(driving))
    return {
        "reenacted_255": round(_difference(np.asarray(made), driving), 2),
        "copied_255": round(_difference(source, driving), 2),
    }


def _difference(a: Pictures, b: Pictures) -> float:
    return float(np.abs(a.astype(np.float64) - b).mean())
