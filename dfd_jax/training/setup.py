"""From a config to the objects it names: data, networks, opponents. Shared by train and
evaluate.
"""

import functools
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh

from dfd_jax import models, pixels
from dfd_jax.data import celeba, faces, images, landmarks, pipeline, sources, videos, warps
from dfd_jax.data.action_units import is_action_unit
from dfd_jax.method import channel, objective
from dfd_jax.method.budget import BOUNDS, Budget
from dfd_jax.method.forward import Opponents
from dfd_jax.models.frozen import (
    Card,
    FrozenDetector,
    FrozenGenerator,
    FrozenNetwork,
    Perturber,
)
from dfd_jax.models.generators.fomm import FOMM
from dfd_jax.models.generators.ganimation import OWN
from dfd_jax.runtime import sharding
from dfd_jax.runtime.config import Config
from dfd_jax.runtime.files import replace_file
from dfd_jax.training import optimizer

# What may differ between two starts of the same run without making it another run.
FREE = ("train.log_every", "train.checkpoint_every", "train.keep")
FREE_SECTIONS = ("evaluate", "name")


def generators(config: Config, dtype: str, frames: int) -> tuple[FrozenGenerator, ...]:
    """The frozen deepfake generators of the config.

    Those that animate a photo know the config's driving motions, `frames` frames for each photo.
    """
    found = [_load(path, FrozenGenerator, dtype) for path in config.generators]
    if not found:
        raise ValueError("config.generators is empty: P needs at least one generator to disrupt")
    return tuple(driven(net, config.driving.root, frames) for net in found)


def driven(net: FrozenGenerator, root: str, frames: int) -> FrozenGenerator:
    """The generator with the driving motions in the folder `root` (empty: drawn ones), `frames`
    frames for each photo; the generator as it is if it does not animate.
    """
    if not isinstance(net, FOMM):
        return net
    clips = sources.driving_clips(root, net.card.input_size)
    return net.with_motions(clips, frames_per_photo=frames)


def started(net: FrozenNetwork, path: str) -> FrozenNetwork:
    """The network with the variables in a weights file; as it is if `path` is empty.

    ValueError if the file holds another network: other hyper-parameters, size or conditions.
    """
    if not path:
        return net
    found = models.load(path)
    for name in ("model", "hyper", "input_size", "condition"):
        there, wanted = getattr(found.card, name), getattr(net.card, name)
        if there != wanted:
            raise ValueError(f"{path} has {name} {there!r}, but this training wants {wanted!r}")
    return net.with_variables(found.variables)


def label_names(generators: Iterable[FrozenGenerator]) -> tuple[str, ...]:
    """All labels of photos that any of the generators asks for, each once."""
    return tuple(dict.fromkeys(name for net in generators for name in net.labels))


def targets(config: Config, generators: Sequence[FrozenGenerator]) -> tuple[str, ...]:
    """The condition asked of each generator: `config.condition`, or its comma-separated parts.

    ValueError if a generator does not know its target, or there are not as many as generators.
    """
    asked = tuple(part.strip() for part in config.condition.split(","))
    asked = asked * len(generators) if len(asked) == 1 else asked
    if len(asked) != len(generators):
        raise ValueError(
            f"config.condition names {len(asked)} conditions for {len(generators)} generators; "
            "give one for all, or one each, separated by commas"
        )
    for path, net, target in zip(config.generators, generators, asked, strict=True):
        labels = jnp.zeros((1, len(net.labels)))
        try:
            draw = functools.partial(net.sample_condition, target=target)
            jax.eval_shape(draw, jax.random.key(0), labels)
        except ValueError as error:
            raise ValueError(f"config.condition, {path}: {error}") from error
    return asked


def detectors(paths: tuple[str, ...], dtype: str) -> tuple[FrozenDetector, ...]:
    """The frozen detectors in these files."""
    return tuple(_load(path, FrozenDetector, dtype) for path in paths)


