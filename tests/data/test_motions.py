"""Drawn driving motions: neutral at first, smooth, and each moves what its name says."""

import numpy as np
import pytest

from dfd_jax.data.synthetic import FaceParameters, render
from dfd_jax.data.synthetic.motions import MOTIONS, NEUTRAL, render_motion

SIZE = 48
FACE = FaceParameters(smile=0.9, yaw=20.0, mouth_open=0.4)
MOUTH, EYES = np.s_[33:40, 16:32], np.s_[20:28, 12:36]


@pytest.fixture(scope="module")
def clips() -> dict[str, np.ndarray]:
    return {name: render_motion(name, FACE, 20, SIZE) for name in MOTIONS}


def moved(clip: np.ndarray) -> np.ndarray:
    """How far each pixel ever is from the first frame."""
    return np.abs(clip.astype(int) - clip[0]).max(0).mean(-1)


def test_every_motion_begins_with_the_neutral_face(clips):
    neutral = render(FaceParameters(**NEUTRAL), SIZE)
    assert set(clips) == {"mouth", "blink", "yaw", "nod", "smile"}
    for clip in clips.values():
        assert clip.shape == (20, SIZE, SIZE, 3)
        assert clip.dtype == np.uint8
        assert np.array_equal(clip[0], neutral)


def test_every_motion_moves_and_does_so_smoothly(clips):
    for name, clip in clips.items():
        farthest = np.abs(clip.astype(int) - clip[0]).mean((1, 2, 3)).max()
        steps = np.abs(np.diff(clip.astype(int), axis=0)).mean((1, 2, 3))
        assert farthest > 0.3, name
        assert steps.max() < 0.75 * farthest, name


def test_a_motion_moves_what_its_name_says(clips):
    for name, here, there in (
        ("mouth", MOUTH, EYES),
        ("smile", MOUTH, EYES),
        ("blink", EYES, MOUTH),
    ):
        change = moved(clips[name])
        assert change[here].mean() > 4 * change[there].mean(), name
    assert moved(clips["yaw"])[EYES].mean() > 5
    assert moved(clips["nod"])[EYES].mean() > 5


def test_turns_go_both_ways(clips):
    left, right = clips["yaw"][5].astype(int), clips["yaw"][15].astype(int)
    up, down = clips["nod"][5].astype(int), clips["nod"][15].astype(int)
    for one, other in ((left, right), (up, down)):
        assert np.abs(one - other).mean() > 1.3 * np.abs(one - clips["yaw"][0]).mean()


def test_the_same_face_gives_the_same_clip_and_another_another(clips):
    assert np.array_equal(render_motion("smile", FACE, 20, SIZE), clips["smile"])
    other = render_motion("smile", FaceParameters(male=True, hair_style="buzz"), 1, SIZE)
    assert not np.array_equal(other[0], clips["smile"][0])


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="wink"):
        render_motion("wink", FACE, 5, SIZE)
    with pytest.raises(ValueError, match="at least 1"):
        render_motion("nod", FACE, 0, SIZE)
