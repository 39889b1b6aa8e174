"""Drawn faces: the same face every time and at every size, with labels one can see."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfd_jax.data.synthetic import (
    LABELLED,
    FaceParameters,
    SyntheticFaces,
    attributes,
    render,
    sample_parameters,
)

PLAIN = FaceParameters(age=25.0, light_azimuth=0.0, light_softness=1.0)
SIZE = 178  # one pixel is one point of the geometry


def _picture(size: int = SIZE, **changes) -> np.ndarray:
    return render(dataclasses.replace(PLAIN, **changes), size).astype(np.float32)


def _box(picture: np.ndarray, x: float, y: float, half_x: float, half_y: float) -> np.ndarray:
    """The part around the point (x, y) measured from midway between the pupils."""
    column, row = 89 + x, 91 + y
    rows = slice(round(row - half_y), round(row + half_y))
    return picture[rows, round(column - half_x) : round(column + half_x)]


def _shrunk(picture: np.ndarray, factor: int) -> np.ndarray:
    side = picture.shape[0] // factor
    return picture.reshape(side, factor, side, factor, 3).mean((1, 3))


def test_a_face_is_bit_identical_on_every_call_and_in_every_collection():
    faces = SyntheticFaces(5, seed=3, size=48)
    first, again = faces[2], faces[2]
    other = SyntheticFaces(3, seed=3, size=48)[2]
    assert first.name == again.name == other.name == "synthetic-3-000002"
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.pixels, other.pixels)
    np.testing.assert_array_equal(first.attributes, other.attributes)


def test_a_collection_has_its_length_its_labels_and_an_end():
    faces = SyntheticFaces(2, size=33, attribute_names=("Male", "Smiling", "Young"))
    assert len(faces) == 2
    assert faces[1].pixels.shape == (33, 33, 3)
    assert faces[1].pixels.dtype == np.uint8
    assert faces[1].attributes.shape == (3,)
    assert faces[1].attributes.dtype == np.float32
    with pytest.raises(IndexError):
        faces[2]
    assert [face.name for face in faces] == ["synthetic-0-000000", "synthetic-0-000001"]


def test_faces_differ_between_indices_and_between_seeds():
    pictures = [SyntheticFaces(6, seed, 32)[i].pixels for seed in (0, 1) for i in range(6)]
    for i, one in enumerate(pictures):
        for another in pictures[:i]:
            assert np.abs(one.astype(int) - another.astype(int)).mean() > 8


@pytest.mark.parametrize("size", [8, 33, 64, 121])
def test_any_size_is_drawn(size):
    picture = _picture(size)
    assert picture.shape == (size, size, 3)
    assert picture.std() > 20


def test_a_picture_too_small_for_a_face_is_refused():
    with pytest.raises(ValueError, match="8 or more"):
        render(PLAIN, 7)


@pytest.mark.parametrize("index", range(4))
def test_a_large_picture_shrunk_is_the_small_picture(index):
    face = SyntheticFaces(4, seed=5).parameters(index)
    large, small = render(face, 256).astype(np.float32), render(face, 64).astype(np.float32)
    difference = np.abs(_shrunk(large, 4) - small)
    assert difference.mean() < 2.5
    assert np.quantile(difference, 0.99) < 20


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_every_face_drawn_by_lot_is_a_picture_with_light_and_dark(seed):
    picture = render(sample_parameters(np.random.default_rng(seed)), 24).astype(np.float32)
    middle = picture[6:20, 7:17]
    assert 15 < middle.mean() < 235
    assert middle.std() > 4
    assert (picture >= 254).mean() < 0.25


def test_a_choice_that_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="mohawk"):
        FaceParameters(hair_style="mohawk")


def test_labels_follow_the_parameters():
    face = FaceParameters(
        male=True, age=55, hair_colour="gray", smile=0.8, mouth_open=0.3, beard=0.9, glasses=True
    )
    wanted = {"Gray_Hair", "Male", "Smiling", "Mouth_Slightly_Open", "Eyeglasses"}
    values = attributes(face, LABELLED)
    assert values.dtype == np.float32
    assert {name for name, value in zip(LABELLED, values, strict=True) if value == 1} == wanted
    bald = dataclasses.replace(face, hair_style="bald", age=39.9, beard=0.1)
    values = dict(zip(LABELLED, attributes(bald, LABELLED), strict=True))
    assert values["Bald"] == values["Young"] == values["No_Beard"] == 1
    assert values["Gray_Hair"] == 0


def test_a_name_that_cannot_be_labelled_is_refused_at_once():
    with pytest.raises(ValueError, match="Wearing_Hat"):
        attributes(PLAIN, ["Male", "Wearing_Hat"])
    with pytest.raises(ValueError, match="Wearing_Hat"):
        SyntheticFaces(1, attribute_names=["Wearing_Hat"])


def test_every_label_occurs_both_ways_among_faces_drawn_by_lot():
    rng = np.random.default_rng(0)
    labels = np.stack([attributes(sample_parameters(rng), LABELLED) for _ in range(400)])
    share = dict(zip(LABELLED, labels.mean(0), strict=True))
    assert all(0.01 < value < 0.99 for value in share.values()), share
    for name in ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young", "Smiling"):
        assert 0.12 < share[name] < 0.88, share
    hair = [LABELLED.index(f"{name}_Hair") for name in ("Black", "Blond", "Brown", "Gray")]
    np.testing.assert_array_equal(labels[:, [*hair, LABELLED.index("Bald")]].sum(1), 1)


@pytest.mark.parametrize("style", ["short", "long"])
def test_hair_has_its_colour(style):
    tops = {
        colour: _box(_picture(hair_style=style, hair_colour=colour), 0, -58, 20, 5).mean((0, 1))
        for colour in ("black", "brown", "blond", "gray")
    }
    assert tops["black"].mean() + 15 < tops["brown"].mean() < tops["blond"].mean() - 25
    assert tops["blond"][0] - tops["blond"][2] > 30  # yellow
    assert abs(tops["gray"][0] - tops["gray"][2]) < 15  # no colour
    assert tops["brown"][0] > tops["brown"][2] + 5


def test_a_bald_head_shows_skin_where_hair_would_be():
    bald = _box(_picture(hair_style="bald"), 0, -54, 12, 4).mean((0, 1))
    haired = _box(_picture(hair_colour="black"), 0, -54, 12, 4).mean((0, 1))
    assert bald.mean() > haired.mean() + 60


def _darkest_row(picture: np.ndarray, x: float) -> float:
    """The height of the darkest row near the mouth in a narrow column, below the pupils."""
    column = _box(picture, x, 42, 2, 8).mean((1, 2))
    return 34.0 + float(column.argmin())


def test_a_smile_lifts_the_mouths_corners():
    calm, smiling = _picture(smile=0.0), _picture(smile=1.0)
    for side in (-14, 14):
        drop = [_darkest_row(p, side) - _darkest_row(p, 0) for p in (calm, smiling)]
        assert drop[1] < drop[0] - 1
    change = np.abs(smiling - calm).mean(2)
    assert _box(change, 18, 38, 4, 4).mean() > 10 * _box(change, 0, -30, 10, 4).mean()


def test_an_open_mouth_is_dark_inside():
    closed, opened = (_box(_picture(mouth_open=o), 0, 47, 4, 2).mean() for o in (0.0, 0.9))
    assert opened < 0.6 * closed


@pytest.mark.parametrize("side", [-1, 1])
def test_closing_the_eyes_hides_pupil_and_white(side):
    opened, closed = (_box(_picture(eye_openness=o), 20 * side, -1, 7, 2) for o in (1.0, 0.0))
    assert opened.mean(2).std() > 1.8 * closed.mean(2).std()
    assert closed.mean(2).min() > opened.mean(2).min() + 20


def test_a_frontal_face_has_its_pupils_where_celeba_has_them():
    picture = _picture(256, skin_tone=0.0, eye_colour=0.0, light_elevation=0.0).mean(2)
    for x in (69, 109):
        row, column = 91 / 178 * 256, x / 178 * 256
        near = picture[round(row) - 12 : round(row) + 13, round(column) - 10 : round(column) + 11]
        dark = np.maximum(70 - near, 0)
        rows, columns = np.indices(near.shape)
        assert abs((dark * rows).sum() / dark.sum() - 12) < 3.5
        assert abs((dark * columns).sum() / dark.sum() - 10) < 2


def test_turning_the_head_moves_the_nose_sideways():
    left, ahead, right = (_nose_column(_picture(yaw=yaw)) for yaw in (-22, 0, 22))
    assert left < ahead - 6
    assert right > ahead + 6
    assert abs(ahead) < 3


def _nose_column(picture: np.ndarray) -> float:
    """Where the nostrils are: the dark columns just under the nose's tip."""
    row = _box(picture, 0, 31.5, 30, 2).mean((0, 2))
    dark = np.maximum(np.median(row) - row - 8, 0)
    return float((dark * (np.arange(len(row)) - 29.5)).sum() / dark.sum())


