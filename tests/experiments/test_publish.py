"""Publishing a run: results without pictures of people, a perturber that carries its figures."""

import dataclasses
import sys

import evaluations
import pytest

from dfd_jax import models
from dfd_jax.evaluation import results
from experiments import publish


@pytest.fixture
def workdir(tmp_path, monkeypatch, tiny):
    monkeypatch.setattr(publish, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(models, "ZOO", tmp_path / "zoo")
    folder = tmp_path / "run"
    net = tiny("unet")
    models.save(folder / "perturber.safetensors", net.variables, net.card)
    (folder / "grid.png").write_bytes(b"picture")
    return folder


def call(monkeypatch, workdir, evaluation, *options):
    (workdir / "evaluation.json").write_text(results.to_json(evaluation))
    arguments = ["publish", "--workdir", str(workdir), "--name", "it", *options]
    monkeypatch.setattr(sys, "argv", arguments)
    publish.main()


def example_of(source):
    example = evaluations.example()
    photos = dataclasses.replace(example.photos, source=source)
    return dataclasses.replace(example, photos=photos)


def test_the_shipped_perturber_says_how_it_did(workdir, monkeypatch):
    evaluation = evaluations.example()
    call(monkeypatch, workdir, evaluation, "--zoo", "it")
    card = models.load(models.ZOO / "it.safetensors").card
    assert card.info["test"] == publish.headline_figures(evaluation)
    assert 0 <= card.info["test"]["disrupted"] <= 1
    text = (publish.RESULTS / "it.md").read_text()
    assert "precision, recall and F1 under each condition" in text
    assert not (publish.RESULTS / "it.png").exists()


def test_pictures_of_photographs_are_refused(workdir, monkeypatch):
    evaluation = example_of("celeba")
    with pytest.raises(SystemExit):
        call(monkeypatch, workdir, evaluation, "--picture")
    assert not (publish.RESULTS / "it.png").exists()


def test_drawn_faces_may_be_shown(workdir, monkeypatch):
    evaluation = example_of("synthetic")
    call(monkeypatch, workdir, evaluation, "--picture")
    assert (publish.RESULTS / "it.png").read_bytes() == b"picture"
