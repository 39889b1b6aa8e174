"""Videos as clips, as faces and as driving motions, whatever the files are like."""

import pathlib

import numpy as np
import pytest
from PIL import Image
from video_helpers import pictures, write_video

from dfd_jax.data import pipeline, sources, videos, voxceleb
from dfd_jax.data.faces import FaceSource
from dfd_jax.data.images import Box, UnreadableImage, crop_resize
from dfd_jax.data.sources import open_source
from dfd_jax.data.video_files import read_frames, read_info

SHARED = pathlib.Path(__file__).parents[3] / "shared"


def close(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Alike but for what a codec does."""
    return found.shape == wanted.shape and np.abs(found.astype(int) - wanted).mean() < 3


# Reading


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mov", {"pix_fmt": "yuv422p10le"}),
        ("a.mkv", {"codec": "ffv1", "pix_fmt": "yuv444p"}),
        ("a.webm", {"codec": "libvpx-vp9"}),
        ("a.avi", {"codec": "mpeg4"}),
    ],
)
def test_every_kind_of_video_gives_its_frames(tmp_path, name, options):
    wanted = pictures(9, 40, 56)
    found = list(read_frames(write_video(tmp_path / name, wanted, **options)))
    assert len(found) == 9
    assert all(close(*pair) for pair in zip(found, wanted, strict=True))
    assert read_info(tmp_path / name) == (56, 40, 25.0, 9)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_video_is_seen_upright(tmp_path, degrees):
    wanted = pictures(4, 40, 56)
    stored = [np.ascontiguousarray(np.rot90(picture, -degrees // 90)) for picture in wanted]
    path = write_video(tmp_path / "a.mp4", stored, rotation=degrees)
    assert all(close(*pair) for pair in zip(read_frames(path), wanted, strict=True))


def test_a_part_of_a_video_is_what_is_shown_then(tmp_path):
    wanted = pictures(40)
    path = write_video(tmp_path / "a.mp4", wanted)
    found = list(read_frames(path, start=20 / 25, stop=23 / 25))
    assert len(found) == 4
    assert all(close(*pair) for pair in zip(found, wanted[20:24], strict=True))
    with pytest.raises(UnreadableImage, match=r"no frame at 9\.00 s"):
        list(read_frames(path, start=9))


def test_a_varying_rate_is_read_frame_by_frame(tmp_path):
    wanted = pictures(5)
    path = write_video(tmp_path / "a.mkv", wanted, times=[0, 1, 5, 6, 20])
    assert all(close(*pair) for pair in zip(read_frames(path), wanted, strict=True))


def broken(folder: pathlib.Path) -> dict[str, str]:
    """Files that are no videos, and what is said of each."""
    whole = write_video(folder / "whole.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mkv").write_text("no video")
    return {"cut.mp4": "not a video", "empty.mp4": "an empty file", "text.mkv": "not a video"}


def test_a_file_that_is_no_video_says_so(tmp_path):
    for name, reason in broken(tmp_path).items():
        with pytest.raises(UnreadableImage) as caught:
            list(read_frames(tmp_path / name))
        assert (caught.value.path, caught.value.reason) == (str(tmp_path / name), reason)
    with pytest.raises(UnreadableImage, match="no such file"):
        read_info(tmp_path / "gone.mp4")
    with pytest.raises(UnreadableImage, match="a folder"):
        read_info(tmp_path)


# Clips


def test_a_clip_is_cut_and_resized(tmp_path):
    wanted = pictures(10, 40, 56)
    path = write_video(tmp_path / "talk.mp4", wanted, rate=30)
    clip = videos.read_clip(path, 20, limit=6)
    assert clip.frames.shape == (6, 20, 20, 3)
    assert clip.frames.dtype == np.uint8
    assert (clip.fps, clip.name) == (30.0, "talk")
    assert close(clip.frames[5], crop_resize(wanted[5], Box(8, 0, 40), 20))
    boxed = videos.read_clip(path, 12, box=Box(3, 5, 24))
    assert close(boxed.frames[9], crop_resize(wanted[9], Box(3, 5, 24), 12))
    with pytest.raises(ValueError, match="does not lie inside"):
        videos.read_clip(path, 12, box=Box(30, 30, 30))


def test_a_folder_of_frames_is_a_video_in_counting_order(tmp_path):
    wanted = pictures(11)
    (tmp_path / "clip").mkdir()
    for index, picture in enumerate(wanted):
        Image.fromarray(picture).save(tmp_path / "clip" / f"{index}.png")
    clip = videos.read_clip(tmp_path / "clip", 48)
    assert np.array_equal(clip.frames, wanted)
    assert videos.list_videos(tmp_path) == ["clip"]
    with pytest.raises(UnreadableImage, match="without pictures"):
        videos.read_clip(tmp_path, 48)


def test_driving_clips_are_named_by_their_files(tmp_path):
    write_video(tmp_path / "nod.mp4", pictures(7))
    write_video(tmp_path / "sub" / "wink.mkv", pictures(3))
    found = sources.driving_clips(tmp_path, 16, limit=5)
    assert {name: clip.shape for name, clip in found.items()} == {
        "nod": (5, 16, 16, 3),
        "sub/wink": (3, 16, 16, 3),
    }
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no video"):
        sources.driving_clips(tmp_path / "empty", 16)


def test_recorded_driving_clips_are_read():
    if not (SHARED / "videos").is_dir():
        pytest.skip("the recorded driving clips are not on this machine")
    found = sources.driving_clips(SHARED / "videos", 64)
    assert set(found) == {"blink", "mouth", "nod", "smile", "yaw"}
    assert all(clip.shape == (50, 64, 64, 3) for clip in found.values())


# Faces

SPLITS = ("train", "valid", "test")


def names_of(root: pathlib.Path, split: str) -> set[str]:
    """The videos of a split; none if it is empty."""
    try:
        return {name for name, _ in videos.VideoFaces(root, split)._videos}
    except ValueError:
        return set()


def test_a_folder_of_videos_gives_one_face_each(tmp_path):
    for index, name in enumerate(("a.mp4", "b.mkv", "sub/c.webm")):
        codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
        write_video(tmp_path / name, pictures(5 + index, 40, 56), codec=codec)
    faces = open_source("auto", "all", root=tmp_path)
    assert isinstance(faces, videos.VideoFaces)
    assert isinstance(faces, FaceSource)
    assert len(faces) == 3
    assert [faces[i].name for i in range(3)] == ["a.mp4", "b.mkv", "sub/c.webm"]
    face = faces[1]
    assert close(face.pixels, crop_resize(pictures(6, 40, 56)[3], Box(8, 0, 40), 256))
    assert face.attributes.tolist() == [0] * 5
    assert faces.known_names == ()


def test_the_frame_is_the_one_that_was_chosen(tmp_path):
    wanted = pictures(10)
    path = write_video(tmp_path / "a.mp4", wanted)
    seen = []

    def last(frames):
        seen.append(frames)
        return len(frames) - 1

    faces = videos.VideoFaces(tmp_path, "all", choose=last, size=48)
    assert close(faces[0].pixels, wanted[-1])
    assert np.array_equal(seen[0], list(read_frames(path)))


@pytest.mark.parametrize(("count", "most", "kept"), [(10, 64, 10), (16, 4, 4), (17, 4, 3)])
def test_of_a_long_video_few_frames_are_kept_evenly_spaced(tmp_path, count, most, kept):
    wanted = pictures(count)
    write_video(tmp_path / "a.mp4", wanted)
    shown = []
    faces = videos.VideoFaces(
        tmp_path, "all", choose=lambda frames: shown.append(frames) or 0, size=48, candidates=most
    )
    faces[0]
    stride = -(-count // kept) if kept < count else 1
    stride = 1 << (stride - 1).bit_length()
    assert len(shown[0]) == kept
    assert all(close(*pair) for pair in zip(shown[0], wanted[::stride], strict=True))


def test_photos_win_over_videos_and_gifs_are_photos(tmp_path):
    Image.fromarray(pictures(1)[0]).save(tmp_path / "x.gif")
    assert not isinstance(open_source("auto", "all", root=tmp_path), videos.VideoFaces)
    write_video(tmp_path / "a.mp4")
    assert isinstance(open_source("auto", "all", root=tmp_path), videos.VideoFaces)
    Image.fromarray(pictures(1)[0]).save(tmp_path / "x.png")
    assert not isinstance(open_source("auto", "all", root=tmp_path), videos.VideoFaces)
    assert len(open_source("videos", "all", root=tmp_path)) == 2


def test_a_broken_video_is_left_out_and_named(tmp_path):
    reasons = broken(tmp_path / "in")
    faces = open_source("videos", "all", root=tmp_path / "in")
    assert len(faces) == 4
    skipped = tmp_path / "skipped.txt"
    batches = pipeline.make_loader(
        faces, batch_size=8, size=16, crop=None, train=False, skipped_file=skipped
    )
    assert next(batches)["images"].shape == (1, 16, 16, 3)
    found = pipeline.read_skipped(skipped)
    assert found == {str(tmp_path / "in" / name): reason for name, reason in reasons.items()}


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(ValueError, match="no video in it"):
        open_source("videos", "train", root=tmp_path)
    with pytest.raises(ValueError, match="needs a root"):
        open_source("videos", "train")
    write_video(tmp_path / "a.mp4")
    (full,) = (split for split in SPLITS if names_of(tmp_path, split))
    empty = SPLITS[SPLITS.index(full) - 1]
    with pytest.raises(ValueError, match="none of its 1 videos"):
        open_source("videos", empty, root=tmp_path)


# VoxCeleb


def write_track(path: pathlib.Path, rows: list[tuple], first: int = 0) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "Identity  : \tid10001\nReference : \tabc\nOffset    : \t1\nFV Conf   : \t20.2\t(1)\n"
    table = [f"{first + i:06d} \t" + " \t".join(map(str, row)) for i, row in enumerate(rows)]
    lines = [head + "ASD Conf  : \t2.7\n", "FRAME \tX \tY \tW \tH ", *table]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_track_in_pixels_of_360_lines_and_one_in_shares_are_the_same_square(tmp_path):
    pixels = write_track(tmp_path / "a.txt", [(100, 60, 100, 120), (110, 60, 100, 120)])
    shares = write_track(
        tmp_path / "b.txt",
        [(100 / 640, 1 / 6, 100 / 640, 1 / 3), (110 / 640, 1 / 6, 100 / 640, 1 / 3)],
    )
    for path in (pixels, shares):
        box = voxceleb.read_track(path).square(720, 1280)
        # around x 200 … 420 and y 120 … 360, a tenth more on each side
        assert box == Box(166, 96, 288)


def test_the_square_stays_inside_the_frame(tmp_path):
    track = voxceleb.read_track(write_track(tmp_path / "a.txt", [(0, 300, 80, 60)]))
    assert track.square(360, 640) == Box(0, 264, 96)
    far = voxceleb.read_track(write_track(tmp_path / "b.txt", [(700, 0, 80, 60)]))
    with pytest.raises(ValueError, match="outside the video"):
        far.square(360, 640)


def test_a_clip_ends_where_the_face_has_left_its_place(tmp_path):
    rows = [(10 * i, 0, 100, 100) for i in range(10)]  # IoU with the first: (10 - i) / (10 + i)
    track = voxceleb.read_track(write_track(tmp_path / "a.txt", rows, first=50))
    assert track.seconds() == (2.0, 2.36)
    assert track.steady().frames.tolist() == list(range(50, 57))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no face track"),
        ("FRAME X Y W H\n", "no face track"),
        ("FRAME X Y W H\n1 2 3\n", "not FRAME X Y W H"),
        ("FRAME X Y W H\n1 2 3 0 5\n", "no size"),
    ],
)
def test_a_broken_track_says_so(tmp_path, text, reason):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(UnreadableImage, match=reason):
        voxceleb.read_track(tmp_path / "a.txt")


def test_utterances_of_cut_and_of_whole_videos_are_cropped_to_the_face(tmp_path):
    wanted = pictures(40, 72, 96)
    write_video(tmp_path / "mp4/id10001/aaa/00001.mp4", wanted[20:26])
    write_video(tmp_path / "mp4/id10002/bbb.mp4", wanted)
    rows = [(100, 100, 150, 150)] * 6  # a fifth of that in this video
    write_track(tmp_path / "txt/id10001/aaa/00001.txt", rows, first=20)
    write_track(tmp_path / "txt/id10002/bbb/00007.txt", rows, first=20)
    write_track(tmp_path / "txt/id10003/gone/00001.txt", rows)
    faces = videos.VideoFaces(tmp_path, "all", size=36)
    assert [face.name for face in faces] == ["id10001/aaa/00001", "id10002/bbb/00007"]
    for face in faces:
        assert close(face.pixels, crop_resize(wanted[23], Box(17, 17, 36), 36))


def test_a_broken_track_costs_only_its_video(tmp_path):
    write_video(tmp_path / "mp4/id10001/aaa/00001.mp4")
    write_track(tmp_path / "txt/id10001/aaa/00001.txt", [(2000, 0, 10, 10)])
    with pytest.raises(UnreadableImage, match="outside the video"):
        videos.VideoFaces(tmp_path, "all")[0]


def empty_videos(root: pathlib.Path, names: list[str]) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_no_speaker_is_in_two_splits(tmp_path):
    found = [f"id{10000 + s}/v{v}.mp4" for s in range(30) for v in range(3)]
    empty_videos(tmp_path, found)
    splits = [names_of(tmp_path, split) for split in SPLITS]
    assert set.union(*splits) == set(found)
    speakers = [{name[:7] for name in names} for names in splits]
    assert sum(map(len, speakers)) == 30


def test_the_test_speakers_of_voxceleb_are_the_test_split(tmp_path):
    others = [f"train/id{10000 + s}#v#0000{s}#000.mp4" for s in range(20)]
    own = ["test/id10270#v#00001#000.mp4", "test/id10309#v#00001#000.mp4"]
    empty_videos(tmp_path, others + own)
    assert names_of(tmp_path, "test") == set(own)
    assert names_of(tmp_path, "train") | names_of(tmp_path, "valid") == set(others)
