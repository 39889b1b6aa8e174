"""How generators are measured on drawn people, whose targets are known."""

import io
import json

import jax
import numpy as np
import pytest
from rich.console import Console

from configs import generator_fomm, generator_ganimation, generator_stargan
from dfd_jax import models, train_generator
from dfd_jax.data import drawn_pairs
from dfd_jax.opponents import face_reader, generator_data, generator_evaluation

CONFIGS = {
    "stargan": generator_stargan,
    "ganimation": generator_ganimation,
    "fomm": generator_fomm,
}
SIZE = 16
READER = face_reader.new(SIZE, conv_dim=4, layers=2)


def tiny_config(model, tmp_path):
    config = CONFIGS[model].get_config("drawn")
    config.data.update({"kind": "synthetic", "size": 32, "drawn": 32, "count": 8, "people": 4})
    config.data.cache = str(tmp_path / "cache")
    config.train.update({"steps": 2, "batch_size": 8, "log_every": 1})
    config.train.update({"samples_every": 2, "checkpoint_every": 2})
    config.evaluate.update({"photos": 2, "people": 2})
    if model == "fomm":
        config.generator.hyper.update({"num_kp": 2, "kp_block_expansion": 4, "max_features": 8})
        config.generator.hyper.update({"block_expansion": 4, "motion_block_expansion": 4})
        config.generator.hyper.update({"kp_num_blocks": 1, "motion_num_blocks": 1})
        config.objective.perceptual = 0.0
    else:
        config.generator.hyper = {"conv_dim": 4, "blocks": 1}
        config.critic.hyper = {"conv_dim": 4, "layers": 2}
    return config


@pytest.fixture
def few_judges(monkeypatch, tmp_path):
    """One detector and an untrained reader."""
    path = tmp_path / "reader.safetensors"
    models.save(path, READER.variables, READER.card, np.dtype(np.float16))
    monkeypatch.setattr(face_reader, "FILE", str(path))
    monkeypatch.setattr(generator_evaluation, "DETECTORS", ("zoo:resnet18",))


@pytest.mark.parametrize(
    "model", [pytest.param(m, marks=pytest.mark.slow if m != "ganimation" else ()) for m in CONFIGS]
)
def test_a_run_on_pairs_ends_with_figures_of_held_out_people(model, tmp_path, few_judges):
    config, console = tiny_config(model, tmp_path), Console(file=io.StringIO(), width=100)
    workdir = tmp_path / "run"
    held = generator_data.held_out(config, workdir)
    net = train_generator.train(config, workdir, held, console)
    train_generator.finish(config, workdir, net, held, console)
    card = models.load(workdir / "generator.safetensors").card
    evaluation = card.info["evaluation"]
    for edit in generator_evaluation.EDITS[drawn_pairs.KINDS[model]]:
        assert evaluation["drawn"][edit]["error"] > 0
        assert 0 <= evaluation["drawn"][edit]["present"] <= 1
    assert set(evaluation["photos"]["q"]) == {"resnet18"}
    assert ("warped_error" in evaluation["photos"]) == (model != "stargan")
    assert (workdir / "samples" / "000002_drawn.png").exists()
    assert (workdir / "critic.safetensors").exists() == (model != "fomm")
    assert "people" in card.info["trained_on"]
    assert card.info["updates"] == 2
    assert (workdir / "samples.png").exists()
    assert "wrote" in console.file.getvalue()


def test_a_checkpoint_is_exported_and_another_run_starts_from_it(tmp_path, few_judges):
    config, console = tiny_config("stargan", tmp_path), Console(file=io.StringIO(), width=100)
    workdir = tmp_path / "run"
    held = generator_data.held_out(config, workdir)
    with pytest.raises(FileNotFoundError, match="found no checkpoint"):
        train_generator.train(config, workdir, held, console, export_only=True)
    net = train_generator.train(config, workdir, held, console)
    again = train_generator.train(config, workdir, held, console, export_only=True)
    for ours, theirs in zip(jax.tree.leaves(net), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    train_generator.finish(config, workdir, net, held, console)
    config.generator.start = str(workdir / "generator.safetensors")
    config.critic.start = str(workdir / "critic.safetensors")
    training = train_generator.method_of("stargan").new_training(config)
    critic = models.load(workdir / "critic.safetensors")
    for ours, theirs in zip(
        jax.tree.leaves(training.critic.variables), jax.tree.leaves(critic.variables), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert json.loads((workdir / "critic.json").read_text())["info"]["updates_of_generator"] == 2


def some_edits(edit, count=4):
    rng = np.random.default_rng(0)
    pictures, targets = rng.integers(0, 256, (2, count, SIZE, SIZE, 3), np.uint8)
    targets[:, :8] = pictures[:, :8]
    before, after = np.zeros((2, count, len(face_reader.OUTPUTS)), np.float32)
    column = {"hair": 1, "Male": 3, "expression": 10, "motion": 22}[edit]
    after[:, column] = 1
    return generator_evaluation.Edits(pictures, targets, before, after, np.zeros((count, 0)))


@pytest.mark.parametrize("edit", ["hair", "Male", "expression", "motion"])
def test_the_target_has_no_error_and_the_picture_itself_has_all_of_it(edit, monkeypatch):
    edits = some_edits(edit)
    outputs = {
        "target": edits.after - 0.5 * (edit in ("hair", "Male")),
        "unchanged": edits.before - 0.5,
    }
    for name, fakes in (("target", edits.targets), ("unchanged", edits.pictures)):
        seen = outputs[name]
        monkeypatch.setattr(face_reader, "read", lambda net, pictures, seen=seen: seen)
        figures = generator_evaluation.compare(edits, fakes, READER, edit)
        assert figures["error"] == (0 if name == "target" else 1)
        assert figures["outside_255"] == 0
        assert figures["present"] == (1 if name == "target" else 0)
        assert figures["sharpness"] == pytest.approx(1, rel=0.2)


def test_blur_reduces_sharpness():
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    blurred = (sharp.astype(float) + np.roll(sharp, 1, 1) + np.roll(sharp, 1, 2)) / 3
    energy = [generator_evaluation.gradient_energy(x.astype(np.uint8)) for x in (sharp, blurred)]
    assert energy[1] < 0.6 * energy[0]


@pytest.mark.slow
def test_a_trained_reader_is_better_than_the_mean(tmp_path):
    pools = [drawn_pairs.Pool("attributes", 2, SIZE, folder=tmp_path)]
    pools[0].fill()
    net = face_reader.new(SIZE, conv_dim=8, layers=3)
    test = face_reader.sample(pools, 24, np.random.default_rng(9))
    before = np.abs(test.labels - test.labels.mean(0))[:, 5:].mean()
    trained = face_reader.train(net, pools, steps=300, batch_size=12, seed=0)
    after = np.abs(face_reader.read(trained, test.pictures) - test.labels)[:, 5:].mean()
    assert after < before
    assert face_reader.accuracy(trained, test)["Male"] > 0.9
