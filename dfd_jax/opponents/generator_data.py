"""From a config to what a generator is trained on and measured on: batches, held-out photos."""

import pathlib
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, UInt8

from dfd_jax.data import action_units, celeba, faces, landmarks, pipeline, sources, videos, warps
from dfd_jax.data.face_photos import FacePhotos
from dfd_jax.models.frozen import FrozenGenerator
from dfd_jax.models.generators.fomm import FOMM
from dfd_jax.opponents import fomm_training
from dfd_jax.runtime.config import Config
from dfd_jax.training import photo_source, steps


class HeldOut(NamedTuple):
    """Photos that training does not see, at the generator's size."""

    photos: UInt8[np.ndarray, "n s s 3"]
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
    photos = faces.Cached(labelled(config, "train"))
    transform = warps.motion_pair if config.generator.model == "fomm" else _expression_pair
    if transform is _expression_pair and not are_warped(photos):
        return photo_source.batches(config, photos, mesh, workdir)
    photos = photo_source.with_landmarks(config, photos)
    return photo_source.batches(config, photos, mesh, workdir, transform)


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
    return f"{len(photos)} {kind} (training split), seed {config.seed}{how}"


def _expression_pair(example: pipeline.Example, rng: np.random.Generator) -> pipeline.Example:
    """The photo with two random expressions. A transform of make_loader."""
    pair = warps.expression_pair(example, rng)
    return {
        "images": pair["images"],
        "attributes": pair["units"],
        "targets": pair["targets"],
        "target_attributes": pair["target_units"],
    }


def fakes(
    net: FrozenGenerator, photos: UInt8[np.ndarray, "n s s 3"], condition: Any
) -> UInt8[np.ndarray, "n s s 3"]:
    """G(photo, condition) as 8-bit pictures."""
    return np.asarray(steps.fake_and_judge(net, (), jnp.asarray(photos), condition).fakes)


def fakes_of_each(
    net: FrozenGenerator, held: HeldOut, conditions: tuple[str, ...]
) -> dict[str, UInt8[np.ndarray, "n s s 3"]]:
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


def _difference(a: UInt8[np.ndarray, "n s s 3"], b: UInt8[np.ndarray, "n s s 3"]) -> float:
    return float(np.abs(a.astype(np.float64) - b).mean())
