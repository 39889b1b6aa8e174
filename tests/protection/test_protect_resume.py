"""The protect command stopped, repeated and continued: done work is kept, nothing else is."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from protect_helpers import (
    hashes,
    network,
    pixels,
    records,
    run,
    save,
)

from dfd_jax import models, protect

ROOT = pathlib.Path(__file__).parents[2]


def modified(output: pathlib.Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in output.rglob("*.png")}


def test_a_second_run_writes_nothing(photos, workdir, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(photos, output, "--workdir", workdir) == 0
    before, manifest = modified(output), (output / "manifest.jsonl").read_bytes()
    assert run(photos, output, "--workdir", workdir) == 0
    assert modified(output) == before
    assert (output / "manifest.jsonl").read_bytes() == manifest
    assert "0 protected, 6 were done already, 0 failed" in capsys.readouterr().out


def changed_input(photos: pathlib.Path, output: pathlib.Path) -> None:
    save(photos / "1.png", pixels(50, 50, seed=77))


def changed_output(photos: pathlib.Path, output: pathlib.Path) -> None:
    save(output / "1.png", pixels(50, 50, seed=77))


def lost_output(photos: pathlib.Path, output: pathlib.Path) -> None:
    (output / "1.png").unlink()


@pytest.mark.parametrize("change", [changed_input, changed_output, lost_output])
def test_what_no_longer_fits_is_done_again(photos, workdir, tmp_path, change):
    output, fresh = tmp_path / "out", tmp_path / "fresh"
    run(photos, output, "--workdir", workdir)
    before = modified(output)
    change(photos, output)
    assert run(photos, output, "--workdir", workdir) == 0
    after = modified(output)
    assert {path for path in after if after[path] != before[path]} == {str(output / "1.png")}
    run(photos, fresh, "--workdir", workdir)
    assert hashes(output) == hashes(fresh)


def test_another_network_or_option_does_all_again(photos, workdir, tmp_path):
    output = tmp_path / "out"
    run(photos, output, "--workdir", workdir)
    first = hashes(output)
    net = network()
    weaker = dataclasses.replace(net.card, budget={"eps_255": 2.0, "bound": "tanh"})
    models.save(tmp_path / "run" / protect.EXPORTED, net.variables, weaker)
    assert run(photos, output, "--workdir", workdir) == 0
    assert all(record["linf_255"] <= 2 for record in records(output).values())
    assert all(first[name] != digest for name, digest in hashes(output).items())
    before = modified(output)
    assert run(photos, output, "--workdir", workdir, "--keep_metadata") == 0
    assert all(before[path] != when for path, when in modified(output).items())


def test_overwrite_does_all_again(photos, workdir, tmp_path):
    output = tmp_path / "out"
    run(photos, output, "--workdir", workdir)
    before = modified(output)
    assert run(photos, output, "--workdir", workdir, "--overwrite") == 0
    assert all(before[path] != when for path, when in modified(output).items())


def test_a_torn_last_line_costs_only_its_photo(photos, workdir, tmp_path):
    output = tmp_path / "out"
    run(photos, output, "--workdir", workdir)
    manifest = output / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-40])
    before = modified(output)
    assert run(photos, output, "--workdir", workdir) == 0
    assert sum(before[path] != when for path, when in modified(output).items()) == 1
    lines = manifest.read_text().splitlines()
    assert len(lines) == 7
    assert json.loads(lines[-1])["status"] == "ok"


def started(photos, output, workdir) -> subprocess.Popen:
    command = [sys.executable, "-m", "dfd_jax.protect", photos, output, "--workdir", workdir]
    options = ["--batch", "4", "--workers", "1"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command + options, env=environment, stdout=subprocess.PIPE, text=True)


def lines_of(manifest: pathlib.Path) -> int:
    return manifest.read_bytes().count(b"\n") if manifest.exists() else 0


@pytest.mark.slow
def test_stopping_and_continuing_equals_never_stopping(workdir, tmp_path):
    photos = tmp_path / "many"
    for index in range(40):
        save(photos / f"{index:03}.png", pixels(700, 500, index))
    straight, output = tmp_path / "straight", tmp_path / "out"
    options = ("--workdir", workdir, "--batch", 4)
    assert run(photos, straight, *options) == 0
    process = started(photos, output, workdir)
    while lines_of(output / "manifest.jsonl") < 6 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=600)
    assert 6 <= lines_of(output / "manifest.jsonl") < 40
    assert process.returncode == 130
    assert "run the same command again" in shown
    assert run(photos, output, *options) == 0
    assert hashes(output) == hashes(straight)
    assert len(records(output)) == 40
