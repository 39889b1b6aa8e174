"""Several processes on one list: each does its slice, and together they do what one would."""

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest
from protect_helpers import (
    hashes,
    pixels,
    records,
    run,
    save,
)

from dfd_jax.protection.manifest import Manifest
from dfd_jax.protection.work_split import Slice, choose

ROOT = pathlib.Path(__file__).parents[2]


def run_all(photos, output, workdir, processes: int, *options: object) -> None:
    for process in range(processes):
        which = ("--processes", processes, "--process", process)
        assert run(photos, output, "--workdir", workdir, *which, *options) == 0


def modified(output: pathlib.Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in output.rglob("*.png")}


def parts(output: pathlib.Path) -> dict[str, list[str]]:
    """The whole lines of each process's part of the manifest."""
    found = {path.name: path.read_text() for path in output.glob("manifest.*-of-*.jsonl")}
    return {name: text.splitlines() for name, text in found.items()}


def test_processes_share_out_the_list_and_do_together_what_one_does(photos, workdir, tmp_path):
    one, several = tmp_path / "one", tmp_path / "several"
    assert run(photos, one, "--workdir", workdir) == 0
    run_all(photos, several, workdir, 4)
    assert hashes(several) == hashes(one)
    assert {name: len(lines) for name, lines in parts(several).items()} == {
        "manifest.0-of-4.jsonl": 2,
        "manifest.1-of-4.jsonl": 2,
        "manifest.2-of-4.jsonl": 1,
        "manifest.3-of-4.jsonl": 1,
    }
    assert records(several) == records(one)


def test_more_processes_than_photos_leave_some_with_nothing_to_do(photos, workdir, tmp_path):
    run_all(photos / "0.png", tmp_path / "out", workdir, 2)
    assert set(records(tmp_path / "out")) == {"0.png"}


def test_another_number_of_processes_repeats_nothing(photos, workdir, tmp_path):
    output = tmp_path / "out"
    run_all(photos, output, workdir, 2)
    before = modified(output)
    run_all(photos, output, workdir, 3)
    assert run(photos, output, "--workdir", workdir) == 0
    assert modified(output) == before
    assert len(records(output)) == 6


def test_the_newest_record_counts_whichever_process_wrote_it(photos, workdir, tmp_path):
    output, fresh = tmp_path / "out", tmp_path / "fresh"
    run_all(photos, output, workdir, 3)
    save(photos / "1.png", pixels(50, 50, seed=77))  # then done by 1 of 2, before by 1 of 3
    run_all(photos, output, workdir, 2)
    run_all(photos, output, workdir, 3)
    assert run(photos, fresh, "--workdir", workdir) == 0
    assert hashes(output) == hashes(fresh)
    found = Manifest(output).latest["1.png"]
    assert (found.size, found.revision) == ((50, 50), 2)
    assert records(output)["1.png"]["revision"] == 2


def test_what_one_process_did_is_known_before_any_merge(photos, workdir, tmp_path):
    output = tmp_path / "out"
    run_all(photos, output, workdir, 2)
    (output / "manifest.jsonl").unlink()
    before = modified(output)
    assert run(photos, output, "--workdir", workdir) == 0
    assert modified(output) == before


def test_foreign_files_are_refused_though_another_process_has_begun(
    photos, workdir, tmp_path, capsys
):
    output = tmp_path / "out"
    foreign = save(output / "1.png", pixels(9, 9))
    (output / "manifest.0-of-2.jsonl").touch()
    command = (photos, output, "--workdir", workdir, "--processes", 2, "--process")
    assert run(*command, 1) == 2
    assert "1 files are there already" in capsys.readouterr().err
    foreign.unlink()
    assert run(*command, 1) == 0
    assert run(*command, 1) == 0


def test_slices_come_from_the_flags_or_from_the_cluster():
    slurm = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"}
    tpu = {"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "1"}
    assert choose(None, None, slurm) == Slice(3, 4)
    assert choose(None, None, tpu) == Slice(1, 2)
    assert choose(2, 0, slurm) == Slice(0, 2)
    batch_script = {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}
    one_host = {"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}
    for environment in ({}, batch_script, one_host):
        assert choose(None, None, environment) == Slice(0, 1)
    assert Slice(1, 3).of(range(8)) == [1, 4, 7]


def test_numbers_that_do_not_fit_are_refused(photos, workdir, tmp_path, capsys):
    command = (photos, tmp_path / "out", "--workdir", workdir)
    assert run(*command, "--processes", 2) == 2
    assert "give both" in capsys.readouterr().err
    assert run(*command, "--processes", 2, "--process", 2) == 2
    assert "found process 2 of 2, expected 0 to 1" in capsys.readouterr().err


def started(photos, output, workdir, process: int, processes: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "dfd_jax.protect", photos, output, "--workdir", workdir]
    options = ["--processes", str(processes), "--process", str(process), "--batch", "4"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command + options, env=environment, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_killed_processes_lose_and_repeat_nothing(workdir, tmp_path):
    photos, straight, output = tmp_path / "many", tmp_path / "straight", tmp_path / "out"
    for index in range(40):
        save(photos / f"{index:03}.png", pixels(500, 400, index))
    assert run(photos, straight, "--workdir", workdir, "--batch", 4) == 0
    running = [started(photos, output, workdir, process, 2) for process in range(2)]
    moments = [2, 5]  # lines of their manifests
    alive = dict(enumerate(running))
    while alive:
        time.sleep(0.002)
        for number, process in list(alive.items()):
            lines = parts(output).get(f"manifest.{number}-of-2.jsonl", [])
            if len(lines) >= moments[number] or process.poll() is not None:
                process.kill()
                process.wait()
                del alive[number]
    assert any(process.returncode < 0 for process in running), f"{moments}: none was killed"
    before = modified(output)
    kept = [line for lines in parts(output).values() for line in lines if line.endswith("}")]
    run_all(photos, output, workdir, 3, "--batch", 4)
    assert hashes(output) == hashes(straight), moments
    written = [line for lines in parts(output).values() for line in lines if line.endswith("}")]
    assert sorted(json.loads(line)["input"] for line in written) == sorted(records(straight))
    done = {str(output / json.loads(line)["output"]) for line in kept}
    assert all(modified(output)[path] == before[path] for path in done), moments
    assert not list(output.rglob(".*.part"))
    assert set(records(output)) == set(records(straight))
