"""How credible a generator's fakes are: edits of held-out drawn people, whose targets are known.

On held-out photos, how sharp the fakes are and how many of them detectors take for real.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dfd_jax import models
from dfd_jax.data import drawn_pairs, synthetic, warps
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator, Network
from dfd_jax.models.generators.fomm import FOMM
from dfd_jax.opponents import face_reader, fomm_training, generator_data
from dfd_jax.opponents.generator_data import HeldOut
from dfd_jax.runtime.batching import padded_batches
from dfd_jax.runtime.config import Config
from dfd_jax.training import setup, steps

Pictures = UInt8[np.ndarray, "n s s 3"]
Outputs = Float[np.ndarray, "n r"]  # of the reader, see face_reader.OUTPUTS

DETECTORS = ("zoo:xception", "zoo:resnet18", "zoo:resnet50", "zoo:multi_attentional")
# The edits of each kind of family: name → variants of the family (data/synthetic/families.py)
EDITS = {
    "attributes": {"hair": (1, 2), "Male": (3,), "Young": (4,)},
    "expressions": {"expression": (1, 2, 3, 4)},
    "motions": {"motion": (1, 2, 3, 4, 5)},
}
SAME_255 = 2  # a pixel whose target differs by no more should stay as it is
CLEAR = 0.3  # expressions and poses closer than this cannot be told apart


class Edits(NamedTuple):
    """Pictures and their targets, with the right answers of the reader for both."""

    pictures: Pictures
    targets: Pictures
    before: Outputs  # of the pictures
    after: Outputs  # of the targets
    conditions: Float[np.ndarray, "n a"]  # the generator's, empty for one that animates


def evaluate(config: Config, net: FrozenGenerator, held: HeldOut) -> dict[str, Any]:
    """Figures of a generator on held-out drawn people and photos.

    `drawn`: for each kind of edit, see `compare`. `photos`: `warped_error` and `warped_sharpness`
    on photos warped by their landmarks; `sharpness` of all fakes relative to the photos. In both
    `q`, the share of fakes that each detector takes for real, and `R`, that of the originals.
    """
    detectors = setup.detectors(DETECTORS, "float32")
    return {
        "people": config.evaluate.people,
        "drawn": _on_drawn_people(config, net, detectors),
        "photos": _on_photos(config, net, held, detectors),
    }


def edits(config: Config, kind: str, variants: tuple[int, ...]) -> Edits:
    """These variants of held-out people as the targets of variant 0."""
    people = config.evaluate.people
    pool = drawn_pairs.Pool(kind, people, config.data.size, config.seed, held_out=True)
    rows = []
    for person in range(people):
        faces = pool.parameters(person)
        picture = pool.picture(person, 0)
        for variant in variants:
            target = picture if faces[variant] == faces[0] else pool.picture(person, variant)
            labels = [face_reader.labels_of(face) for face in (faces[0], faces[variant])]
            condition = synthetic.attributes(faces[variant], tuple(config.conditions))
            rows.append((picture, target, *labels, condition))
    return Edits(*(np.stack(column) for column in zip(*rows, strict=True)))


def fakes_of(net: FrozenGenerator, wanted: Edits, batch_size: int = 64) -> Pictures:
    """The generator's fakes of the pictures."""
    made = []
    for rows, real in padded_batches(len(wanted.pictures), batch_size):
        pictures = jnp.asarray(wanted.pictures[rows])
        if isinstance(net, FOMM):
            fakes = fomm_training.reenact(net, pictures, jnp.asarray(wanted.targets[rows]))
        else:
            conditions = jnp.asarray(wanted.conditions[rows])
            fakes = steps.fake_and_judge(net, (), pictures, conditions).fakes
        made.append(np.asarray(fakes)[:real])
    return np.concatenate(made)


def compare(wanted: Edits, fakes: Pictures, reader: Network, edit: str) -> dict[str, float]:
    """Figures of fakes whose targets are known.

    `error`: mean |fake - target| relative to that of the unchanged picture. `sharpness`: gradient
    energy relative to the targets. `outside_255`: mean |fake - target| of pixels that should not
    change. `present`: the share of fakes in which the reader sees the edit, and `readable`: of
    targets. `preserved`: how often other attributes are read as in the target.
    """
    errors = _difference(fakes, wanted.targets)
    unchanged = _difference(wanted.pictures, wanted.targets)
    outside = unchanged.max(-1) <= SAME_255
    seen, right = (face_reader.read(reader, pictures) for pictures in (fakes, wanted.targets))
    figures = {
        "error": errors.mean() / unchanged.mean(),
        "sharpness": gradient_energy(fakes) / gradient_energy(wanted.targets),
        "outside_255": errors[outside].mean(),
        "present": _is_present(seen, wanted, edit).mean(),
        "readable": _is_present(right, wanted, edit).mean(),
    }
    if edit in EDITS["attributes"]:
        figures["preserved"] = _preserved(seen, right, edit)
    return {name: round(float(value), 3) for name, value in figures.items()}


