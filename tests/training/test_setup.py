"""From a config to networks: each is loaded once, and refused early if it does not fit."""

import pytest
import tiny_runs as runs

from dfd_jax import models
from dfd_jax.training import setup


@pytest.fixture
def config(tiny_zoo, tmp_path):
    config = runs.tiny_config(tiny_zoo, tmp_path)
    config.evaluate.detectors = (str(tiny_zoo["resnet18"]), str(tiny_zoo["xception"]))
    return config


def test_every_network_of_a_training_is_loaded_once(config, tiny_zoo, monkeypatch):
    loaded, load = [], models.load
    monkeypatch.setattr(
        models, "load", lambda path, *rest: loaded.append(path) or load(path, *rest)
    )
    setup.check(config, setup.opponents(config))
    assert sorted(loaded) == sorted(str(tiny_zoo[n]) for n in ("stargan", "resnet18", "xception"))


def test_detectors_that_only_the_evaluation_uses_are_checked_before_training(config, tiny_zoo):
    config.evaluate.detectors = (str(tiny_zoo["unet"]),)
    with pytest.raises(ValueError, match=r"is a unet, expected a FrozenDetector"):
        setup.check(config, setup.opponents(config))


def test_networks_need_names_of_their_own(config, tiny_zoo, tiny, tmp_path):
    net = tiny("resnet18")
    models.save(tmp_path / "stargan.safetensors", net.variables, net.card)
    config.evaluate.detectors = (str(tmp_path / "stargan.safetensors"),)
    with pytest.raises(ValueError, match=r"share a name: resnet18, stargan, stargan"):
        setup.check(config, setup.opponents(config))


def test_every_generator_needs_a_target_that_it_knows(config):
    generators = setup.generators(config, "float32", frames=1)
    assert setup.targets(config, generators) == ("random",)
    config.condition = "Male, Young"
    with pytest.raises(ValueError, match="names 2 conditions for 1 generators"):
        setup.targets(config, generators)
    config.condition = "Bald"
    with pytest.raises(ValueError, match=r"config.condition, .*stargan.safetensors"):
        setup.targets(config, generators)
