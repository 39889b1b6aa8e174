"""Warped faces: what is asked for moves where it should, and nothing else does."""

import pathlib

import numpy as np
import pytest

from dfd_jax.data import faces, landmarks, pipeline, warps
from dfd_jax.data.expressions import ACTION_UNITS, EXPRESSIONS, action_units, expression_vectors
from dfd_jax.data.synthetic import SyntheticFaces

PORTRAITS = pathlib.Path(__file__).parents[3] / "shared" / "portraits"
SIZE = 128
POINTS = landmarks.canonical(SIZE, SIZE)
EYES = float(POINTS[1, 0] - POINTS[0, 0])  # their distance
LEFT_EYE, RIGHT_EYE, NOSE, LEFT_CORNER, RIGHT_CORNER = POINTS


def units(**asked):
    return np.array([asked.get(name, 0) for name in ACTION_UNITS], np.float32)


NEUTRAL = units()
UPRIGHT = warps.Pose()


def beside(place, right, down):
    return place + np.array([right, down]) * EYES


CHIN = beside(POINTS[3:].mean(0), 0, 0.7)


def dotted(*places):
    """Grey pictures with a soft bright dot, one for each place."""
    y, x = np.mgrid[:SIZE, :SIZE]
    dots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for px, py in places]
    return [np.repeat((100 + 150 * dot).astype(np.uint8)[..., None], 3, -1) for dot in dots]


def place_of_dot(picture):
    weight = np.maximum(picture[..., 0].astype(float) - 110, 0)
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def moved(place, asked=NEUTRAL, pose=UPRIGHT):
    """How far a dot moves, in eye distances: right and down."""
    (picture,) = dotted(place)
    after = warps.move(picture, POINTS, asked, pose)
    return (place_of_dot(after) - place_of_dot(picture)) / EYES


@pytest.fixture(scope="module")
def photo():
    return SyntheticFaces(1, seed=3, size=64)[0].pixels


def test_nothing_asked_changes_nothing(photo):
    tilted = landmarks.canonical(64, 64) + np.arange(5)[:, None] * [0.3, 0.7]
    for points in (landmarks.canonical(64, 64), tilted):
        np.testing.assert_array_equal(warps.express(photo, points, NEUTRAL), photo)
        np.testing.assert_array_equal(warps.turn(photo, points), photo)
        np.testing.assert_array_equal(warps.turn(photo, points, yaw=1e-9), photo)


@pytest.mark.parametrize(
    ("unit", "place", "right", "down"),
    [
        ("AU12", LEFT_CORNER, -1, -1),
        ("AU12", RIGHT_CORNER, 1, -1),
        ("AU15", LEFT_CORNER, 0, 1),
        ("AU20", RIGHT_CORNER, 1, 0),
        ("AU14", LEFT_CORNER, -1, 0),
        ("AU23", LEFT_CORNER, 1, 0),
        ("AU01", beside(LEFT_EYE, 0.25, -0.42), 0, -1),
        ("AU02", beside(RIGHT_EYE, 0.22, -0.4), 0, -1),
        ("AU04", beside(RIGHT_EYE, -0.2, -0.38), -1, 1),
        ("AU06", beside(LEFT_EYE, -0.08, 0.42), 0, -1),
        ("AU09", beside(NOSE, 0.22, -0.05), 0, -1),
        ("AU10", beside(NOSE, -0.18, 0.3), 0, -1),
        ("AU17", beside(CHIN, 0, -0.35), 0, -1),
        ("AU26", CHIN, 0, 1),
        ("AU25", CHIN, 0, 1),
    ],
)
def test_a_unit_moves_its_part_of_the_face(unit, place, right, down):
    """By at least three hundredths of the eye distance, and half as far at half the intensity."""
    whole, half = (moved(place, units(**{unit: amount})) for amount in (1.0, 0.5))
    for axis, sign in enumerate((right, down)):
        if sign:
            assert sign * whole[axis] > 0.03
            assert 0.3 < half[axis] / whole[axis] < 0.7
        else:
            assert abs(whole[axis]) < 0.06
    assert np.abs(whole).max() < 0.35


def test_the_corners_of_the_mouth_arrive_where_the_pull_ends():
    np.testing.assert_allclose(moved(RIGHT_CORNER, units(AU12=1.0)), (0.12, -0.14), atol=0.03)


