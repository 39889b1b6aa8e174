"""What a generator's training reads and is measured on: batches, and held-out photos."""

import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, UInt8

from dfd_jax import assembly, pixels, sharding
from dfd_jax.config import Config
from dfd_jax.data import celeba, faces, pipeline
from dfd_jax.evaluation import Subject
from dfd_jax.models.frozen import FrozenGenerator


class Held(NamedTuple):
    """Photos that training does not see, at the generator's size."""

    photos: UInt8[np.ndarray, "n s s 3"]
    labels: Float[np.ndarray, "n a"]


def batches(config: Config, mesh: Mesh, workdir: pathlib.Path) -> Any:
    """An endless iterator over this process's part of the training batches."""
    return pipeline.make_loader(
        faces.Cached(labelled(config, "train")),
        batch_size=sharding.local_batch_size(config.train.batch_size, mesh),
        size=config.data.size,
        crop=config.data.crop or None,
        seed=config.seed,
        workers=config.data.workers,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        skipped_file=workdir / "skipped.txt",
    )


def held_out(config: Config, workdir: pathlib.Path) -> Held:
    """Photos of the test split."""
    found = pipeline.read_split(
        labelled(config, "test"),
        limit=config.evaluate.photos or None,
        seed=config.seed,
        skipped_file=workdir / "skipped.txt",
    )
    subject = Subject.from_faces(found, config.data.crop or None)
    return Held(subject.crops(config.data.size), subject.attributes)


def labelled(config: Config, split: str) -> faces.FaceSource:
    """The photos of a split. ValueError if a label that can be asked for is not known of them: a
    generator that learns from stand-ins learns nothing.
    """
    source = assembly.source(config, split, tuple(config.conditions))
    unknown = [name for name in source.attribute_names if name not in source.known_names]
    if unknown:
        raise ValueError(
            f"config.conditions asks for {', '.join(unknown[:3])} and others, which are not known "
            f"of the photos in {config.data.root!r}; {celeba.LAYOUT}. Drawn faces know all labels: "
            "--config.data.kind=synthetic"
        )
    return source


def fakes(
    net: FrozenGenerator,
    photos: UInt8[np.ndarray, "n s s 3"],
    labels: Float[np.ndarray, "n a"],
    condition: str,
) -> UInt8[np.ndarray, "n s s 3"]:
    """G(photo, condition) as 8-bit pictures."""
    asked = net.test_condition(jnp.asarray(labels), condition)
    return np.asarray(_fakes(net, photos, asked))


def measure(net: FrozenGenerator, held: Held) -> dict[str, Any]:
    """How much a generator changes held-out photos, and how well it finds back, in 8-bit levels.

    `change_255`: mean |G(x, c) - x| by condition. `cycle_255`: mean |G(G(x, c), own labels) - x|,
    over the same conditions.
    """
    change, cycle = {}, []
    own = jnp.asarray(held.labels)
    for condition in net.test_conditions:
        made = fakes(net, held.photos, held.labels, condition)
        change[condition] = round(_difference(made, held.photos), 2)
        cycle.append(_difference(np.asarray(_fakes(net, made, own)), held.photos))
    return {
        "photos": len(held.photos),
        "change_255": change,
        "cycle_255": round(float(np.mean(cycle)), 2),
    }


def _difference(a: UInt8[np.ndarray, "n s s 3"], b: UInt8[np.ndarray, "n s s 3"]) -> float:
    return float(np.abs(a.astype(np.float64) - b).mean())


@jax.jit
def _fakes(
    net: FrozenGenerator, photos: UInt8[Array, "n s s 3"], condition: Float[Array, "n a"]
) -> UInt8[Array, "n s s 3"]:
    return pixels.to_uint8(net(pixels.from_uint8(photos), condition))
