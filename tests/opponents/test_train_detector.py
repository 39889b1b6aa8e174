"""The detector's training command: from a config to a weights file with an honest card."""

import io
import json
import os
import signal

import jax
import numpy as np
import pytest
from rich.console import Console

from configs import detector as detector_config
from dfd_jax import models, train_detector
from dfd_jax.data import pairs, saving
from dfd_jax.data.synthetic import SyntheticFaces
from dfd_jax.opponents import detector_data, detector_evaluation, detector_training
from dfd_jax.opponents.attention_losses import AttentionLosses

RATES = ("R", "q", "auc", "accuracy")


def tiny_config():
    config = detector_config.get_config()
    config.detector.hyper = {"width": 4, "stage_sizes": (1,)}
    config.data.update({"size": 16, "crop": 0, "count": 16})
    config.fakes.families = ("broken",)
    config.train.update({"steps": 60, "batch_size": 8, "warmup": 5, "learning_rate": 5e-3})
    config.train.update({"evaluate_every": 30, "log_every": 30})
    config.evaluate.update({"photos": 16, "generators": ()})
    return config


def run(config, workdir):
    """Train and, unless stopped, finish. Returns whether it finished, and what was printed."""
    console = Console(file=io.StringIO(), width=100)
    evaluation_sets = detector_data.evaluation_sets(config, "valid", workdir)
    net = train_detector.train(config, workdir, evaluation_sets, console)
    if net is not None:
        train_detector.finish(config, workdir, net, evaluation_sets, console)
    return net is not None, console.file.getvalue()


