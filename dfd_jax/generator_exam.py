"""How credible a generator's fakes are, measured where the truth is known: held-out drawn people.

Beside that, held-out photos: how sharp their fakes are, and whether detectors take them for real.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dfd_jax import assembly, face_reader, generator_data, models, reenactment, steps
from dfd_jax.config import Config
from dfd_jax.data import drawn_pairs, synthetic, warps
from dfd_jax.generator_data import Held
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator, FrozenNetwork
from dfd_jax.models.generators.fomm import FOMM

Pictures = UInt8[np.ndarray, "n s s 3"]

DETECTORS = ("zoo:xception", "zoo:resnet18", "zoo:resnet50", "zoo:multi_attentional")
# What is asked of the person as sampled, by the variants of its family (data/synthetic/families.py)
ASKED = {
    "attributes": {"hair": (1, 2), "Male": (3,), "Young": (4,)},
    "expressions": {"expression": (1, 2, 3, 4)},
    "motions": {"motion": (1, 2, 3, 4, 5)},
}
SAME_255 = 2  # a pixel that differs by no more should stay as it is
CLEAR = 0.3  # expressions and poses that differ less cannot be told apart


class Edits(NamedTuple):
    """Pictures, what they should become, and what the reader should then read."""

    pictures: Pictures
    targets: Pictures
    before: Float[np.ndarray, "n r"]
    asked: Float[np.ndarray, "n r"]
    labels: Float[np.ndarray, "n a"]  # what the generator is asked for


def examine(config: Config, net: FrozenGenerator, held: Held) -> dict[str, Any]:
    """Figures of a generator on held-out drawn people and photos.

    `drawn`: by what is asked, see `graded`. `photos`: of photos that are warped by their landmarks
    `error`; `sharpness`, against the photos; and of all fakes `taken_for_real`, by detector, beside
    that of the photos themselves.
    """
    detectors = assembly.detectors(DETECTORS, "float32")
    count = config.evaluate.people
    return {
        "people": count,
        "drawn": _drawn(config, net, detectors, count),
        "photos": _photos(config, net, held, detectors),
    }


def edits(config: Config, kind: str, variants: tuple[int, ...], people: int) -> Edits:
    """What is asked of held-out people."""
    pool = drawn_pairs.Pool(kind, people, config.data.size, config.seed, held_out=True)
    found: list[list[np.ndarray]] = [[], [], [], [], []]
    for person in range(people):
        faces = pool.parameters(person)
        picture = pool.picture(person, 0)
        for variant in variants:
            target = picture if faces[variant] == faces[0] else pool.picture(person, variant)
            wanted = synthetic.attributes(faces[variant], tuple(config.conditions))
            truths = [face_reader.truth(face) for face in (faces[0], faces[variant])]
            for column, value in zip(found, (picture, target, *truths, wanted), strict=True):
                column.append(value)
    return Edits(*(np.stack(column) for column in found))


def fakes_of(net: FrozenGenerator, asked: Edits, batch_size: int = 64) -> Pictures:
    """What the generator makes of them."""
    made = []
    for start in range(0, len(asked.pictures), batch_size):
        rows = np.arange(start, start + batch_size).clip(max=len(asked.pictures) - 1)
        pictures = jnp.asarray(asked.pictures[rows])
        if isinstance(net, FOMM):
            fakes = reenactment.reenact(net, pictures, jnp.asarray(asked.targets[rows]))
        else:
            fakes = steps.fake_and_judge(net, (), pictures, jnp.asarray(asked.labels[rows])).fakes
        made.append(np.asarray(fakes))
    return np.concatenate(made)[: len(asked.pictures)]


def graded(asked: Edits, fakes: Pictures, reader: FrozenNetwork, of: str) -> dict[str, float]:
    """Figures of fakes whose truth is known.

    `error`: mean |fake - truth| relative to |picture - truth|, doing nothing. `sharpness`: gradient
    energy relative to the truth's. `outside_255`: mean |fake - truth| where nothing should change.
    `present`: the share of fakes in which the reader finds what was asked, and `readable`: of
    truths. `kept`: the share of the other attributes that it reads as in the truth.
    """
    off, nothing = _apart(fakes, asked.targets), _apart(asked.pictures, asked.targets)
    same = nothing.max(-1) <= SAME_255
    seen, known = (face_reader.read(reader, pictures) for pictures in (fakes, asked.targets))
    figures = {
        "error": off.mean() / nothing.mean(),
        "sharpness": gradient_energy(fakes) / gradient_energy(asked.targets),
        "outside_255": off[same].mean(),
        "present": _present(seen, asked, of).mean(),
        "readable": _present(known, asked, of).mean(),
    }
    if of in ("hair", "Male", "Young"):
        figures["kept"] = _others_kept(seen, known, of)
    return {name: round(float(value), 3) for name, value in figures.items()}


def gradient_energy(pictures: Pictures) -> float:
    """Mean squared difference of neighbouring pixels: what blur takes away."""
    grey = pictures.astype(np.float64).mean(-1)
    return float(np.square(np.diff(grey, axis=1)).mean() + np.square(np.diff(grey, axis=2)).mean())


def _apart(a: Pictures, b: Pictures) -> Float[np.ndarray, "n s s 3"]:
    return np.abs(a.astype(np.float64) - b)


def _present(seen: Float[np.ndarray, "n r"], asked: Edits, of: str) -> Bool[np.ndarray, " m"]:
    """Whether what is read is what was asked. An expression or pose: nearer to it than to what the
    picture showed, of pairs that differ clearly.
    """
    if of == "hair":
        hair = face_reader.HAIR
        return seen[:, hair].argmax(1) == asked.asked[:, hair].argmax(1)
    if of in face_reader.ATTRIBUTES:
        column = face_reader.READ.index(of)
        return (seen[:, column] > 0) == (asked.asked[:, column] > 0.5)
    part = face_reader.UNITS if of == "expression" else face_reader.MOMENT
    seen, before, after = seen[:, part], asked.before[:, part], asked.asked[:, part]
    clear = np.linalg.norm(after - before, axis=1) >= CLEAR
    nearer = np.linalg.norm(seen - after, axis=1) < np.linalg.norm(seen - before, axis=1)
    return nearer[clear]


def _others_kept(seen: Float[np.ndarray, "n r"], known: Float[np.ndarray, "n r"], of: str) -> float:
    """Of attributes that were not asked for, the share that reads as in the truth."""
    others = [
        i
        for i, name in enumerate(face_reader.ATTRIBUTES)
        if name != of and not (of == "hair" and name.endswith("Hair"))
    ]
    return float(((seen[:, others] > 0) == (known[:, others] > 0)).mean())


def taken_for_real(
    detectors: tuple[FrozenDetector, ...], pictures: Pictures, batch_size: int = 32
) -> dict[str, float]:
    """The share of pictures that each detector of DETECTORS takes for real."""
    found = []
    for start in range(0, len(pictures), batch_size):
        rows = np.arange(start, start + batch_size).clip(max=len(pictures) - 1)
        verdicts = steps.judge(detectors, jnp.asarray(pictures[rows]))
        found.append(np.stack([np.asarray(p) for p in verdicts], 1))
    shares = (np.concatenate(found)[: len(pictures)] > 0.5).mean(0)
    return {
        name.removeprefix("zoo:"): round(float(share), 3)
        for name, share in zip(DETECTORS, shares, strict=True)
    }


def _drawn(
    config: Config, net: FrozenGenerator, detectors: tuple[FrozenDetector, ...], people: int
) -> dict[str, Any]:
    reader, kind = models.load(face_reader.FILE), drawn_pairs.KINDS[config.generator.model]
    figures: dict[str, Any] = {}
    made, seen = [], []
    for of, variants in ASKED[kind].items():
        asked = edits(config, kind, variants, people)
        fakes = fakes_of(net, asked)
        figures[of] = graded(asked, fakes, reader, of)
        made.append(fakes)
        seen.append(asked.pictures)
    return {
        **figures,
        "taken_for_real": taken_for_real(detectors, np.concatenate(made)),
        "pictures_taken_for_real": taken_for_real(detectors, np.concatenate(seen)),
    }


def _photos(
    config: Config, net: FrozenGenerator, held: Held, detectors: tuple[FrozenDetector, ...]
) -> dict[str, Any]:
    ready = generator_data.ready(config, net)
    by_condition = generator_data.fakes_of_each(ready, held, ready.test_conditions)
    made = np.concatenate(list(by_condition.values()))
    return {
        **_warped(config, net, held),
        "sharpness": round(gradient_energy(made) / gradient_energy(held.photos), 3),
        "taken_for_real": taken_for_real(detectors, made),
        "photos_taken_for_real": taken_for_real(detectors, held.photos),
    }


def _warped(config: Config, net: FrozenGenerator, held: Held) -> dict[str, float]:
    """The error on photos that are warped by their landmarks, of generators that learn from such;
    none of a StarGAN's.
    """
    names = {"fomm": ("source", "driving"), "ganimation": ("images", "targets")}
    if config.generator.model not in names:
        return {}
    rng, pairs = np.random.default_rng([config.seed, 3]), []
    warp = warps.motion_pair if isinstance(net, FOMM) else warps.expression_pair
    for photo, points in zip(held.photos, held.points, strict=True):
        pairs.append(warp({"images": photo, "points": points}, rng))
    before, after = (
        np.stack([pair[name] for pair in pairs]) for name in names[config.generator.model]
    )
    units = [pair.get("target_units", np.zeros(0, np.float32)) for pair in pairs]
    nothing = np.zeros((len(pairs), 0), np.float32)
    fakes = fakes_of(net, Edits(before, after, nothing, nothing, np.stack(units)))
    ratio = _apart(fakes, after).mean() / _apart(before, after).mean()
    sharp = gradient_energy(fakes) / gradient_energy(after)
    return {"warped_error": round(float(ratio), 3), "warped_sharpness": round(sharp, 3)}
