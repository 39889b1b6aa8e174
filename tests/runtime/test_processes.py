"""Two processes of four devices each train as one process of eight does, and stop together."""

import re
import signal
import socket

import numpy as np
import pytest
import tiny_runs as runs
from absl import flags
from absl.testing import flagsaver
from rich.console import Console

from dfd_jax import train
from dfd_jax.runtime import processes
from dfd_jax.training import metrics_log

STEPS = 24


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return runs.photo_folder(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def straight(tiny_zoo, photos, tmp_path_factory):
    """The losses of one process that was never stopped."""
    workdir = tmp_path_factory.mktemp("straight")
    assert train.train(runs.tiny_config(tiny_zoo, photos, STEPS), workdir, Console(quiet=True))
    return losses(workdir)


def losses(workdir):
    return {record["step"]: record["loss"] for record in metrics_log.read_metrics(workdir)}


def start_two(zoo, photos, workdir):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    joining = [f"--coordinator=127.0.0.1:{port}", "--processes=2"]
    return [
        runs.start(zoo, photos, workdir, STEPS, [*joining, f"--process={i}"], devices=4)
        for i in range(2)
    ]


def ended(pair, seconds=runs.PATIENCE):
    """What each has printed; fails if one of them hangs."""
    return [process.communicate(timeout=seconds)[0] for process in pair]


@pytest.mark.slow
def test_stopped_killed_and_resumed_by_two_processes_equals_one(
    tiny_zoo, photos, straight, tmp_path
):
    pair = start_two(tiny_zoo, photos, tmp_path)
    runs.wait_for_step(pair[0], tmp_path, 1)
    pair[1].send_signal(signal.SIGTERM)  # only one of them is asked
    outputs = ended(pair)
    assert [p.returncode for p in pair] == [0, 0], outputs
    stopped = int(re.search(r"stopped after step (\d+)", outputs[0])[1])
    assert stopped in (10, 20)  # they agree every ten steps
    assert not re.search(r"step \d", outputs[1])  # only the first process shows the progress
    assert list(losses(tmp_path)) == list(range(1, stopped + 1))

    pair = start_two(tiny_zoo, photos, tmp_path)
    runs.wait_for_step(pair[0], tmp_path, stopped + 2)
    pair[1].kill()
    outputs = ended(pair)  # the other one does not wait for it for ever
    assert pair[0].returncode != 0, outputs

    with pytest.raises(ValueError, match="processes: saved 2, now 1"):
        train.train(runs.tiny_config(tiny_zoo, photos, STEPS), tmp_path, Console(quiet=True))

    pair = start_two(tiny_zoo, photos, tmp_path)
    outputs = ended(pair)
    assert [p.returncode for p in pair] == [0, 0], outputs
    assert "continuing from step 1" in outputs[0]
    found = losses(tmp_path)
    assert list(found) == list(straight)
    ours, theirs = list(found.values()), list(straight.values())
    np.testing.assert_allclose(ours[:3], theirs[:3], rtol=1e-4)
    np.testing.assert_allclose(ours, theirs, rtol=5e-3)  # Adam makes rounding grow, see test_steps
    assert (tmp_path / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"process": 1}, "need --coordinator and --processes too, or --distributed"),
        (
            {"coordinator": "localhost:1", "processes": 2, "process": 2},
            "found --process=2 of --processes=2, expected 0 … 1",
        ),
    ],
)
def test_flags_that_do_not_fit_together_are_refused_before_anyone_waits(given, expected):
    if "coordinator" not in flags.FLAGS:
        processes.define_flags()
    with flagsaver.flagsaver(**given), pytest.raises(ValueError, match=expected):
        processes.join()
