"""EfficientNets and multi-attentional detectors as projects save them."""

import collections

import numpy as np
import pytest
from checkpoints import CARDS, convert, refusal, save, small_state, torch

from converters import core
from converters.__main__ import CONVERTERS
from dfd_jax import models
from dfd_jax.models.detectors import efficientnet
from dfd_jax.models.frozen import Card

IMAGENET = (0.485, 0.456, 0.406)


def same_weights(net, state):
    flat = models.traverse_util.flatten_dict(net.variables, sep="/")
    assert len(flat) == len(state)
    for name, array in flat.items():
        np.testing.assert_array_equal(array, core.to_flax(np.asarray(state[core.torch_key(name)])))
    return True


def state_of(card):
    """Zeros in the shapes of a PyTorch state dict of the card's network."""
    shapes = models.variable_shapes(card)
    return {core.torch_key(n): np.zeros(core.to_torch_shape(s)) for n, s in shapes.items()}


def multi_attentional_file(state, prefix=""):
    """What the authors' training saves."""
    border = torch.zeros(1, 1, 24, 24)
    border[:, :, 2:-2, 2:-2] = 1
    buffers = {
        "attentions.mask": border,
        "attentions.bn1.num_batches_tracked": torch.tensor(5),
        "auxiliary_loss.feature_centers": torch.ones(2, 6),
        "auxiliary_loss.alpha": torch.tensor(0.03),
        "auxiliary_loss.inner_margin": torch.tensor([0.2, -0.8]),
    }
    keys = {f"{prefix}{key}": value for key, value in {**state, **buffers}.items()}
    return {
        "logs": {"epoch": 19, "ensemble_loss": 0.1},
        "state_dict": collections.OrderedDict(keys),
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 1e-4, "params": []}]},
        "scheduler_state": {"step_size": 5, "gamma": 0.5},
    }


@pytest.mark.parametrize(
    ("prefix", "head", "size", "padding", "mean"),
    [
        ("", "_fc", 224, "running", IMAGENET),
        ("module.", "_fc.1", 224, "running", IMAGENET),
        ("net.", "_fc", 224, "running", (0.0, 0.0, 0.0)),
        ("module.backbone.efficientnet.", "last_layer", 256, "bare_stem", (0.5, 0.5, 0.5)),
    ],
)
def test_efficientnet_files_of_every_project(tmp_path, prefix, head, size, padding, mean):
    state = small_state("efficientnet")
    file = {f"{prefix}{k.replace('_fc', head)}": v for k, v in state.items()}
    if head == "last_layer":  # it sits beside the EfficientNet, not in it
        file = {k.replace("efficientnet.last_layer", "last_layer"): v for k, v in file.items()}
    file[f"{prefix}_bn0.num_batches_tracked"] = torch.tensor(7)
    net = convert("efficientnet", save(file, tmp_path / "w.pth"))
    assert same_weights(net, state)
    assert (net.card.input_size, net.card.hyper["padding"]) == (size, padding)
    assert net.card.input_mean == mean
    assert net.card.real_index == 0


@pytest.mark.parametrize("name", ["b0", "b4"])
def test_a_variant_is_recognised_by_its_sizes(tmp_path, name):
    sizes = efficientnet.variant_sizes(name)
    state = state_of(Card("efficientnet", {**sizes, "num_classes": 1000}, 64))
    _, card = core.convert_state("efficientnet", CONVERTERS["efficientnet"], state, core.Options())
    assert card.hyper == {
        "channels": list(sizes["channels"]),
        "depths": list(sizes["depths"]),
        "nominal_size": sizes["nominal_size"],
        "padding": "running",
        "num_classes": 1000,
    }
    assert (card.input_size, card.real_index) == (sizes["nominal_size"], None)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_training_checkpoints_give_the_network_without_its_training(tmp_path, prefix, zipped):
    state = small_state("multi_attentional")
    net = convert(
        "multi_attentional", save(multi_attentional_file(state, prefix), tmp_path / "c.pth", zipped)
    )
    assert same_weights(net, state)
    expected = {**CARDS["multi_attentional"].hyper, "backbone": "efficientnet"}
    expected |= {"feature_layer": "b2", "attention_layer": "b5", "num_classes": 2}
    assert net.card.hyper == expected
    assert (net.card.input_mean, net.card.input_std) == ((0.5,) * 3, (0.5,) * 3)
    assert net.card.real_index == 0


@pytest.mark.parametrize(
    ("hyper", "size"),
    [
        ({}, 380),
        ({"feature_layer": "b1", "attention_layer": "final", "maps": 6, "mid_dims": 32}, 380),
        ({"backbone": "xception", "feature_layer": "b1"}, 299),
        ({"backbone": "xception", "feature_layer": "b2", "attention_layer": "b12"}, 299),
    ],
)
def test_the_configuration_is_read_off_the_shapes(hyper, size):
    state = state_of(Card("multi_attentional", hyper, 64))
    _, card = core.convert_state(
        "multi_attentional", CONVERTERS["multi_attentional"], state, core.Options()
    )
    usual = {"feature_layer": "b2", "attention_layer": "b5", "maps": 4, "mid_dims": 256}
    assert {**usual, **hyper}.items() <= card.hyper.items()
    assert card.input_size == size


def test_what_would_compute_something_else_is_refused(tmp_path):
    file = multi_attentional_file(small_state("multi_attentional"))
    state = file["state_dict"]
    state["attentions.mask"] = torch.ones(1, 1, 24, 24)
    path = save(file, tmp_path / "mask.pth")
    assert "not the authors' border" in refusal("multi_attentional", path)
    state["texture_enhance.conv0.weight"] = torch.zeros(6, 6, 1, 1)
    path = save(file, tmp_path / "version.pth")
    assert "first version of texture enhancement" in refusal("multi_attentional", path)


def test_every_key_that_is_missing_or_too_many_is_named(tmp_path):
    file = multi_attentional_file(small_state("multi_attentional"))
    state = file["state_dict"]
    del state["net._blocks.0._bn1.bias"], state["attentions.conv_extract.weight"]
    state["center_loss.weight"] = torch.zeros(2)
    message = refusal("multi_attentional", save(file, tmp_path / "w.pth"))
    assert "3 keys do not fit" in message
    assert "missing     net._blocks.0._bn1.bias" in message
    assert "missing     attentions.conv_extract.weight" in message
    assert "unexpected  center_loss.weight" in message
    state["attentions.conv_extract.weight"] = torch.zeros(5, 5, 3, 3)
    message = refusal("multi_attentional", save(file, tmp_path / "v.pth"))
    assert "takes 5 channels" in message
    assert "b1 4" in message


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_logs_that_are_python_objects_get_the_way_to_export_a_state_dict(tmp_path, zipped):
    file = multi_attentional_file(small_state("multi_attentional"))
    file["logs"]["optimizer"] = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    message = refusal("multi_attentional", save(file, tmp_path / "c.pth", zipped))
    assert "holds Python objects (torch.optim.sgd.SGD)" in message
    assert "nothing was executed" in message
    assert "torch.save(model.state_dict(), 'state_dict.pth')" in message
