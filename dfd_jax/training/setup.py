"""From a config to its networks, objective and optimizer. For its photos see photo_source.py."""

import functools
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dfd_jax import models, pixels
from dfd_jax.data import images, sources
from dfd_jax.method import channel, objective
from dfd_jax.method.budget import BOUNDS, Budget
from dfd_jax.method.forward import Opponents
from dfd_jax.models.frozen import (
    Card,
    FrozenDetector,
    FrozenGenerator,
    Network,
    Perturber,
)
from dfd_jax.models.generators.fomm import FOMM
from dfd_jax.runtime.config import Config
from dfd_jax.training import optimizer


def generators(config: Config, dtype: str, frames: int) -> tuple[FrozenGenerator, ...]:
    """The frozen deepfake generators of the config, which compute in `dtype`.

    Those that animate photos get the config's driving clips, `frames` frames for each photo.
    """
    if not config.generators:
        raise ValueError("config.generators is empty: P needs at least one generator to disrupt")
    loaded = [_load(path, FrozenGenerator, dtype) for path in config.generators]
    return tuple(with_driving_clips(net, config.driving.root, frames) for net in loaded)


def with_driving_clips(net: FrozenGenerator, root: str, frames: int) -> FrozenGenerator:
    """A generator that animates gets the clips in `root` (empty: drawn), `frames` per photo."""
    if not isinstance(net, FOMM):
        return net
    clips = sources.driving_clips(root, net.card.input_size)
    return net.with_motions(clips, frames_per_photo=frames)


def starting_from(net: Network, path: str) -> Network:
    """The network with the variables of a weights file, or as it is if `path` is empty.

    ValueError if the file's network has other hyper-parameters, another size or other conditions.
    """
    if not path:
        return net
    start = models.load(path)
    for name in ("model", "hyper", "input_size", "condition"):
        there, wanted = getattr(start.card, name), getattr(net.card, name)
        if there != wanted:
            raise ValueError(f"{path} has {name} {there!r}, but this training wants {wanted!r}")
    return net.with_variables(start.variables)


def label_names(generators: Iterable[FrozenGenerator]) -> tuple[str, ...]:
    """The photo labels that any of the generators needs, without duplicates."""
    return tuple(dict.fromkeys(name for net in generators for name in net.labels))


def targets(config: Config, generators: Sequence[FrozenGenerator]) -> tuple[str, ...]:
    """The target condition of each generator: `config.condition`, or its comma-separated parts.

    ValueError if a generator does not know its target, or their numbers differ.
    """
    names = tuple(part.strip() for part in config.condition.split(","))
    names = names * len(generators) if len(names) == 1 else names
    if len(names) != len(generators):
        raise ValueError(
            f"config.condition names {len(names)} conditions for {len(generators)} generators; "
            "give one for all, or one each, separated by commas"
        )
    for path, net, target in zip(config.generators, generators, names, strict=True):
        labels = jnp.zeros((1, len(net.labels)))
        try:
            draw = functools.partial(net.sample_condition, target=target)
            jax.eval_shape(draw, jax.random.key(0), labels)
        except ValueError as error:
            raise ValueError(f"config.condition, {path}: {error}") from error
    return names


def detectors(paths: tuple[str, ...], dtype: str) -> tuple[FrozenDetector, ...]:
    """The frozen detectors in these files, which compute in `dtype`."""
    return tuple(_load(path, FrozenDetector, dtype) for path in paths)


def opponents(config: Config) -> Opponents:
    """Everything P is trained against."""
    size = config.data.size
    sides = tuple(config.channel.crop_sides) or (size,)
    target = None
    if config.objective.target:
        picture = images.read_rgb(config.objective.target)
        square = images.crop_resize(picture, images.centre_box(*picture.shape[:2]), size)
        target = jnp.asarray(pixels.from_uint8(square))
    return Opponents(
        generators=generators(config, config.dtype, config.driving.frames),
        detectors=detectors(tuple(config.detectors), config.dtype),
        resizes=tuple(channel.CropResize.of_side(side, size) for side in sides),
        target=target,
    )


def perturber(config: Config) -> Perturber:
    """A new perturber, initialised from the config's seed. ValueError if the config names none."""
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
    """The bound that a perturber's card states. ValueError if it states none."""
    if not card.budget:
        raise ValueError(f"{card.model}: the card has no budget, so the file is not a perturber")
    return Budget(**card.budget)


def terms(config: Config) -> objective.Objective:
    """Weights and forms of the terms of Eq. 7."""
    section = config.objective.to_dict()
    section.pop("target")
    weights = {k: tuple(section[k]) for k in ("generator_weights", "detector_weights")}
    return objective.Objective(**{**section, **weights})


def make_optimizer(config: Config) -> optax.GradientTransformation:
    """The optimizer of the config's `train` section."""
    t = config.train
    return optimizer.make_optimizer(t.learning_rate, t.steps, warmup=t.warmup, clip=t.clip)


def network_name(path: str) -> str:
    """The name of a weights file's network in results."""
    return path[4:] if path.startswith("zoo:") else pathlib.Path(path).stem


def network_hashes(opponents: Opponents) -> dict[str, list[str]]:
    """sha256 of every frozen network, as a checkpoint records it."""
    return {
        "generators": [g.card.sha256 for g in opponents.generators],
        "detectors": [d.card.sha256 for d in opponents.detectors],
    }


def check(config: Config, opponents: Opponents) -> None:
    """ValueError for networks that do not fit, also those that only the evaluation uses."""
    for path, generator in zip(config.generators, opponents.generators, strict=True):
        if generator.card.input_size > config.data.size:
            raise ValueError(
                f"{path} takes {generator.card.input_size} px, but config.data.size is "
                f"{config.data.size}; set --config.data.size={generator.card.input_size}, or "
                "convert the checkpoint with --input-size"
            )
    only_evaluated = tuple(p for p in config.evaluate.detectors if p not in config.detectors)
    judges = dict(zip(config.detectors, opponents.detectors, strict=True))
    judges |= dict(zip(only_evaluated, detectors(only_evaluated, "float32"), strict=True))
    for path, net in judges.items():
        if net.card.real_index is None:
            raise ValueError(
                f"{path}: the card has no real_index, so it is no detector; "
                "convert a checkpoint with a two-class head"
            )
    names = [network_name(path) for path in (*config.generators, *judges)]
    if len(set(names)) < len(names):
        raise ValueError(f"networks share a name: {', '.join(sorted(names))}; rename a file")


def _load(path: str, kind: type, dtype: str) -> Any:
    net = models.load(path, jnp.dtype(dtype))
    if not isinstance(net, kind):
        raise ValueError(f"{path} is a {net.card.model}, expected a {kind.__name__}")
    return net
