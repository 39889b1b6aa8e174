"""A training run as its user meets it: files, resume, refusal, an early end."""

import hashlib
import io
import json
import signal

import jax
import numpy as np
import pytest
import tiny_runs as runs
from rich.console import Console

from dfd_jax import evaluate, models, train
from dfd_jax.data import images, landmarks
from dfd_jax.training import metrics_log, photo_source


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return runs.photo_folder(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def finished(tiny_zoo, photos, tmp_path_factory):
    """The workdir of a straight run of six steps, and what its console showed."""
    workdir = tmp_path_factory.mktemp("straight")
    console = Console(record=True, width=120, file=io.StringIO())
    assert train.train(runs.tiny_config(tiny_zoo, photos), workdir, console)
    evaluate.evaluate_run(workdir, console)
    return workdir, console.export_text()


def weights_of(workdir):
    """A hash of P's weights, bit by bit."""
    arrays = jax.tree.leaves(models.load(workdir / "perturber.safetensors").variables)
    return hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in arrays)).hexdigest()


def test_a_run_leaves_everything_a_person_needs(finished):
    workdir, shown = finished
    for name in ("config.json", "metrics.jsonl", "evaluation.json", "grid.png", "report.html"):
        assert (workdir / name).stat().st_size > 0, name
    assert list(workdir.glob("events.*"))
    assert [r["step"] for r in metrics_log.read_metrics(workdir)] == [1, 2, 3, 4, 5, 6]
    net = models.load(workdir / "perturber.safetensors")
    assert net.card.budget == {"eps_255": 6.375, "bound": "tanh"}
    assert net.card.info["step"] == 6
    for row in ("no protection", "random noise", "P"):
        assert row in shown


def test_the_evaluation_has_a_row_per_protection_and_a_cell_per_condition(finished):
    results = json.loads((finished[0] / "evaluation.json").read_text())
    rows = {row["row"]: row for row in results["rows"]}
    assert list(rows) == ["no protection", "random noise", "P"]
    assert [c["condition"] for c in rows["P"]["cells"]] == [
        *("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young", "all")
    ]
    assert rows["no protection"]["linf_255"] == 0
    assert rows["no protection"]["cells"][-1]["l2"] == 0
    assert rows["random noise"]["linf_255"] <= 6
    assert 0 < rows["P"]["linf_255"] <= 6
    verdict = rows["P"]["cells"][-1]["detectors"]["resnet18"]
    assert verdict["counts"]["fp"] + verdict["counts"]["tn"] == 5 * results["photos"]["count"]


@pytest.mark.slow
def test_stopped_killed_and_resumed_equals_straight(tiny_zoo, photos, finished, tmp_path):
    run = runs.start(tiny_zoo, photos, tmp_path)
    runs.wait_for_step(run, tmp_path, 1)
    run.send_signal(signal.SIGTERM)
    output, _ = run.communicate(timeout=runs.PATIENCE)
    assert run.returncode == 0, output
    assert "SIGTERM: stopped after step" in output

    run = runs.start(tiny_zoo, photos, tmp_path)
    runs.wait_for_step(run, tmp_path, 4)
    run.kill()
    run.communicate()

    run = runs.start(tiny_zoo, photos, tmp_path)
    output, _ = run.communicate(timeout=runs.PATIENCE)
    assert run.returncode == 0, output
    assert "continuing from step" in output
    assert weights_of(tmp_path) == weights_of(finished[0])
    straight = [r["loss"] for r in metrics_log.read_metrics(finished[0])]
    assert [r["loss"] for r in metrics_log.read_metrics(tmp_path)] == straight


def test_a_workdir_of_another_run_is_refused(tiny_zoo, photos, finished):
    config = runs.tiny_config(tiny_zoo, photos)
    config.objective.fake = 9.0
    with pytest.raises(ValueError, match=r"another config:\n  objective.fake: 0.1 there, 9.0 now"):
        train.train(config, finished[0], Console(quiet=True))


