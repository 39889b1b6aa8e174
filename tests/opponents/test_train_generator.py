"""The generators' training command: from a config to a weights file with an honest card."""

import io
import json
import os
import signal

import jax
import numpy as np
import pytest
from rich.console import Console
from tiny_runs import photo_folder

from configs import generator_ganimation, generator_stargan
from dfd_jax import models, train_generator
from dfd_jax.data import folders, images, landmarks, warps
from dfd_jax.data.expressions import ACTION_UNITS
from dfd_jax.models.frozen import Card
from dfd_jax.opponents import generator_data
from dfd_jax.training import metrics_log

CONFIGS = {"stargan": generator_stargan, "ganimation": generator_ganimation}


def tiny_config(model):
    config = CONFIGS[model].get_config()
    config.generator.hyper = {"conv_dim": 4, "blocks": 1}
    config.critic.hyper = {"conv_dim": 4, "layers": 2}
    config.data.update({"size": 16, "drawn": 16, "count": 16})
    config.train.update({"steps": 4, "batch_size": 8, "critic_updates": 2, "log_every": 2})
    config.train.update({"samples_every": 2, "checkpoint_every": 2})
    config.evaluate.photos = 8
    return config


def run(config, workdir):
    """Train and, unless stopped, finish. Returns whether it finished, and what was printed."""
    console = Console(file=io.StringIO(), width=100)
    held = generator_data.held_out(config, workdir)
    net = train_generator.train(config, workdir, held, console)
    if net is not None:
        train_generator.finish(config, workdir, net, held, console)
    return net is not None, console.file.getvalue()


def weights(workdir):
    return jax.tree.leaves(models.load(workdir / "generator.safetensors").variables)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The workdir of an uninterrupted tiny run."""
    workdir = tmp_path_factory.mktemp("straight")
    finished, _ = run(tiny_config("ganimation"), workdir)
    assert finished
    return workdir


def test_a_run_ends_with_a_loadable_generator_its_card_and_samples(straight):
    net = models.load(straight / "generator.safetensors")
    info = net.card.info
    assert "train_generator" in info["command"]
    assert "defended against" in info["purpose"]
    assert {p.name for p in (straight / "samples").glob("*.png")} == {"000002.png", "000004.png"}
    assert (straight / "samples.png").exists()
    assert [r["step"] for r in metrics_log.read_metrics(straight)] == [2, 4]
    assert json.loads((straight / "generator.json").read_text()) == json.loads(net.card.to_json())


def test_the_card_tells_what_the_file_does(straight):
    net = models.load(straight / "generator.safetensors")
    held = generator_data.held_out(tiny_config("ganimation"), straight)
    assert generator_data.measure(tiny_config("ganimation"), net, held) == net.card.info["test"]


def test_an_interrupted_run_ends_as_if_it_had_not_been(straight, tmp_path, monkeypatch):
    show, stopped = train_generator._show, []

    def interrupting(*arguments):
        if not stopped:
            stopped.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        show(*arguments)

    monkeypatch.setattr(train_generator, "_show", interrupting)
    finished, printed = run(tiny_config("ganimation"), tmp_path)
    assert not finished
    assert "stopped after step 2" in printed
    finished, printed = run(tiny_config("ganimation"), tmp_path)
    assert finished
    assert "continuing from step 2" in printed
    for resumed, whole in zip(weights(tmp_path), weights(straight), strict=True):
        np.testing.assert_array_equal(resumed, whole)


def test_photos_whose_labels_are_not_known_are_refused(tmp_path):
    config = tiny_config("stargan")
    config.data.kind, config.data.root = "folder", str(photo_folder(tmp_path / "photos"))
    with pytest.raises(ValueError, match=r"Black_Hair.* nobody knows"):
        generator_data.held_out(config, tmp_path)


def test_photos_without_action_units_are_warped_by_their_landmarks(tmp_path):
    config = tiny_config("ganimation")
    folder = photo_folder(tmp_path / "photos", count=1)
    config.data.kind, config.data.root = "folder", str(folder)
    source = folders.PhotoFolder(folder, "all", attribute_names=ACTION_UNITS)
    assert generator_data.are_warped(source)
    (photo,) = source
    points = landmarks.in_square(landmarks.canonical(24, 24), images.centre_box(24, 24), 16)
    example = {"images": images.crop_resize(photo.pixels, images.centre_box(24, 24), 16)}
    example |= {"points": points, "attributes": photo.attributes}
    made = generator_data._expression_pair(example, np.random.default_rng(5))
    assert made["attributes"].any()
    assert np.any(made["images"] != example["images"])
    np.testing.assert_array_equal(
        made["images"], warps.express(example["images"], points, made["attributes"])
    )


@pytest.mark.slow
def test_a_folder_without_any_label_trains_a_ganimation(tmp_path):
    config = tiny_config("ganimation")
    config.data.kind, config.data.root = "folder", str(photo_folder(tmp_path / "photos"))
    config.train.steps = config.train.samples_every = 2
    finished, _ = run(config, tmp_path / "run")
    assert finished
    card = models.load(tmp_path / "run" / "generator.safetensors").card
    assert "warped by their landmarks" in card.info["trained_on"]


def test_models_that_are_trained_otherwise_are_refused():
    config = tiny_config("stargan")
    config.generator.model, config.generator.hyper = "unet", {"width": 4, "depth": 2}
    with pytest.raises(ValueError, match="unet"):
        train_generator.method_of(config.generator.model)


def test_training_goes_on_from_a_weights_file_of_the_same_network_only(straight):
    config = tiny_config("ganimation")
    config.generator.start = str(straight / "generator.safetensors")
    net = train_generator.method_of("ganimation").new_training(config).net
    for ours, there in zip(jax.tree.leaves(net.variables), weights(straight), strict=True):
        np.testing.assert_array_equal(ours, there)
    config.generator.hyper.conv_dim = 8
    with pytest.raises(ValueError, match=r"'conv_dim': 4.*but this training wants.*'conv_dim': 8"):
        train_generator.method_of("ganimation").new_training(config)


@pytest.mark.parametrize("model", CONFIGS)
@pytest.mark.parametrize("variant", [None, "photos", "paper"])
def test_every_config_describes_networks(model, variant):
    config = CONFIGS[model].get_config(variant)
    hyper = {**config.generator.hyper.to_dict(), "c_dim": len(config.conditions)}
    card = Card(config.generator.model, hyper, config.data.size)
    assert models.variable_shapes(card)
    critic = {**config.critic.hyper.to_dict(), "c_dim": 5, "image_size": config.data.size}
    assert models.variable_shapes(Card("stargan_discriminator", critic, config.data.size))
    with pytest.raises(ValueError, match=r"no variant 'other'; it has :photos, :paper"):
        CONFIGS[model].get_config("other")