def test_tilting_and_nodding_move_the_features():
    level, nodding = _picture(), _picture(pitch=-14)
    assert np.abs(level - nodding).mean() > 3
    tilted = _picture(roll=9.0)
    heights = [_box(tilted, x, 0, 8, 10).mean((1, 2)).argmin() for x in (-20, 20)]
    assert heights[1] > heights[0] + 3  # clockwise: the viewer's right eye sinks


def test_the_lamp_brightens_its_own_side():
    for azimuth, side in ((-50, -1), (50, 1)):
        picture = _picture(light_azimuth=azimuth, light_softness=0.4)
        lit, away = (_box(picture, 28 * s, 18, 5, 5).mean() for s in (side, -side))
        assert lit > away + 25


def test_a_man_and_glasses_and_beard_change_the_picture_where_they_should():
    man = _picture(male=True)
    beard = np.abs(_picture(male=True, beard=1.0) - man).mean(2)
    assert _box(beard, 0, 60, 12, 4).mean() > 30
    assert _box(beard, 0, -30, 10, 4).mean() < 2
    glasses = np.abs(_picture(male=True, glasses=True) - man).mean(2)
    assert _box(glasses, 20, 2, 20, 14).max() > 60
    assert _box(glasses, 0, 60, 12, 4).mean() < 2