def opponents(config: Config) -> Opponents:
    """All that P is trained against."""
    size = config.data.size
    sides = tuple(config.channel.crop_sides) or (size,)
    target = None
    if config.objective.target:
        picture = images.read_rgb(config.objective.target)
        box = images.centre_box(*picture.shape[:2])
        square = images.crop_resize(picture, box, size)
        target = jnp.asarray(pixels.from_uint8(square))
    return Opponents(
        generators=generators(config, config.dtype, config.driving.frames),
        detectors=detectors(tuple(config.detectors), config.dtype),
        resizes=tuple(channel.CropResize.of_side(side, size) for side in sides),
        target=target,
    )


def perturber(config: Config) -> Perturber:
    """A new perturber, initialised from the config's seed."""
    if config.budget.bound not in BOUNDS:
        raise ValueError(
            f"config.budget.bound is {config.budget.bound!r}; expected {' or '.join(BOUNDS)}"
        )
    card = Card(
        model=config.perturber.model,
        hyper=config.perturber.hyper.to_dict(),
        input_size=config.data.size,
        budget={"eps_255": config.budget.eps_255, "bound": config.budget.bound},
    )
    net = models.build(card, config.seed, jnp.dtype(config.dtype))
    if not isinstance(net, Perturber):
        raise ValueError(f"config.perturber.model is {card.model!r}, which is not a perturber")
    return net


def budget(card: Card) -> Budget:
    """The bound written on a perturber's card."""
    if not card.budget:
        raise ValueError(f"{card.model}: the card has no budget, so the file is not a perturber")
    return Budget(**card.budget)


def terms(config: Config) -> objective.Objective:
    """Eq. 7's weights and forms."""
    section = config.objective.to_dict()
    section.pop("target")
    weights = {k: tuple(section[k]) for k in ("generator_weights", "detector_weights")}
    return objective.Objective(**{**section, **weights})


def make_optimizer(config: Config) -> Any:
    """The optimizer of the config's `train` section."""
    t = config.train
    return optimizer.make_optimizer(t.learning_rate, t.steps, warmup=t.warmup, clip=t.clip)