def test_other_frozen_weights_under_the_same_name_are_refused(
    tiny_zoo, photos, finished, tmp_path, tiny
):
    zoo = {name: tmp_path / f"{name}.safetensors" for name in ("stargan", "resnet18")}
    for seed, (name, path) in enumerate(zoo.items()):
        net = tiny(name, seed=seed)
        models.save(path, net.variables, net.card)
    config = runs.tiny_config(zoo, photos, steps=2)
    workdir = tmp_path / "run"
    train.train(config, workdir, Console(quiet=True))
    other = tiny("stargan", seed=5)
    models.save(zoo["stargan"], other.variables, other.card)
    with pytest.raises(ValueError, match="made under other conditions:\n  generators: saved"):
        train.train(config, workdir, Console(quiet=True))


def test_a_loss_that_is_not_finite_stops_the_run_with_its_step(tiny_zoo, photos, tmp_path):
    config = runs.tiny_config(tiny_zoo, photos)
    config.train.learning_rate = float("nan")
    with pytest.raises(RuntimeError, match=r"step [23]: .* not finite"):
        train.train(config, tmp_path, Console(quiet=True))
    assert not (tmp_path / "perturber.safetensors").exists()


@pytest.mark.slow
def test_bfloat16_compute_trains_float32_parameters(tiny_zoo, photos, tmp_path):
    config = runs.tiny_config(tiny_zoo, photos, steps=2)
    config.dtype = "bfloat16"
    assert train.train(config, tmp_path, Console(quiet=True))
    assert len(metrics_log.read_metrics(tmp_path)) == 2
    net = models.load(tmp_path / "perturber.safetensors")
    assert str(net.variables["params"]["leave"]["kernel"].dtype) == "float32"


@pytest.mark.slow
def test_a_failed_start_does_not_lock_the_workdir(tiny_zoo, photos, tmp_path):
    config = runs.tiny_config(tiny_zoo, photos, steps=1)
    config.data.root = str(tmp_path / "missing")
    with pytest.raises((ValueError, OSError)):
        train.train(config, tmp_path, Console(quiet=True))
    config.data.root = str(photos)
    config.train.batch_size = 7
    with pytest.raises(ValueError, match="cannot be split"):
        train.train(config, tmp_path, Console(quiet=True))
    config.train.batch_size = 8
    assert train.train(config, tmp_path, Console(quiet=True))


def test_networks_that_do_not_fit_are_refused_before_training(tiny_zoo, photos, tmp_path):
    config = runs.tiny_config(tiny_zoo, photos)
    config.data.size = 8
    with pytest.raises(ValueError, match=r"takes 16 px, but config.data.size is 8"):
        train.train(config, tmp_path, Console(quiet=True))


def test_a_lost_export_is_made_again(tiny_zoo, photos, tmp_path):
    config = runs.tiny_config(tiny_zoo, photos, steps=1)
    assert train.train(config, tmp_path, Console(quiet=True))
    before = weights_of(tmp_path)
    (tmp_path / "perturber.safetensors").unlink()
    assert train.train(config, tmp_path, Console(quiet=True))
    assert weights_of(tmp_path) == before


def test_evaluating_again_keeps_the_history(finished):
    before = (finished[0] / "metrics.jsonl").read_bytes()
    evaluate.evaluate_run(finished[0], Console(quiet=True))
    assert (finished[0] / "metrics.jsonl").read_bytes() == before


def test_photos_are_shown_in_other_poses_too(photos):
    photo = images.read_rgb(photos / "000.png")[:16, :16]
    points = landmarks.in_square(landmarks.canonical(24, 24), images.centre_box(24, 24), 16)
    example = {"images": photo, "points": points, "attributes": np.ones(5)}
    shown = [photo_source._turn(example, np.random.default_rng(i)) for i in range(30)]
    same = sum(np.array_equal(each["images"], photo) for each in shown)
    assert 3 <= same <= 20
    assert all(set(each) == {"images", "attributes"} for each in shown)
    again = photo_source._turn(example, np.random.default_rng(7))
    np.testing.assert_array_equal(again["images"], shown[7]["images"])
