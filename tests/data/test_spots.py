"""The spots of drawn faces are where the drawing shows them."""

import dataclasses

import numpy as np

from dfd_jax.data import drawn_pairs, spots, synthetic

FACE = synthetic.FaceParameters(eye_colour=0.0, skin_tone=0.0)
SIZE = 128


def pixel(points, name):
    x, y = (points[spots.SPOTS.index(name)] + 1) / 2 * SIZE - 0.5
    return round(float(x)), round(float(y))


def test_pupils_are_dark_and_chins_are_skin():
    for yaw in (-20.0, 0.0, 20.0):
        face = dataclasses.replace(FACE, yaw=yaw)
        picture, found = synthetic.render(face, SIZE).astype(int), spots.spots(face)
        for name in ("left_eye", "right_eye"):
            x, y = pixel(found, name)
            assert picture[y - 2 : y + 3, x - 2 : x + 3].min() < 70
        x, y = pixel(found, "chin")
        assert picture[y, x].min() > 60


def test_a_head_that_turns_moves_its_nose_most():
    ahead, turned = (spots.spots(dataclasses.replace(FACE, yaw=yaw)) for yaw in (0.0, 15.0))
    moved = dict(zip(spots.SPOTS, (turned - ahead)[:, 0], strict=True))
    assert moved["nose"] > moved["left_eye"] > 0
    assert moved["nose"] == max(moved.values())


def test_an_open_mouth_lowers_the_lip_and_the_chin():
    shut, wide = (spots.spots(dataclasses.replace(FACE, mouth_open=o)) for o in (0.0, 0.7))
    down = dict(zip(spots.SPOTS, (wide - shut)[:, 1], strict=True))
    assert down["lower_lip"] > 0.05
    assert down["chin"] > 0.02
    assert abs(down["left_eye"]) < 1e-6


def test_in_the_mirror_left_is_right():
    found = spots.spots(dataclasses.replace(FACE, yaw=10.0, roll=5.0))
    other = spots.spots(dataclasses.replace(FACE, yaw=-10.0, roll=-5.0))
    np.testing.assert_allclose(spots.mirrored(found), other, atol=1e-5)


def test_pairs_of_frames_know_their_spots():
    pool = drawn_pairs.Pool("motions", 1, SIZE)
    pair = drawn_pairs.pair(pool, 0, (), np.random.default_rng(3))
    known = [spots.spots(face) for face in pool.parameters(0)]
    known += [spots.mirrored(points) for points in known]
    for name in ("source_spots", "driving_spots"):
        shifts = [pair[name] - points for points in known]
        best = min(shifts, key=lambda shift: shift.std(0).max())
        assert best.std(0).max() < 1e-5  # but for one shift of all, they are those of a variant
        assert np.abs(best).max() <= 2 * drawn_pairs.MAX_SHIFT + 1e-6
