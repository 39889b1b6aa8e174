"""What a generator's training reads and is measured on: batches, and held-out photos."""

import functools
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, UInt8

from dfd_jax import assembly, reenactment, sharding, steps
from dfd_jax.config import Config
from dfd_jax.data import action_units, celeba, drawn_pairs, faces, landmarks, pipeline, spots, warps
from dfd_jax.evaluation import Subject
from dfd_jax.models.frozen import FrozenGenerator
from dfd_jax.models.generators import stargan
from dfd_jax.models.generators.fomm import FOMM


class Held(NamedTuple):
    """Photos that training does not see, at the generator's size."""

    photos: UInt8[np.ndarray, "n s s 3"]
    labels: Float[np.ndarray, "n a"]
    points: Float[np.ndarray, "n 5 2"]  # landmarks in these photos

    def first(self, count: int) -> "Held":
        """Some of them."""
        return Held(*(array[:count] for array in self))


def batches(config: Config, mesh: Mesh, workdir: pathlib.Path) -> Any:
    """An endless iterator over this process's part of the training batches."""
    if config.data.get("people", 0):  # older runs do not say
        return _of_pairs(config, mesh, workdir)
    photos = faces.Cached(labelled(config, "train"))
    if config.generator.model == "fomm":
        return assembly.loader(
            config, assembly.marked(config, photos), mesh, workdir, warps.motion_pair
        )
    if not are_warped(photos):
        return assembly.loader(config, photos, mesh, workdir)
    return assembly.loader(config, assembly.marked(config, photos), mesh, workdir, _expressive)


def _of_pairs(config: Config, mesh: Mesh, workdir: pathlib.Path) -> Any:
    """Batches of pairs of drawn people, with photos among them."""
    d, kind = config.data, drawn_pairs.KINDS[config.generator.model]
    folder = pathlib.Path(d.cache) if d.cache else drawn_pairs.cache_folder()
    pool = drawn_pairs.Pool(kind, d.people, d.size, config.seed, folder)
    examples = drawn_pairs.Pairs(pool, tuple(config.conditions), config.seed)
    if d.photo_share:
        examples = drawn_pairs.Mixed(examples, _photos(config, workdir), d.photo_share, config.seed)
    return pipeline.batched(
        examples,
        sharding.local_batch_size(config.train.batch_size, mesh),
        workers=d.workers,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )


def _photos(config: Config, workdir: pathlib.Path) -> Any:
    """Endless examples of photos that fit among pairs."""
    photos = assembly.marked(config, faces.Cached(labelled(config, "train")))
    return pipeline.make_examples(
        photos,
        config.data.size,
        config.data.crop or None,
        config.seed,
        transform=_transform(config),
        skipped_file=workdir / "skipped.txt",
        reduced=config.data.reduced,
    )


def _transform(config: Config) -> pipeline.Transform:
    if config.generator.model == "fomm":
        return _moving_pair
    if config.generator.model == "ganimation":
        return _expressive_pair
    return functools.partial(
        drawn_pairs.ask_attributes,
        tuple(config.conditions),
        stargan.HAIR_COLOURS,
        config.data.get("photo_same", 1 / 3),
    )


def _moving_pair(example: pipeline.Example, rng: np.random.Generator) -> pipeline.Example:
    """A photo in two poses; where its spots are nobody knows."""
    nothing = np.zeros((len(spots.SPOTS), 2), np.float32)
    unknown = {"source_spots": nothing, "driving_spots": nothing, "known": np.zeros((), np.float32)}
    return {**warps.motion_pair(example, rng), **unknown}


def _expressive_pair(example: pipeline.Example, rng: np.random.Generator) -> pipeline.Example:
    return {**_expressive(example, rng), "paired": np.ones((), np.float32)}


def held_out(config: Config, workdir: pathlib.Path) -> Held:
    """Photos of the test split. Those whose action units nobody knows have none, as they do not
    differ from themselves.
    """
    found = pipeline.read_split(
        assembly.marked(config, labelled(config, "test")),
        limit=config.evaluate.photos,
        seed=config.seed,
        skipped_file=workdir / "skipped.txt",
    )
    subject, size = Subject.from_faces(found, config.data.crop or None), config.data.size
    pairs = zip(found, subject.boxes, strict=True)
    known = [(face.points, box) for face, box in pairs if face.points is not None]  # all of them
    points = [landmarks.in_square(of_face, box, size) for of_face, box in known]
    return Held(subject.crops(size), subject.attributes, np.stack(points))