def source(
    config: Config,
    split: str,
    attribute_names: tuple[str, ...],
    generators: Iterable[FrozenGenerator] = (),
) -> faces.FaceSource:
    """The photos of one split. Of a video, it is the frame that an animating generator likes best:
    the one most like the first frame of the first driving motion.
    """
    d = config.data
    count = d.count if split == "train" else max(d.count // 4, 64)
    animating = next((net for net in generators if isinstance(net, FOMM)), None)
    choose = None
    if animating is not None:
        first = next(iter(sources.driving_clips(config.driving.root, d.size).values()))[0]
        choose = functools.partial(animating.best_frame, driving_first=first)
    opened = sources.open_source(
        d.kind,
        split,
        root=d.root or None,
        attribute_names=attribute_names,
        seed=config.seed,
        protocol=d.split_protocol,
        count=count,
        size=max(d.size, d.drawn),
        choose=choose,
    )
    if not isinstance(opened, videos.VideoFaces):
        return opened
    if choose is not None and d.workers:
        raise ValueError(
            f"config.data.workers is {d.workers}, but frames of videos are chosen by a network, "
            "which worker processes do not have; set --config.data.workers=0"
        )
    return faces.Cached(opened)  # choosing a frame takes as long as decoding the video


def batches(
    config: Config, generators: Sequence[FrozenGenerator], mesh: Mesh, workdir: pathlib.Path
) -> Any:
    """An endless iterator over this process's part of the training batches."""
    photos = source(config, "train", label_names(generators), generators)
    _check_labels(config, photos)
    if not config.data.get("poses", False):  # older runs do not say
        return loader(config, photos, mesh, workdir)
    return loader(config, marked(config, faces.Cached(photos)), mesh, workdir, _posed)


def marked(config: Config, photos: faces.FaceSource) -> faces.FaceSource:
    """The photos with their landmarks, canonical ones where there is no list."""
    root = config.data.root
    return landmarks.Landmarked(photos, landmarks.read_landmarks(root) if root else None)


def _posed(example: pipeline.Example, rng: np.random.Generator) -> pipeline.Example:
    """Two of three photos in another pose. A transform of make_loader."""
    photo = example["images"]
    if rng.random() < 2 / 3:
        photo = warps.turn(photo, example["points"], *warps.random_pose(rng))
    return {"images": photo, "attributes": example["attributes"]}


def loader(
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
        reduced=config.data.get("reduced", False),  # older runs do not say
    )


def _check_labels(config: Config, photos: faces.FaceSource) -> None:
    """ValueError if photos should keep their own expression and nobody knows which that is."""
    unknown = [name for name in photos.attribute_names if name not in photos.known_names]
    units = [name for name in unknown if is_action_unit(name)]
    if OWN in config.condition.split(",") and units:
        raise ValueError(
            f"config.condition asks for each photo's own expression, but its action units are not "
            f"known ({units[0]} … {units[-1]}); {celeba.LAYOUT}"
        )


def check(config: Config, against: Opponents) -> None:
    """ValueError for what would only show after hours: networks that do not fit their part."""
    for path, generator in zip(config.generators, against.generators, strict=True):
        if generator.card.input_size > config.data.size:
            raise ValueError(
                f"{path} takes {generator.card.input_size} px, but config.data.size is "
                f"{config.data.size}; set --config.data.size={generator.card.input_size}, or "
                "convert the checkpoint with --input-size"
            )
    targets(config, against.generators)
    judged = dict.fromkeys((*config.detectors, *config.evaluate.detectors))
    for path, net in zip(judged, detectors(tuple(judged), "float32"), strict=True):
        if net.card.real_index is None:
            raise ValueError(
                f"{path}: the card has no real_index, so it is no detector; "
                "convert a checkpoint with a two-class head"
            )
    names = [network_name(path) for path in (*config.generators, *judged)]
    if len(set(names)) < len(names):
        raise ValueError(f"networks share a name: {', '.join(sorted(names))}; rename a file")


def network_name(path: str) -> str:
    """What results call the network in this file."""
    return path[4:] if path.startswith("zoo:") else pathlib.Path(path).stem


def networks_used(against: Opponents) -> dict[str, Any]:
    """sha256 of every frozen network, as a checkpoint records it."""
    return {
        "generators": [g.card.sha256 for g in against.generators],
        "detectors": [d.card.sha256 for d in against.detectors],
    }


def write_config(config: Config, workdir: pathlib.Path) -> None:
    """Write `workdir/config.json`. ValueError if the workdir holds steps of another config."""
    path = workdir / "config.json"
    new = json.loads(config.to_json())
    if path.exists() and any((workdir / "checkpoints").glob("[0-9]*")):
        old = json.loads(path.read_text(encoding="utf-8"))
        changed = [
            f"{k}: {_at(old, k)!r} there, {_at(new, k)!r} now"
            for k in sorted({*_flat(old), *_flat(new)})
            if _at(old, k) != _at(new, k) and k not in FREE and k.split(".")[0] not in FREE_SECTIONS
        ]
        if changed:
            listing = "\n  ".join(changed)
            raise ValueError(
                f"{workdir} holds a run with another config:\n  {listing}\n"
                "Continue it with the config it was started with, or choose another --workdir."
            )
    workdir.mkdir(parents=True, exist_ok=True)
    if jax.process_index() == 0:
        replace_file(path, json.dumps(new, indent=1, sort_keys=True) + "\n")


def read_config(workdir: pathlib.Path) -> Config:
    """The config of a run. FileNotFoundError says what a workdir is."""
    path = workdir / "config.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing, so {workdir} is not the workdir of a training run. "
            "Make one with: python -m dfd_jax.train --config configs/stargan.py --workdir …"
        )
    return ml_collections.ConfigDict(json.loads(path.read_text(encoding="utf-8")))


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        out.update(_flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value})
    return out


def _at(tree: dict[str, Any], name: str) -> Any:
    return _flat(tree).get(name)


def _load(path: str, kind: type, dtype: str) -> Any:
    net = models.load(path, np.dtype(dtype) if dtype == "float32" else jnp.dtype(dtype))
    if not isinstance(net, kind):
        raise ValueError(f"{path} is a {net.card.model}, expected a {kind.__name__}")
    return net
