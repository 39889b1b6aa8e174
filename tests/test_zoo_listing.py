"""`python -m dfd_jax.zoo`: every shipped network, with what its card says of it."""

import hashlib

import pytest

from dfd_jax import models
from dfd_jax.zoo import __main__ as zoo


def test_every_network_is_listed_with_its_role_and_figures(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    zoo.main([])
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert set(lines) == set(models.zoo_names())
    assert "generator" in lines["stargan"]
    auc = models.load("zoo:xception").card.info["test"]["photos"]["auc"]
    assert f"AUC {auc:.3f}" in lines["xception"]
    assert "disrupted" in lines["disrupter_stargan"]


def test_a_name_shows_its_card_and_checksum(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    zoo.main(["zoo:resnet18"])
    printed = capsys.readouterr().out
    content = (models.ZOO / "resnet18.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() in printed
    assert "real_index" in printed


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="stargan, xception"):
        zoo.main(["mona_lisa"])


def test_the_zoo_stays_small():
    sizes = [path.stat().st_size for path in models.ZOO.iterdir() if path.is_file()]
    assert max(sizes) <= 6e6
    assert sum(sizes) <= 40e6