def test_an_expression_follows_the_landmarks_and_leaves_the_rest(photo):
    y, x = np.mgrid[:SIZE, :SIZE]
    ramps = np.stack([2 * x, 2 * y, np.full_like(x, 100)], -1).astype(np.uint8)
    shifted = POINTS + np.array([12, -20])
    for unit in ("AU12", "AU01", "AU45"):
        here, there = (
            np.abs(warps.express(ramps, p, units(**{unit: 1.0})).astype(int) - ramps).sum(-1)
            for p in (POINTS, shifted)
        )
        assert here[:16].max() == here[:, :8].max() == 0
        np.testing.assert_allclose(there[:-20, 12:], here[20:, :-12], atol=2)


def test_a_blink_covers_the_eye_with_the_skin_above_it():
    picture = np.full((SIZE, SIZE, 3), 180, np.uint8)
    for x, y in np.round(POINTS[:2]).astype(int):
        picture[y - 2 : y + 3, x - 5 : x + 6] = 30
    open_eyes = (picture < 90).sum()
    assert (warps.express(picture, POINTS, units(AU45=1.0)) < 90).sum() < 0.35 * open_eyes
    assert (warps.express(picture, POINTS, units(AU07=1.0)) < 90).sum() < open_eyes
    assert (warps.express(picture, POINTS, units(AU05=1.0)) < 90).sum() > open_eyes


def test_a_dropped_jaw_opens_a_dark_mouth():
    picture = np.full((SIZE, SIZE, 3), 180, np.uint8)
    dark = [
        (warps.express(picture, POINTS, asked)[..., 0] < 100)
        for asked in (NEUTRAL, units(AU25=1.0), units(AU26=0.5), units(AU26=1.0))
    ]
    areas = [int(d.sum()) for d in dark]
    assert areas[0] == 0 < areas[1] < areas[2] < areas[3]
    y, x = np.nonzero(dark[3])
    assert abs(x.mean() - POINTS[3:, 0].mean()) < 1
    assert LEFT_CORNER[0] < x.min() < x.max() < RIGHT_CORNER[0]
    assert 0 < y.mean() - LEFT_CORNER[1] < 0.3 * EYES


def test_no_expression_moves_anything_by_more_than_half_an_eye_distance():
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    ramps = np.stack([x, y, 0 * x], -1).astype(np.uint8)
    for vector in expression_vectors():
        after = warps.express(ramps, POINTS, vector).astype(int)
        lower = POINTS[3, 1] - 0.2 * EYES  # below it the mouth is painted where it opens
        shift = np.abs(after - ramps)[..., :2]
        assert shift[: int(lower)].max() < 0.5 * EYES
        assert shift[:, : int(LEFT_CORNER[0] - 0.2 * EYES)].max() < 0.5 * EYES


@pytest.mark.parametrize(
    ("pose", "right", "down"),
    [
        (warps.Pose(yaw=20), 1, 0),
        (warps.Pose(yaw=-20), -1, 0),
        (warps.Pose(pitch=12), 0, -1),
        (warps.Pose(pitch=-12), 0, 1),
        (warps.Pose(shift=(0.05, -0.05)), 1, -1),
    ],
)
def test_the_nose_moves_most_and_the_background_least(pose, right, down):
    nose, corner = moved(NOSE, pose=pose), moved(np.array([12.0, 14.0]), pose=pose)
    for axis, sign in enumerate((right, down)):
        if sign:
            assert sign * nose[axis] > 0.1
            assert abs(corner[axis]) < 0.4 * abs(nose[axis])
        else:
            assert abs(nose[axis]) < 0.05
    if pose.yaw:
        assert abs(nose[0]) > 1.1 * abs(moved(RIGHT_CORNER, pose=pose)[0])


def test_roll_and_scale_act_around_the_head():
    rolled = [moved(place, pose=warps.Pose(roll=10)) for place in (LEFT_EYE, RIGHT_EYE)]
    turned = (rolled[1] - rolled[0]) + [1, 0]
    assert np.degrees(np.arctan2(turned[1], turned[0])) == pytest.approx(10, abs=0.7)
    grown = [moved(place, pose=warps.Pose(scale=1.1)) for place in (LEFT_EYE, RIGHT_EYE)]
    assert 1 + (grown[1] - grown[0])[0] == pytest.approx(1.1, abs=0.02)


def test_mirrored_faces_make_mirrored_expressions(photo):
    points = landmarks.canonical(64, 64) + np.array([[1, 0], [0, 1], [2, 0], [0, 2], [1, 1]])
    asked = action_units("fear_5")
    there = warps.move(photo, points, asked, warps.Pose(yaw=15, roll=5, shift=(0.03, 0.01)))
    back = warps.move(
        np.ascontiguousarray(photo[:, ::-1]),
        landmarks.mirrored(points, 64),
        asked,
        warps.Pose(yaw=-15, roll=-5, shift=(-0.03, 0.01)),
    )
    assert np.abs(there.astype(int) - back[:, ::-1]).max() <= 1


