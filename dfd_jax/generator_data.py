"""What a generator's training reads and is measured on: batches, and held-out photos."""

import pathlib
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, UInt8

from dfd_jax import assembly, steps
from dfd_jax.config import Config
from dfd_jax.data import action_units, celeba, faces, landmarks, pipeline, warps
from dfd_jax.evaluation import Subject
from dfd_jax.models.frozen import FrozenGenerator


class Held(NamedTuple):
    """Photos that training does not see, at the generator's size."""

    photos: UInt8[np.ndarray, "n s s 3"]
    labels: Float[np.ndarray, "n a"]


def batches(config: Config, mesh: Mesh, workdir: pathlib.Path) -> Any:
    """An endless iterator over this process's part of the training batches."""
    photos = faces.Cached(labelled(config, "train"))
    if not are_warped(photos):
        return assembly.loader(config, photos, mesh, workdir)
    marked = landmarks.Landmarked(photos, landmarks.read_landmarks(config.data.root))
    return assembly.loader(config, marked, mesh, workdir, _expressive)


def held_out(config: Config, workdir: pathlib.Path) -> Held:
    """Photos of the test split. Those whose action units nobody knows have none, as they do not
    differ from themselves.
    """
    found = pipeline.read_split(
        labelled(config, "test"),
        limit=config.evaluate.photos,
        seed=config.seed,
        skipped_file=workdir / "skipped.txt",
    )
    subject = Subject.from_faces(found, config.data.crop or None)
    return Held(subject.crops(config.data.size), subject.attributes)


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
    how = ", warped by their landmarks: units are relative to the photo" * are_warped(photos)
    return f"{len(photos)} {kind} (training split), seed {config.seed}{how}"


def _expressive(example: pipeline.Example, rng: np.random.Generator) -> pipeline.Example:
    """A photo with a random expression and its action units. A transform of make_loader."""
    units = warps.random_units(rng)
    return {
        "images": warps.express(example["images"], example["points"], units),
        "attributes": units,
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


def measure(net: FrozenGenerator, held: Held) -> dict[str, Any]:
    """How much a generator changes held-out photos, and how well it finds back, in 8-bit levels.

    `change_255`: mean |G(x, c) - x| by condition. `cycle_255`: mean |G(G(x, c), own labels) - x|,
    over the same conditions.
    """
    made, own = fakes_of_each(net, held, net.test_conditions), jnp.asarray(held.labels)
    cycle = [_difference(fakes(net, fake, own), held.photos) for fake in made.values()]
    return {
        "photos": len(held.photos),
        "change_255": {c: round(_difference(f, held.photos), 2) for c, f in made.items()},
        "cycle_255": round(float(np.mean(cycle)), 2),
    }


def _difference(a: UInt8[np.ndarray, "n s s 3"], b: UInt8[np.ndarray, "n s s 3"]) -> float:
    return float(np.abs(a.astype(np.float64) - b).mean())
