"""Rewritten videos: what stays, what changes, what is refused."""

import itertools
import pathlib
import weakref

import numpy as np
import pytest
from video_helpers import look, pictures, write_video

from dfd_jax.data.images import UnreadableImage
from dfd_jax.data.video_files import read_frames, read_info
from dfd_jax.data.video_rewriting import LOSSLESS, rewrite_video

KINDS = {
    "a.mp4": {},
    "b.mov": {"pix_fmt": "yuv422p10le"},
    "c.mkv": {"times": [0, 2, 3, 4, 9, 10, 11, 20, *range(30, 38)]},
    "d.webm": {"codec": "libvpx-vp9"},
    "e.avi": {"codec": "mpeg4"},
    "g.mp4": {"codec": "libx265", "frames": pictures(16, 64, 64)},
}


def same(frames):
    return frames


def brighter(frames):
    for frame in frames:
        yield np.minimum(frame, 235) + np.uint8(20)


def differences(one: pathlib.Path, other: pathlib.Path) -> np.ndarray:
    pairs = zip(read_frames(one), read_frames(other), strict=True)
    return np.stack([b.astype(int) - a for a, b in pairs])


@pytest.mark.parametrize("name", KINDS)
def test_container_codec_times_and_sound_stay(tmp_path, name):
    source = write_video(tmp_path / name, sound=True, **KINDS[name])
    done = rewrite_video(source, tmp_path / "out" / name, brighter)
    before, after = look(source), look(tmp_path / "out" / name)
    assert done.frames == 16
    assert done.left_out == ()
    assert after.container == before.container
    assert after.pix_fmt == before.pix_fmt == done.pix_fmt
    assert after.codec == before.codec
    assert after.times == before.times
    assert len(after.sound) > 5
    assert after.sound == before.sound
    change = differences(source, tmp_path / "out" / name)
    assert abs(change.mean() - 20) < 1
    assert change.std() < 3


def test_copies_of_h264_in_avi_do_not_get_later(tmp_path):
    sources = [write_video(tmp_path / "0.avi", sound=True)]
    for index in (1, 2):
        sources.append(tmp_path / f"{index}.avi")
        rewrite_video(sources[-2], sources[-1], same)
    first, second = look(sources[1]), look(sources[2])
    assert first.times == second.times
    assert np.diff(first.times) == pytest.approx(0.04)
    assert first.sound == second.sound
    assert np.abs(differences(sources[0], sources[2])).mean() < 2


@pytest.mark.parametrize("name", ["a.mp4", "c.mkv", "d.webm", "e.avi"])
def test_lossless_keeps_every_pixel(tmp_path, name):
    source = write_video(tmp_path / name, **KINDS[name])
    rewrite_video(source, tmp_path / "out" / name, brighter, quality=LOSSLESS)
    wanted = list(brighter(read_frames(source)))
    assert np.array_equal(list(read_frames(tmp_path / "out" / name)), wanted)


def test_a_lower_quality_number_is_closer(tmp_path):
    source = write_video(tmp_path / "a.mp4")
    errors = []
    for quality in (3, 12, 30):
        rewrite_video(source, tmp_path / "out.mp4", same, quality=quality)
        errors.append(np.square(differences(source, tmp_path / "out.mp4")).mean())
    assert errors[0] < errors[1] < errors[2]


def test_colour_edges_do_not_suffer_where_nothing_changes(tmp_path):
    stripes = np.zeros((48, 48, 3), np.uint8)
    stripes[:, ::6] = stripes[:, 1::6] = stripes[:, 2::6] = (200, 40, 40)
    source = write_video(tmp_path / "a.mp4", [stripes] * 5)
    rewrite_video(source, tmp_path / "out.mp4", same, quality=1)
    assert np.abs(differences(source, tmp_path / "out.mp4")).max() <= 6


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_video_is_changed_upright_and_stays_turned(tmp_path, degrees):
    upright = pictures(4, 40, 56)
    stored = [np.ascontiguousarray(np.rot90(picture, -degrees // 90)) for picture in upright]
    source = write_video(tmp_path / "a.mp4", stored, rotation=degrees)

    def darken_the_top(frames):
        for frame in frames:
            assert frame.shape == (40, 56, 3)
            yield np.concatenate([frame[:8] // 2, frame[8:]])

    rewrite_video(source, tmp_path / "out.mp4", darken_the_top)
    change = differences(source, tmp_path / "out.mp4")
    assert change[:, :8].mean() < -30
    assert np.abs(change[:, 9:]).mean() < 2
    assert read_info(tmp_path / "out.mp4") == read_info(source) == (56, 40, 25.0, 4)


def test_odd_sizes_are_written(tmp_path):
    source = write_video(tmp_path / "a.mkv", pictures(4, 33, 45), codec="ffv1")
    assert rewrite_video(source, tmp_path / "out.mkv", same).pix_fmt == "yuv444p"
    assert np.abs(differences(source, tmp_path / "out.mkv")).mean() < 3


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("name", ["a.mp4", "c.mkv"])
def test_tags_are_dropped_unless_asked_for(tmp_path, name, keep):
    tags = {"location": "+48.1000+011.5000/", "title": "at home"}
    source = write_video(tmp_path / name, tags=tags)
    rewrite_video(source, tmp_path / "out" / name, same, keep_metadata=keep)
    found = {key.lower(): value for key, value in look(tmp_path / "out" / name).tags.items()}
    assert ("title" in found) == ("location" in found) == keep
    assert (b"48.1" in (tmp_path / "out" / name).read_bytes()) == keep


def test_few_frames_are_alive_at_once(tmp_path):
    source = write_video(tmp_path / "a.mp4", pictures(120))
    alive = most = 0

    def gone(_):
        nonlocal alive
        alive -= 1

    watches = []

    def watched(frames):
        nonlocal alive, most
        for frame in frames:
            watches.append(weakref.ref(frame, gone))
            alive += 1
            most = max(most, alive)
            yield frame

    rewrite_video(source, tmp_path / "out.mp4", watched)
    assert len(watches) == 120
    assert 1 <= most <= 3


def test_a_change_may_look_ahead(tmp_path):
    source = write_video(tmp_path / "a.mp4", pictures(11), sound=True)

    def in_fours(frames):
        while batch := list(itertools.islice(frames, 4)):
            yield from batch

    assert rewrite_video(source, tmp_path / "out.mp4", in_fours).frames == 11
    assert np.abs(differences(source, tmp_path / "out.mp4")).mean() < 2
    assert look(tmp_path / "out.mp4").sound == look(source).sound


def test_what_cannot_be_written_is_said(tmp_path):
    source = write_video(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"cannot write \.wmv"):
        rewrite_video(source, tmp_path / "a.wmv", same)
    double = write_video(tmp_path / "b.mkv", videos=2)
    with pytest.raises(ValueError, match="holds 2 videos"):
        rewrite_video(double, tmp_path / "out.mkv", same)
    speech = write_video(tmp_path / "c.mp4", sound=True)
    assert (
        rewrite_video(speech, tmp_path / "c.webm", same).left_out[0].startswith("stream 1: audio")
    )
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(UnreadableImage, match="not a video"):
        rewrite_video(tmp_path / "text.mp4", tmp_path / "out.mp4", same)


def test_an_error_within_is_passed_on(tmp_path):
    source = write_video(tmp_path / "a.mp4")

    def fails(frames):
        yield next(frames)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        rewrite_video(source, tmp_path / "out.mp4", fails)
