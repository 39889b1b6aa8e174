"""Variants of one drawn person that differ in attributes, expression or pose, and nothing else.

They give a generator's training what photos cannot: the target of each edit. Variant 0 is the
person as sampled.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from dfd_jax.data.expressions import expression_vectors
from dfd_jax.data.synthetic.parameters import (
    LIDS_AT_REST,
    YOUNG_BELOW,
    FaceParameters,
    apply_action_units,
    sample_parameters,
)

ASKED_HAIR = ("black", "blond", "brown")  # those with a CelebA attribute that StarGAN uses
SHADE = 0.5  # of dyed hair: always the same, so that a generator can learn it
YOUNG, OLD = 24.0, 74.0  # ages of the variants


def attribute_family(face: FaceParameters, rng: np.random.Generator) -> list[FaceParameters]:
    """The person with two other hair colours, the other sex, the other age, and both of these."""
    others = [colour for colour in ASKED_HAIR if colour != face.hair_colour]
    first, second = rng.permutation(len(others))[:2]
    dyed = [_dyed(face, others[i]) for i in (first, second)]
    last = _dyed(face, ASKED_HAIR[int(rng.integers(len(ASKED_HAIR)))])
    return [face, *dyed, other_sex(face), other_age(face), other_age(other_sex(last))]


def _dyed(face: FaceParameters, colour: str) -> FaceParameters:
    return dataclasses.replace(face, hair_colour=colour, hair_shade=SHADE)


def other_sex(face: FaceParameters) -> FaceParameters:
    """The person as the other sex, with a beard or make-up; the renderer does the rest."""
    if face.male:
        return dataclasses.replace(face, male=False, beard=0.0, receding=0.0, make_up=0.85)
    return dataclasses.replace(face, male=True, beard=0.75, receding=0.2, make_up=0.0)


def other_age(face: FaceParameters) -> FaceParameters:
    """The person young or old; old people have lighter hair, and men receding hair."""
    if face.age < YOUNG_BELOW:
        receding = max(face.receding, 0.6) if face.male else face.receding
        return dataclasses.replace(face, age=OLD, hair_shade=1.0, receding=receding)
    receding = min(face.receding, 0.1)
    return dataclasses.replace(face, age=YOUNG, hair_shade=0.4, receding=receding)


def expression_family(face: FaceParameters, rng: np.random.Generator) -> list[FaceParameters]:
    """The person with five other expressions: four of EXPRESSIONS, and random action units."""
    rows = expression_vectors()
    chosen = [rows[int(i)] for i in rng.permutation(len(rows))[:4]]
    free = np.where(rng.uniform(size=rows.shape[1]) < 0.3, rng.uniform(size=rows.shape[1]), 0.0)
    return [face, *(apply_action_units(face, units) for units in (*chosen, free))]


def motion_family(face: FaceParameters, rng: np.random.Generator) -> list[FaceParameters]:
    """Six frames of the person on camera: turning, nodding, speaking, blinking, looking around.

    The first is nearly neutral, as the first frame of a driving clip.
    """
    return [_frame(face, rng, neutral=index == 0) for index in range(6)]


def _frame(face: FaceParameters, rng: np.random.Generator, neutral: bool) -> FaceParameters:
    yaw, pitch, roll = np.clip(rng.normal(0, (14, 8, 5)), (-32, -18, -14), (32, 18, 14))
    if neutral:
        yaw, pitch, roll = 0.3 * yaw, 0.3 * pitch, 0.3 * roll
    action = {} if neutral else _action(rng)
    rest = {"smile": 0.0, "mouth_open": 0.0, "eye_openness": LIDS_AT_REST, "brow_raise": 0.0}
    looks = np.clip(rng.normal(0, (0.25, 0.12)), -1, 1)
    return dataclasses.replace(
        face,
        **{**rest, **action},
        yaw=float(yaw),
        pitch=float(pitch),
        roll=float(roll),
        gaze_x=float(looks[0]),
        gaze_y=float(looks[1]),
    )


def _action(rng: np.random.Generator) -> dict[str, float]:
    blinks, speaks, smiles = rng.uniform(size=3) < (0.2, 0.6, 0.5)
    return {
        "smile": float(rng.uniform(0.2, 1.0)) * smiles,
        "mouth_open": float(rng.uniform(0.05, 0.75)) * speaks,
        "eye_openness": float(rng.uniform(0.0, 0.5) if blinks else rng.uniform(0.7, 1.0)),
        "brow_raise": float(rng.beta(1, 3)),
    }


Family = Callable[[FaceParameters, np.random.Generator], list[FaceParameters]]
FAMILIES: dict[str, Family] = {
    "attributes": attribute_family,
    "expressions": expression_family,
    "motions": motion_family,
}
SIZE = 6  # variants in every family


def family(kind: str, seed: int, index: int) -> list[FaceParameters]:
    """Family `index`; it depends on the kind, the seed and the index alone.

    ValueError for a kind that is not in FAMILIES.
    """
    if kind not in FAMILIES:
        raise ValueError(f"found family {kind!r}, expected one of {', '.join(FAMILIES)}")
    rng = np.random.default_rng([seed, index, 7])
    return FAMILIES[kind](sample_parameters(rng), rng)
