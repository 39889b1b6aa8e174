"""What every shipped network owes its users: a card that says enough, a small file, packaging."""

import fnmatch
import pathlib
import tomllib

import pytest

from dfd_jax import models
from dfd_jax.zoo import __main__ as zoo

NAMES = models.zoo_names()
UNMEASURED = {"stargan"}  # converted from a checkpoint; whoever adds figures removes it here


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_what_it_is_for_from_what_data_and_how_it_was_made(name):
    card = models.load(f"zoo:{name}").card
    info = card.info
    assert info.get("purpose") or info.get("limits")
    assert zoo.trained_on(card) not in ("", zoo.formatting.MISSING)
    if card.source:  # a converted checkpoint: its own training, and which file it was
        assert info["trained_with"]
        assert len(card.source["sha256"]) == 64
    else:
        assert info["command"].startswith("python -m ")
        assert info["commit"]


@pytest.mark.parametrize("name", NAMES)
def test_the_card_has_held_out_figures(name):
    assert (zoo.figures(models.load(f"zoo:{name}").card) == "not measured") == (name in UNMEASURED)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_beside_the_file_is_the_one_inside(name):
    text = (models.ZOO / f"{name}.json").read_text(encoding="utf-8")
    assert text == models.load(f"zoo:{name}").card.to_json() + "\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_generator_says_that_it_exists_to_be_defended_against(name):
    entry = zoo.read(name)
    if entry.role == "generator":
        assert "defended against" in entry.card.info["purpose"]
    else:
        assert entry.card.info["limits"]


def test_a_perturber_was_trained_through_the_very_networks_that_ship():
    checked = 0
    for entry in zoo.entries():
        info = entry.card.info
        for kind in ("generators", "detectors") if entry.role == "perturber" else ():
            assert len(info[kind]) == len(info[f"{kind}_sha256"]) > 0
            for path, digest in zip(info[kind], info[f"{kind}_sha256"], strict=True):
                assert zoo.read(path).card.sha256 == digest, f"{entry.name}: {path} has changed"
                checked += 1
    assert checked


def test_the_zoo_stays_small():
    found = zoo.entries()
    assert [entry.name for entry in found if entry.megabytes > zoo.EACH_MB] == []
    assert sum(path.stat().st_size for path in models.ZOO.iterdir() if path.is_file()) <= (
        zoo.ALL_MB * 1e6
    )
    assert (zoo.ALL_MB, zoo.EACH_MB) == (45, 6)  # what the package promises


def test_the_package_carries_every_file():
    root = pathlib.Path(__file__).parents[2]
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = settings["package-data"]["dfd_jax.zoo"]
    files = [p.name for p in models.ZOO.iterdir() if p.is_file() and p.suffix != ".py"]
    assert len(files) == 2 * len(NAMES)
    for name in files:
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name