def weights(workdir):
    return jax.tree.leaves(models.load(workdir / "detector.safetensors").variables)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The workdir of an uninterrupted tiny run, and what it printed."""
    workdir = tmp_path_factory.mktemp("straight")
    finished, printed = run(tiny_config(), workdir)
    assert finished
    return workdir, printed


def test_a_run_ends_with_a_loadable_detector_and_its_card(straight):
    workdir, printed = straight
    net = models.load(workdir / "detector.safetensors")
    info = net.card.info
    measured = info["test"]["synthetic"]
    assert all(0 <= measured[name] <= 1 for name in RATES)
    assert sum(measured["counts"].values()) == 32
    assert info["data"]["families"] == ["broken"]
    assert info["calibration"]["pass_rate"] == 0.98
    assert "train_detector" in info["command"]
    assert f"{measured['auc']:.3f}" in printed
    assert json.loads((workdir / "detector.json").read_text()) == json.loads(net.card.to_json())


def test_the_card_tells_what_the_file_does(straight):
    workdir, _ = straight
    net = models.load(workdir / "detector.safetensors")
    (evaluation_set,) = detector_data.evaluation_sets(tiny_config(), "test", workdir)
    measured = detector_evaluation.evaluate(net, evaluation_set)
    assert measured == {k: net.card.info["test"]["synthetic"][k] for k in measured}


def test_metrics_are_logged_with_the_validation(straight):
    workdir, _ = straight
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in lines if "loss" in r] == [30, 60]
    assert [r["step"] for r in lines if "valid_auc" in r] == [30, 60]


def test_an_interrupted_run_ends_as_if_it_had_not_been(straight, tmp_path, monkeypatch):
    def interrupting(net, evaluation_sets):
        os.kill(os.getpid(), signal.SIGTERM)
        return score(net, evaluation_sets)

    score = detector_evaluation.selection_score
    monkeypatch.setattr(detector_evaluation, "selection_score", interrupting)
    finished, printed = run(tiny_config(), tmp_path)
    assert not finished
    assert "stopped after step 30" in printed
    monkeypatch.setattr(detector_evaluation, "selection_score", score)
    finished, printed = run(tiny_config(), tmp_path)
    assert finished
    assert "continuing from step 30" in printed
    for resumed, whole in zip(weights(tmp_path), weights(straight[0]), strict=True):
        np.testing.assert_array_equal(resumed, whole)


def test_training_tells_ruins_from_photos(straight):
    measured = models.load(straight[0] / "detector.safetensors").card.info["test"]["synthetic"]
    assert measured["auc"] > 0.7


def test_the_best_step_is_kept_not_the_last(tiny, monkeypatch):
    net = tiny("resnet18")
    tx = detector_training.make_optimizer(1e-3, 2, warmup=0, clip=1.0, weight_decay=0.0)
    state = detector_training.create_state(net, tx)
    best = {"auc": np.float32(0.8), "variables": "earlier"}
    monkeypatch.setattr(detector_evaluation, "selection_score", lambda *_: {"auc": 0.7})
    assert train_detector.better(net, state, best, [])[0] is best
    monkeypatch.setattr(detector_evaluation, "selection_score", lambda *_: {"auc": 0.9})
    newer, scores = train_detector.better(net, state, best, [])
    assert float(newer["auc"]) == pytest.approx(0.9)
    assert scores == {"auc": 0.9}
    assert jax.tree.structure(newer["variables"]) == jax.tree.structure(state.averaged)


def test_folders_of_fakes_are_trained_and_evaluated_on(tmp_path):
    folder = tmp_path / "fakes"
    for index in range(40):
        saving.write_photo(folder / f"{index}.png", np.zeros((20, 20, 3), np.uint8))
    config = tiny_config()
    config.fakes.folders = (str(folder),)
    config.fakes.made_share = 0.0
    ready = detector_data.ready_fakes(config, "train", tmp_path)
    pair = pairs.Pairing(("broken",), ready, 0.0)(
        {"images": SyntheticFaces(1, size=16)[0].pixels}, np.random.default_rng(0)
    )
    assert pair["images"][1].mean() < 60 < pair["images"][0].mean()
    (evaluation_set,) = detector_data.evaluation_sets(config, "valid", tmp_path)
    assert evaluation_set.fakes["ready-made"].shape[1:] == (16, 16, 3)
    assert evaluation_set.fakes["ready-made"].max() == 0


def test_generators_make_fakes_once(tiny_zoo, tmp_path):
    config = tiny_config()
    config.fakes.generators = (str(tiny_zoo["stargan"]),)
    ready = detector_data.ready_fakes(config, "train", tmp_path)
    assert len(ready) == config.data.count
    assert ready[0].pixels.shape == (16, 16, 3)
    files = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.png")}
    assert len(files) == config.data.count
    detector_data.ready_fakes(config, "train", tmp_path)
    assert files == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.png")}


def test_runs_without_any_photo_or_detector_are_refused(tmp_path):
    config = tiny_config()
    config.data.count = 0
    with pytest.raises(ValueError, match=r"data\.root"):
        detector_data.sources(config, "train")
    config = tiny_config()
    config.detector.model = "unet"
    config.detector.hyper = {}
    with pytest.raises(ValueError, match="hyper-parameters do not fit"):
        train_detector.new_detector(config)


@pytest.mark.parametrize(
    "variant",
    [
        None,
        "resnet18",
        "resnet50",
        "xception",
        "multi_attentional",
        "full",
        "full_multi_attentional",
    ],
)
def test_every_variant_of_the_config_describes_a_detector(variant):
    config = detector_config.get_config(variant)
    hyper = {**config.detector.hyper.to_dict(), "num_classes": 2}
    card = models.Card(model=config.detector.model, hyper=hyper, input_size=config.data.size)
    assert models.variable_shapes(card)


def test_attention_losses_are_for_multi_attentional_detectors_alone():
    assert train_detector.attention_losses(detector_config.get_config("full")) is None
    paper = train_detector.attention_losses(detector_config.get_config("full_multi_attentional"))
    assert paper == AttentionLosses()
    small = train_detector.attention_losses(detector_config.get_config("multi_attentional"))
    assert (small.independence, small.degradation, small.shrink) == (1.0, "blur", 0.5)


def test_unknown_variants_are_refused():
    with pytest.raises(ValueError, match=":full"):
        detector_config.get_config("ful")