def test_pairs_are_seeded_pictures_of_the_same_face(photo):
    example = {"images": photo, "points": landmarks.canonical(64, 64)}
    for make in (warps.expression_pair, warps.motion_pair):
        first, again, other = (make(example, np.random.default_rng(s)) for s in (1, 1, 2))
        assert all((first[k] == again[k]).all() for k in first)
        assert any((first[k] != other[k]).any() for k in first)
        for name in set(first) & {"images", "targets", "source", "driving"}:
            assert (first[name].dtype, first[name].shape) == (np.uint8, (64, 64, 3))
            assert np.corrcoef(first[name].ravel(), photo.ravel())[0, 1] > 0.7


def test_an_expression_pair_says_what_it_shows(photo):
    points, rows = landmarks.canonical(64, 64), expression_vectors()
    rng, seen = np.random.default_rng(0), set()
    for _ in range(40):
        pair = warps.expression_pair({"images": photo, "points": points}, rng)
        assert set(pair) == {"images", "units", "targets", "target_units"}
        for picture, asked in (("images", "units"), ("targets", "target_units")):
            np.testing.assert_array_equal(pair[picture], warps.express(photo, points, pair[asked]))
            assert (rows == pair[asked]).all(1).any()
            seen.add(pair[asked].tobytes())
    assert 30 < len(seen) <= len(EXPRESSIONS)


def test_drawn_poses_stay_within_what_a_photo_bears():
    rng = np.random.default_rng(0)
    poses = [warps.random_pose(rng) for _ in range(500)]
    yaw, pitch, roll = np.abs(np.array([pose[:3] for pose in poses])).max(0)
    assert (15 < yaw <= 25, 10 < pitch <= 14, 8 < roll <= 12) == (True, True, True)
    assert max(max(map(abs, pose.shift)) for pose in poses) <= 0.06
    assert all(0.9 < pose.scale < 1.1 for pose in poses)


@pytest.mark.parametrize("size", [2, 16, 65])
def test_any_size_and_any_landmarks_work(size):
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (size, size, 3)).astype(np.uint8)
    together = np.full((5, 2), size / 2, np.float32)
    for points in (landmarks.canonical(size, size), together, together - 10 * size):
        after = warps.move(photo, points, np.ones(17, np.float32), warps.random_pose(rng))
        assert (after.dtype, after.shape) == (np.uint8, photo.shape)


def test_loaders_make_pairs_of_drawn_faces():
    source = landmarks.Landmarked(SyntheticFaces(4, seed=1, size=64), None)
    options = {"batch_size": 2, "size": 32, "seed": 3}
    first, again = (
        next(pipeline.make_loader(source, transform=warps.motion_pair, **options)) for _ in range(2)
    )
    assert {k: v.shape for k, v in first.items()} == dict.fromkeys(
        ("source", "driving"), (2, 32, 32, 3)
    )
    np.testing.assert_array_equal(first["driving"], again["driving"])


@pytest.mark.usefixtures("without_type_checks")
def test_unusable_requests_are_refused(photo):
    points = landmarks.canonical(64, 64)
    with pytest.raises(ValueError, match="found pixels float32"):
        warps.turn(photo.astype(np.float32), points)
    with pytest.raises(ValueError, match="expected five finite"):
        warps.turn(photo, points * np.nan)
    with pytest.raises(ValueError, match="17 intensities in"):
        warps.express(photo, points, 5 * action_units("pain_5"))
    with pytest.raises(ValueError, match="expected a positive one"):
        warps.turn(photo, points, scale=0)
    with pytest.raises(ValueError, match=r"wrap the source in landmarks\.Landmarked"):
        warps.motion_pair({"images": photo}, np.random.default_rng(0))


@pytest.mark.skipif(not PORTRAITS.exists(), reason="needs ../shared/portraits")
def test_real_photographs_change_where_they_are_asked_to():
    source = landmarks.Landmarked(
        faces.CelebaFolder(PORTRAITS, "test", ("Male",)), landmarks.read_landmarks(PORTRAITS)
    )
    batch = next(pipeline.make_loader(source, batch_size=8, size=64, train=False))
    for photo, points in zip(batch["images"], batch["points"], strict=True):
        jaw = np.abs(warps.express(photo, points, units(AU26=1.0)).astype(int) - photo).mean(-1)
        mouth = int(points[3:, 1].mean())
        assert jaw[: mouth - 8].max() <= 1
        assert jaw[mouth : mouth + 6, 26:38].mean() > 8
