"""The protect command on videos: alone, among photos, stopped, continued, refused."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from protect_helpers import (
    SIZE,
    network,
    pixels,
    records,
    run,
    save,
    save_network,
    shared_protector,
)
from video_helpers import look, pictures, write_video

from dfd_jax.data.video_files import read_frames
from dfd_jax.method.protector import Protector
from dfd_jax.models.frozen import Perturber
from dfd_jax.protection import video_stream
from dfd_jax.protection.inputs import Job
from dfd_jax.protection.manifest import Manifest
from dfd_jax.protection.outcomes import Ledger, Options
from dfd_jax.protection.video_stream import VideoStream, replacing

ROOT = pathlib.Path(__file__).parents[2]
LOSSLESS = ("--video_quality", "lossless")


@pytest.fixture
def workdir(tmp_path) -> str:
    return save_network(tmp_path / "run")


def frames_of(path: pathlib.Path) -> np.ndarray:
    return np.stack(list(read_frames(path))).astype(int)


# What comes out


@pytest.mark.parametrize("name", ["a.mp4", "b.mov", "c.mkv", "d.webm", "e.avi"])
def test_a_video_keeps_container_rate_length_and_sound(workdir, tmp_path, name):
    codec = {"d.webm": "libvpx-vp9", "e.avi": "mpeg4"}.get(name, "libx264")
    source = write_video(tmp_path / name, codec=codec, sound=True)
    assert run(source, tmp_path / "out", "--workdir", workdir) == 0
    before, after = look(source), look(tmp_path / "out" / name)
    assert after._replace(tags={}) == before._replace(tags={})
    assert len(after.sound) > 5
    change = np.abs(frames_of(tmp_path / "out" / name) - frames_of(source))
    assert 2 < change.mean() < 8
    assert records(tmp_path / "out")[name]["left_out"] == []


def test_lossless_holds_exactly_what_the_protector_computes(workdir, tmp_path):
    source = write_video(tmp_path / "a.mp4", pictures(7, 40, 56))
    assert run(source, tmp_path / "out", "--workdir", workdir, "--batch", 1, *LOSSLESS) == 0
    wanted = shared_protector().protect_many(list(read_frames(source)))
    found = frames_of(tmp_path / "out" / "a.mp4")
    assert np.array_equal(found, wanted)
    changes = found - frames_of(source)
    assert 1 <= np.abs(changes).max() <= 6
    assert all((changes[i] != changes[i + 1]).any() for i in range(6))  # a delta for each frame


def test_the_batch_size_does_not_change_the_frames(workdir, tmp_path):
    source = write_video(tmp_path / "a.mp4", pictures(11))
    for batch in (1, 4):
        options = ("--workdir", workdir, "--batch", batch, *LOSSLESS)
        assert run(source, tmp_path / f"{batch}", *options) == 0
    one, other = frames_of(tmp_path / "1" / "a.mp4"), frames_of(tmp_path / "4" / "a.mp4")
    assert np.abs(one - other).max() <= 1  # a half may be rounded differently


def test_the_manifest_says_what_the_file_as_read_back_is(workdir, tmp_path):
    source = write_video(tmp_path / "a.mp4", pictures(9, 40, 56), rate=30)
    assert run(source, tmp_path / "out", "--workdir", workdir) == 0
    record = records(tmp_path / "out")["a.mp4"]
    change = frames_of(tmp_path / "out" / "a.mp4") - frames_of(source)
    assert record["kind"] == "video"
    assert record["status"] == "ok"
    assert (record["frames"], record["fps"]) == (9, 30.0)
    assert (record["size"], record["box"]) == ([56, 40], [8, 0, 40])
    assert record["encoder"] == "libx264 yuv420p"
    assert record["linf_255"] == np.abs(change).max()
    errors = [np.square(change).mean(), np.square(change[:, :, 8:48]).mean()]
    psnrs = [10 * np.log10(255**2 / error) for error in errors]
    assert [record["psnr_photo"], record["psnr_region"]] == pytest.approx(psnrs, abs=1e-3)


def test_a_folder_mixes_photos_and_videos(workdir, tmp_path, capsys):
    save(tmp_path / "in" / "a.png", pixels())
    write_video(tmp_path / "in" / "a.mp4")
    write_video(tmp_path / "in" / "sub" / "B.MKV")
    assert run(tmp_path / "in", tmp_path / "out", "--workdir", workdir) == 0
    found = records(tmp_path / "out")
    kinds = {name: record["kind"] for name, record in found.items()}
    assert kinds == {"a.png": "photo", "a.mp4": "video", "sub/B.MKV": "video"}
    assert all((tmp_path / "out" / name).is_file() for name in kinds)
    assert "3 protected, 0 failed" in capsys.readouterr().out


def test_a_box_moves_only_its_region(workdir, tmp_path):
    source = write_video(tmp_path / "a.mp4")
    (tmp_path / "boxes.json").write_text(json.dumps({"a.mp4": [10, 4, 24]}))
    options = ("--workdir", workdir, "--boxes", tmp_path / "boxes.json")
    assert run(source, tmp_path / "out", *options, *LOSSLESS) == 0
    changed = (frames_of(tmp_path / "out" / "a.mp4") != frames_of(source)).any(-1)
    assert changed[:, 4:28, 10:34].mean() > 0.5
    changed[:, 4:28, 10:34] = False
    assert not changed.any()


def test_the_place_of_recording_is_dropped_unless_asked_for(workdir, tmp_path):
    tags = {"location": "+48.1000+011.5000/"}
    source = write_video(tmp_path / "a.mp4", tags=tags)
    for keep in (False, True):
        options = ["--workdir", workdir] + ["--keep_metadata"] * keep
        assert run(source, tmp_path / f"{keep}", *options) == 0
        assert (b"48.1" in (tmp_path / f"{keep}" / "a.mp4").read_bytes()) == keep


def test_memory_holds_a_batch_of_frames_however_long_the_video(tmp_path, monkeypatch):
    source = write_video(tmp_path / "a.mp4", pictures(60))
    net = network()
    protector = Protector(Perturber(net.variables, net.module, net.card), 8)
    sizes = []
    outputs = protector.outputs
    monkeypatch.setattr(
        protector, "outputs", lambda crops: sizes.append(crops.shape) or outputs(crops)
    )
    (tmp_path / "out").mkdir()
    with Manifest(tmp_path / "out") as manifest:
        ledger = Ledger(manifest, tmp_path / "out", "sha", Options(video_quality=30))
        shown = []
        job = Job("a.mp4", source, "a.mp4")
        stream = VideoStream(protector, ledger)
        (outcome,) = stream.run([job], lambda: False, lambda *seen: shown.append(seen))
    assert outcome.record.frames == 60
    assert sizes == [(8, SIZE, SIZE, 3)] * 7 + [(4, SIZE, SIZE, 3)]
    assert shown == [(job, count, 60) for count in range(1, 61)]


@pytest.mark.usefixtures("without_type_checks")
def test_large_frames_go_before_a_batch_is_full(monkeypatch):
    monkeypatch.setattr(video_stream, "_BYTES_PER_BATCH", 3 * 48 * 48 * 3)
    stream = VideoStream(shared_protector(), None)
    monkeypatch.setattr(shared_protector(), "batch_size", 100)
    assert [len(batch) for batch in stream._batches(iter(pictures(7)))] == [3, 3, 1]


# Failing and refusing


def test_broken_videos_and_those_that_cannot_be_written_fail_alone(workdir, tmp_path, capsys):
    folder = tmp_path / "in"
    whole = write_video(folder / "good.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "old.wmv").write_bytes(whole)
    write_video(folder / "two.mkv", videos=2)
    (tmp_path / "boxes.json").write_text(json.dumps({"far.mp4": [40, 0, 30]}))
    write_video(folder / "far.mp4")
    options = ("--workdir", workdir, "--boxes", tmp_path / "boxes.json")
    assert run(folder, tmp_path / "out", *options) == 1
    found = records(tmp_path / "out")
    reasons = {n: r["reason"] for n, r in found.items() if r["status"] == "failed"}
    assert set(reasons) == {"cut.mp4", "old.wmv", "two.mkv", "far.mp4"}
    assert reasons["cut.mp4"] == "not a video"
    assert "cannot write .wmv" in reasons["old.wmv"]
    assert "2 videos" in reasons["two.mkv"]
    assert "does not lie inside" in reasons["far.mp4"]
    left = {path.name for path in (tmp_path / "out").rglob("*")}
    assert left == {"manifest.jsonl", "good.mp4"}
    assert "1 protected, 4 failed" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["0", "52", "best"])
def test_a_quality_that_does_not_exist_is_refused(workdir, tmp_path, value, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, tmp_path / "out", "--workdir", workdir, "--video_quality", value)
    assert "--video_quality" in capsys.readouterr().err


# Stopping and continuing


def test_a_second_run_does_nothing_and_another_quality_all(workdir, tmp_path, capsys):
    source = write_video(tmp_path / "a.mp4")
    output = tmp_path / "out"
    when = []
    for options in ((), (), ("--video_quality", 20), ("--format", "jpeg", "--video_quality", 20)):
        assert run(source, output, "--workdir", workdir, *options) == 0
        when.append((output / "a.mp4").stat().st_mtime_ns)
    assert when[0] == when[1] < when[2] == when[3]
    assert "0 protected, 1 were done already, 0 failed" in capsys.readouterr().out
    assert len((output / "manifest.jsonl").read_text().splitlines()) == 2


def test_a_stop_gives_up_the_video_at_hand_and_leaves_nothing_of_it(tmp_path):
    jobs = [Job(n, write_video(tmp_path / n), n) for n in ("a.mp4", "b.mp4", "c.mp4")]
    output = tmp_path / "out"
    seen = []
    with Manifest(output) as manifest:
        ledger = Ledger(manifest, output, "sha", Options())
        stream = VideoStream(shared_protector(), ledger)
        stop = lambda: len(seen) > 16 + 5  # noqa: E731
        outcomes = list(stream.run(jobs, stop, lambda *each: seen.append(each)))
    assert [outcome.job.name for outcome in outcomes] == ["a.mp4"]
    assert {path.name for path in output.iterdir()} == {"a.mp4", "manifest.jsonl"}


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path):
    path = tmp_path / "sub" / "a.mp4"
    with contextlib.suppress(KeyError), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert list(path.parent.iterdir()) == []
    with replacing(path) as temporary:
        assert temporary.name.startswith(".")
        temporary.write_text("whole")
    assert [found.name for found in path.parent.iterdir()] == ["a.mp4"]
    assert path.read_text() == "whole"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_no_half_file_and_the_next_begins_anew(workdir, tmp_path, number):
    source = write_video(tmp_path / "a.mp4", pictures(200, 240, 320))
    output = tmp_path / "out"
    command = [sys.executable, "-m", "dfd_jax.protect", source, output, "--workdir", workdir]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    while not (output / ".part-a.mp4").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    shown, _ = process.communicate(timeout=600)
    assert not (output / "a.mp4").exists()
    assert (output / "manifest.jsonl").read_text() == ""
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "stopped: 0 of 1 videos are done" in shown
        assert not (output / ".part-a.mp4").exists()
    assert run(source, output, "--workdir", workdir, "--video_quality", 40) == 0
    assert {path.name for path in output.iterdir()} == {"a.mp4", "manifest.jsonl"}
    assert records(output)["a.mp4"]["frames"] == 200