def gradient_energy(pictures: Pictures) -> float:
    """Mean squared difference of neighbouring pixels, which blur reduces."""
    grey = pictures.astype(np.float64).mean(-1)
    return float(np.square(np.diff(grey, axis=1)).mean() + np.square(np.diff(grey, axis=2)).mean())


def pass_rates(
    detectors: tuple[FrozenDetector, ...], pictures: Pictures, batch_size: int = 32
) -> dict[str, float]:
    """The share of pictures that each detector of DETECTORS takes for real."""
    shares = np.concatenate(
        [
            np.stack([np.asarray(p)[:real] for p in steps.judge(detectors, pictures[rows])], 1)
            for rows, real in padded_batches(len(pictures), batch_size)
        ]
    )
    names = [setup.network_name(path) for path in DETECTORS]
    rates = (shares > 0.5).mean(0)
    return {name: round(float(rate), 3) for name, rate in zip(names, rates, strict=True)}


def _difference(a: Pictures, b: Pictures) -> Float[np.ndarray, "n s s 3"]:
    return np.abs(a.astype(np.float64) - b)


def _is_present(seen: Outputs, wanted: Edits, edit: str) -> Bool[np.ndarray, " m"]:
    """Whether the reader sees each edit. An expression or pose must be closer to the target's than
    to the picture's; pairs that are too similar are left out.
    """
    if edit == "hair":
        hair = face_reader.HAIR
        return seen[:, hair].argmax(1) == wanted.after[:, hair].argmax(1)
    if edit in face_reader.ATTRIBUTES:
        column = face_reader.OUTPUTS.index(edit)
        return (seen[:, column] > 0) == (wanted.after[:, column] > 0.5)
    part = face_reader.UNITS if edit == "expression" else face_reader.UNITS_AND_POSE
    seen, before, after = seen[:, part], wanted.before[:, part], wanted.after[:, part]
    is_clear = np.linalg.norm(after - before, axis=1) >= CLEAR
    is_closer = np.linalg.norm(seen - after, axis=1) < np.linalg.norm(seen - before, axis=1)
    return is_closer[is_clear]


def _preserved(seen: Outputs, right: Outputs, edit: str) -> float:
    """The share of the attributes outside of the edit that are read as in the target."""
    others = [
        i
        for i, name in enumerate(face_reader.ATTRIBUTES)
        if name != edit and not (edit == "hair" and name.endswith("Hair"))
    ]
    return float(((seen[:, others] > 0) == (right[:, others] > 0)).mean())


def _on_drawn_people(
    config: Config, net: FrozenGenerator, detectors: tuple[FrozenDetector, ...]
) -> dict[str, Any]:
    kind = drawn_pairs.KINDS[config.generator.model]
    reader = models.load(face_reader.FILE)
    figures: dict[str, Any] = {}
    made, originals = [], []
    for edit, variants in EDITS[kind].items():
        wanted = edits(config, kind, variants)
        fakes = fakes_of(net, wanted)
        figures[edit] = compare(wanted, fakes, reader, edit)
        made.append(fakes)
        originals.append(wanted.pictures)
    return {
        **figures,
        "q": pass_rates(detectors, np.concatenate(made)),
        "R": pass_rates(detectors, np.concatenate(originals)),
    }


def _on_photos(
    config: Config, net: FrozenGenerator, held: HeldOut, detectors: tuple[FrozenDetector, ...]
) -> dict[str, Any]:
    driven = generator_data.with_clips(net, held)
    by_condition = generator_data.fakes_of_each(driven, held, driven.test_conditions)
    fakes = np.concatenate(list(by_condition.values()))
    return {
        **_on_warped_photos(config, net, held),
        "sharpness": round(gradient_energy(fakes) / gradient_energy(held.photos), 3),
        "q": pass_rates(detectors, fakes),
        "R": pass_rates(detectors, held.photos),
    }


def _on_warped_photos(config: Config, net: FrozenGenerator, held: HeldOut) -> dict[str, float]:
    """`error` and `sharpness` on photos that are warped by their landmarks. Empty for a StarGAN,
    whose attributes a warp cannot change.
    """
    names = {"fomm": ("source", "driving"), "ganimation": ("images", "targets")}
    if config.generator.model not in names:
        return {}
    rng, pairs = np.random.default_rng([config.seed, 3]), []
    warp = warps.motion_pair if isinstance(net, FOMM) else warps.expression_pair
    for photo, points in zip(held.photos, held.points, strict=True):
        pairs.append(warp({"images": photo, "points": points}, rng))
    pictures, targets = (
        np.stack([pair[name] for pair in pairs]) for name in names[config.generator.model]
    )
    conditions = [pair.get("target_units", np.zeros(0, np.float32)) for pair in pairs]
    unread = np.zeros((len(pairs), 0), np.float32)
    fakes = fakes_of(net, Edits(pictures, targets, unread, unread, np.stack(conditions)))
    error = _difference(fakes, targets).mean() / _difference(pictures, targets).mean()
    sharpness = gradient_energy(fakes) / gradient_energy(targets)
    return {"warped_error": round(float(error), 3), "warped_sharpness": round(sharpness, 3)}