def held_pairs(config: Config, count: int) -> pipeline.Example:
    """Pairs of drawn people that no training sees, stacked: see drawn_pairs.Pairs."""
    kind, size = drawn_pairs.KINDS[config.generator.model], config.data.size
    pool = drawn_pairs.Pool(kind, count, size, config.seed, held_out=True)
    rngs = [np.random.default_rng([config.seed, i, 13]) for i in range(count)]
    names = tuple(config.conditions)
    pairs = [drawn_pairs.pair(pool, i, names, rng) for i, rng in enumerate(rngs)]
    return {name: np.stack([pair[name] for pair in pairs]) for name in pairs[0]}


def of_pairs(
    net: FrozenGenerator, pairs: pipeline.Example
) -> tuple[np.ndarray, np.ndarray, UInt8[np.ndarray, "n s s 3"]]:
    """The pictures, what they should become, and what the generator makes of them."""
    if isinstance(net, FOMM):
        source, driving = pairs["source"], pairs["driving"]
        made = reenactment.reenact(net, jnp.asarray(source), jnp.asarray(driving))
        return source, driving, np.asarray(made)
    made = fakes(net, pairs["images"], jnp.asarray(pairs["target_attributes"]))
    return pairs["images"], pairs["targets"], made


def labelled(config: Config, split: str) -> faces.FaceSource:
    """The photos of a split.

    ValueError if an attribute that can be asked for is not known of them: a generator that learns
    from stand-ins learns nothing. Action units need not be known, as warps can make them.
    """
    source = assembly.source(config, split, tuple(config.conditions))
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
    people, share = config.data.get("people", 0), config.data.get("photo_share", 0.0)
    if not people:
        return seen
    pairs = f"pairs of {people} drawn people, seed {config.seed}"
    return f"{pairs}; a share of {share:g}: {seen}" if share else pairs


def _expressive(example: pipeline.Example, rng: np.random.Generator) -> pipeline.Example:
    """A photo with a random expression, and with another one. A transform of make_loader."""
    pair = warps.expression_pair(example, rng)
    return {
        "images": pair["images"],
        "attributes": pair["units"],
        "targets": pair["targets"],
        "target_attributes": pair["target_units"],
    }


def fakes(
    net: FrozenGenerator, photos: UInt8[np.ndarray, "n s s 3"], asked: Any
) -> UInt8[np.ndarray, "n s s 3"]:
    """G(photo, asked) as 8-bit pictures."""
    return np.asarray(steps.fake_and_judge(net, (), jnp.asarray(photos), asked).fakes)


def fakes_of_each(
    net: FrozenGenerator, held: Held, conditions: tuple[str, ...]
) -> dict[str, UInt8[np.ndarray, "n s s 3"]]:
    """The fakes of all held-out photos by condition."""
    labels = jnp.asarray(held.labels)
    return {c: fakes(net, held.photos, net.test_condition(labels, c)) for c in conditions}


def ready(config: Config, net: FrozenGenerator) -> FrozenGenerator:
    """The generator with the config's driving motions, if it needs any: a frame for each photo."""
    return assembly.driven(net, config.driving.root, frames=1)


def measure(config: Config, net: FrozenGenerator, held: Held) -> dict[str, Any]:
    """How much a generator changes held-out photos, and how well it does what it learned, in 8-bit
    levels.

    `change_255`: mean |G(x, c) - x| by condition. `cycle_255`: mean |G(G(x, c), own labels) - x|,
    over the same conditions. Of a generator that animates, instead, `reenacted_255`: mean
    |G(source, driving) - driving| on warped photos, and `copied_255`: mean |source - driving|.
    """
    net = ready(config, net)
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


def _reenacted(net: FOMM, held: Held, seed: int) -> dict[str, float]:
    """Every held-out photo in one pose, moved to another."""
    rng, pairs = np.random.default_rng(seed), []
    for photo, points in zip(held.photos, held.points, strict=True):
        pairs.append(warps.motion_pair({"images": photo, "points": points}, rng))
    source, driving = (np.stack([pair[name] for pair in pairs]) for name in ("source", "driving"))
    made = reenactment.reenact(net, jnp.asarray(source), jnp.asarray(driving))
    return {
        "reenacted_255": round(_difference(np.asarray(made), driving), 2),
        "copied_255": round(_difference(source, driving), 2),
    }


def _difference(a: UInt8[np.ndarray, "n s s 3"], b: UInt8[np.ndarray, "n s s 3"]) -> float:
    return float(np.abs(a.astype(np.float64) - b).mean())
