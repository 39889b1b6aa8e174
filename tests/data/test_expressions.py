"""The 81 expressions: what they are called, what they are made of, and what drawn faces show."""

import dataclasses

import numpy as np
import pytest

from dfd_jax.data.expressions import (
    ACTION_UNITS,
    EXPRESSIONS,
    PROTOTYPES,
    action_units,
    expression_vectors,
)
from dfd_jax.data.synthetic import (
    FaceParameters,
    SyntheticFaces,
    apply_action_units,
    attributes,
    render,
)
from dfd_jax.data.synthetic import action_units as units_of
from dfd_jax.data.synthetic.parameters import LIDS_AT_REST, LIDS_TIGHT


def active(expression):
    return {n: v for n, v in zip(ACTION_UNITS, action_units(expression), strict=True) if v}


def test_there_are_81_different_expressions_and_the_first_is_neutral():
    vectors = expression_vectors()
    assert vectors.shape == (81, 17)
    assert vectors.dtype == np.float32
    assert len(set(EXPRESSIONS)) == 81
    assert len(np.unique(vectors, axis=0)) == 81
    assert not vectors[0].any()
    assert EXPRESSIONS[:3] == ("neutral", "happiness_1", "happiness_2")
    assert EXPRESSIONS[-1] == "blink_5"


def test_an_expression_is_its_units_at_the_intensity_of_its_name():
    assert active("happiness_5") == {"AU06": 1, "AU12": 1}
    assert active("surprise_3") == pytest.approx(
        dict.fromkeys(("AU01", "AU02", "AU05", "AU26"), 0.6)
    )
    assert active("happily_surprised_1").keys() == {"AU01", "AU02", "AU12", "AU25"}
    assert active("blink_4") == pytest.approx({"AU45": 0.8})
    assert active("neutral") == {}


def test_every_action_unit_is_in_some_expression_and_every_number_is_an_action_unit():
    numbers = {number for units in PROTOTYPES.values() for number in units}
    assert {f"AU{number:02d}" for number in numbers} == set(ACTION_UNITS)


def test_vectors_come_in_the_order_of_the_units_that_were_asked():
    vectors = expression_vectors(("AU12", "AU01"))
    assert vectors[EXPRESSIONS.index("happiness_5")].tolist() == [1, 0]
    assert vectors[EXPRESSIONS.index("sadness_5")].tolist() == [0, 1]


@pytest.mark.parametrize("name", ["joy_5", "happiness", "happiness_6", "neutral_1", ""])
def test_an_unknown_expression_or_unit_is_refused(name):
    with pytest.raises(ValueError, match=r"found expression .*happiness, sadness.*happiness_5"):
        action_units(name)
    with pytest.raises(ValueError, match="found action units AU99"):
        expression_vectors(("AU12", "AU99"))


def test_drawn_faces_know_their_action_units():
    face = FaceParameters(smile=0.6, mouth_open=0.3, brow_raise=0.2, eye_openness=LIDS_AT_REST)
    names = ("AU12", "Male", "AU06", "AU25", "AU26", "AU01", "AU02", "AU05", "AU07", "AU45", "AU04")
    expected = [0.6, 0, 0.6, 0.6, 0.3, 0.2, 0.2, 0, 0, 0, 0]
    assert attributes(face, names) == pytest.approx(expected)
    assert SyntheticFaces(2, attribute_names=names).known_names == names
    with pytest.raises(ValueError, match=r"no label for AU03 .*AU01 … AU45"):
        attributes(face, ("AU03",))


@pytest.mark.parametrize(
    ("openness", "raised", "tight", "closing"),
    [
        (1.0, 1, 0, 0),
        (LIDS_AT_REST, 0, 0, 0),
        (LIDS_TIGHT, 0, 1, 0),
        (LIDS_TIGHT / 2, 0, 1, 0.5),
        (0.0, 0, 1, 1),
    ],
)
def test_lids_are_raised_then_tightened_then_closed(openness, raised, tight, closing):
    values = attributes(FaceParameters(eye_openness=openness), ("AU05", "AU07", "AU45"))
    assert values == pytest.approx([raised, tight, closing], abs=1e-6)


@pytest.mark.parametrize("openness", [0.0, 0.2, 0.5, 0.8, 0.95])
def test_a_faces_own_action_units_give_the_face_itself(openness):
    for face in map(SyntheticFaces(4, seed=7).parameters, range(4)):
        face = dataclasses.replace(face, eye_openness=openness)
        same = apply_action_units(face, units_of(face))
        changed = {f.name for f in dataclasses.fields(face)} - {
            n for n, v in dataclasses.asdict(same).items() if v == getattr(face, n)
        }
        assert changed <= {"smile", "mouth_open", "eye_openness", "brow_raise"}
        for name in changed:
            assert getattr(same, name) == pytest.approx(getattr(face, name), abs=1e-6)


def test_another_expression_changes_the_face_and_nothing_around_it():
    face = SyntheticFaces(1, seed=2).parameters(0)
    neutral, surprised, blinking = (
        render(apply_action_units(face, action_units(name)), 64).astype(int)
        for name in ("neutral", "surprise_5", "blink_5")
    )
    for other in (surprised, blinking):
        changed = np.abs(other - neutral).max(2) > 10
        assert changed[16:56, 14:50].sum() > 40
        assert not changed[:8].any()
    mouth = (slice(44, 54), slice(24, 40))
    assert np.abs(surprised - neutral)[mouth].mean() > 5
    assert np.abs(blinking - neutral)[mouth].mean() < 1


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("units", [np.zeros(16), np.full(17, 1.5), np.full(17, np.nan)])
def test_action_units_that_are_none_are_refused(units):
    with pytest.raises(ValueError, match=r"expected 17 intensities in \[0, 1\]"):
        apply_action_units(FaceParameters(), units)
