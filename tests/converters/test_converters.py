"""PyTorch checkpoint files become our weights files, or a clear error, and are never executed."""

import collections
import hashlib
import importlib
import json
import os
import pathlib
import re
import sys

import jax
import numpy as np
import pytest
import seeded_weights
from make_golden import CASES, REFERENCE
from safetensors.numpy import load_file

from converters import __main__ as cli
from converters import core, reading
from dfd_jax import models
from dfd_jax.models.frozen import Card

torch = pytest.importorskip("torch", reason="PyTorch, which reads checkpoints, is not installed")

XCEPTION = {"channels": [4, 6, 8, 10, 12, 14, 16, 18], "middle_blocks": 2, "num_classes": 2}
CARDS = {
    "stargan": Card("stargan", {"conv_dim": 4, "c_dim": 5, "blocks": 2}, 128),
    "stargan_discriminator": Card(
        "stargan_discriminator", {"image_size": 16, "conv_dim": 4, "c_dim": 3, "layers": 3}, 16
    ),
    "resnet": Card("resnet18", {"stage_sizes": [1, 2, 1, 1], "width": 4, "num_classes": 2}, 224),
    "xception": Card("xception", XCEPTION, 299),
}


def small_state(name):
    """A small PyTorch state dict of the network, with weights that depend on every key."""
    shapes = models.variable_shapes(CARDS[name])
    rng = np.random.default_rng(0)
    return collections.OrderedDict(
        (core.torch_key(n), torch.from_numpy(rng.normal(size=core.to_torch_shape(s))).float())
        for n, s in shapes.items()
    )


def save(content, path, zipped=True):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def convert(name, path, *options):
    """Run the command line; the network it wrote."""
    out = path.with_suffix(".safetensors")
    cli.main([name, str(path), str(out), *options])
    return models.load(out)


def refusal(name, path, *options):
    """What the command line says when it refuses; nothing must have been written."""
    with pytest.raises(ValueError, match=r".") as caught:
        convert(name, path, *options)
    assert not path.with_suffix(".safetensors").exists()
    assert not path.with_suffix(".json").exists()
    return str(caught.value)


def assert_same_weights(net, state):
    """Every array of the network is the one of the state dict, in our layout."""
    flat = {k: np.asarray(v) for k, v in _flatten(net.variables).items()}
    assert len(flat) == len(state)
    for name, array in flat.items():
        theirs = np.asarray(state[core.torch_key(name)])
        theirs = theirs.transpose(2, 3, 1, 0) if theirs.ndim == 4 else theirs.T
        np.testing.assert_array_equal(array, theirs)


def _flatten(tree):
    return {
        "/".join(key.key for key in path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", CARDS)
def test_both_containers_give_the_weights_and_sizes_in_the_file(tmp_path, name, zipped):
    state = small_state(name)
    net = convert(name, save(state, tmp_path / "w.pth", zipped))
    assert_same_weights(net, state)
    assert CARDS[name].hyper.items() <= net.card.hyper.items()
    assert net.card.model == CARDS[name].model
    assert net.card.input_size == CARDS[name].input_size


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {}},
        lambda state: {"epoch": 1, "net": {"state_dict": state}},
        lambda state: {f"module.{k}": v for k, v in state.items()},
        lambda state: {k: v.double() for k, v in state.items()},
        lambda state: {k: torch.nn.Parameter(v) for k, v in state.items()},
    ],
    ids=["state_dict", "model", "nested", "DataParallel", "double", "parameters"],
)
def test_wrappers_are_taken_off(tmp_path, wrap):
    state = small_state("resnet")
    net = convert("resnet", save(wrap(state), tmp_path / "w.pth"))
    assert_same_weights(net, state)


@pytest.mark.parametrize(
    ("prefix", "head", "size", "dropout"),
    [
        ("", "last_linear", 299, 0.0),
        ("", "fc", 299, 0.0),
        ("model.", "last_linear.1", 299, 0.5),
        ("module.model.", "last_linear", 299, 0.0),
        ("backbone.", "last_linear", 256, 0.0),
        ("module.backbone.", "last_linear.1", 256, 0.5),
    ],
)
def test_xception_files_of_every_project(tmp_path, prefix, head, size, dropout):
    state = small_state("xception")
    file = {prefix + k.replace("last_linear", head): v for k, v in state.items()}
    file[f"{prefix}bn1.num_batches_tracked"] = torch.tensor(7)
    file[f"{prefix}adjust_channel.0.weight"] = torch.zeros(2, 2, 1, 1)
    file[f"{prefix}conv3.pointwise.weight"] = state["conv3.pointwise.weight"][:, :, 0, 0]
    net = convert("xception", save(file, tmp_path / "w.p"))
    assert_same_weights(net, state)
    assert (net.card.input_size, net.card.hyper["dropout"]) == (size, dropout)
    assert (net.card.input_mean, net.card.input_std) == ((0.5,) * 3, (0.5,) * 3)
    assert net.card.real_index == 0


def test_resnet_heads(tmp_path):
    state = small_state("resnet")
    replaced = {k.replace("fc.", "fc.1."): v for k, v in state.items()}
    assert convert("resnet", save(replaced, tmp_path / "a.pth")).card.real_index == 0
    state["fc.weight"], state["fc.bias"] = torch.zeros(1000, 32), torch.zeros(1000)
    path = save(state, tmp_path / "b.pth")
    net = convert("resnet", path)
    assert net.card.hyper["num_classes"] == 1000
    assert net.card.real_index is None
    assert net.card.input_mean == (0.485, 0.456, 0.406)
    with pytest.raises(ValueError, match="real_index"):
        net(np.zeros((1, 32, 32, 3), np.float32))
    with pytest.raises(ValueError, match="1000 classes"):
        convert("resnet", path, "--real-index", "1")


def test_bottlenecks_are_recognised(tmp_path):
    card = Card("resnet50", {"stage_sizes": [1, 1, 2, 1], "width": 4, "num_classes": 2}, 224)
    shapes = models.variable_shapes(card)
    state = {core.torch_key(n): torch.zeros(core.to_torch_shape(s)) for n, s in shapes.items()}
    net = convert("resnet", save(state, tmp_path / "w.pth"))
    assert net.card.model == "resnet50"
    assert net.card.hyper["stage_sizes"] == [1, 1, 2, 1]


def test_stored_statistics_of_stargans_norms_are_left_out(tmp_path):
    state = small_state("stargan")
    file = dict(
        state, **{"main.1.running_mean": torch.ones(4), "main.1.running_var": torch.ones(4)}
    )
    assert_same_weights(convert("stargan", save(file, tmp_path / "w.ckpt")), state)


def test_the_card_says_where_the_weights_came_from_and_what_was_asked(tmp_path):
    path = save(small_state("stargan"), tmp_path / "200000-G.ckpt")
    names = ["Bangs", "Eyeglasses", "Male", "Smiling", "Young"]
    net = convert(
        "stargan", path, "--input-size", "64", "--condition", *names, "--info", "limits=a = b"
    )
    assert (net.card.input_size, net.card.condition) == (64, tuple(names))
    assert net.card.info == {"limits": "a = b"}
    assert net.card.source == {
        "file": "200000-G.ckpt",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "converter": "stargan",
        "converter_version": core.VERSION,
    }
    written = json.loads(path.with_suffix(".json").read_text())
    assert written == json.loads(net.card.to_json())


def test_condition_names_default_to_the_authors_five_or_numbers(tmp_path):
    five = convert("stargan", save(small_state("stargan"), tmp_path / "five.ckpt"))
    assert five.card.condition == ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
    state = small_state("stargan")
    state["main.0.weight"] = state["main.0.weight"][:, :5]
    path = save(state, tmp_path / "two.ckpt")
    assert convert("stargan", path).card.condition == ("label_0", "label_1")
    with pytest.raises(ValueError, match="3 names given, the network has 2"):
        convert("stargan", path, "--condition", "a", "b", "c")


def test_half_precision_halves_the_file_and_changes_little(tmp_path):
    state = small_state("resnet")
    path = save(state, tmp_path / "w.pth")
    full = convert("resnet", path)
    size = path.with_suffix(".safetensors").stat().st_size
    half = convert("resnet", path, "--float16")
    assert path.with_suffix(".safetensors").stat().st_size < 0.6 * size
    stored = load_file(path.with_suffix(".safetensors"))
    assert {array.dtype for array in stored.values()} == {np.dtype(np.float16)}
    for a, b in zip(jax.tree.leaves(full.variables), jax.tree.leaves(half.variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


def test_one_error_lists_every_key_that_does_not_fit_in_the_files_own_names(tmp_path):
    state = small_state("xception")
    file = {f"backbone.{k}": v for k, v in state.items()}
    del file["backbone.bn3.running_var"], file["backbone.conv3.conv1.weight"]
    file["backbone.extra.weight"] = torch.zeros(3)
    file["backbone.bn4.bias"] = torch.zeros(5)
    message = refusal("xception", save(file, tmp_path / "w.pth"))
    assert "4 keys do not fit" in message
    assert "missing     backbone.bn3.running_var (16,)" in message
    assert "missing     backbone.conv3.conv1.weight (14, 1, 3, 3)" in message
    assert "unexpected  backbone.extra.weight (3,)" in message
    assert "misshapen   backbone.bn4.bias: found (5,), expected (18,)" in message


def test_two_heads_in_one_file_are_refused(tmp_path):
    state = small_state("xception")
    file = dict(state, **{"fc.weight": state["last_linear.weight"]})
    assert "two keys for the same array" in refusal("xception", save(file, tmp_path / "w.pth"))


@pytest.mark.parametrize(
    ("asked", "keys", "words"),
    [
        (
            "resnet",
            ["main.9.main.0.weight", "main.0.weight"],
            "StarGAN generator.*converters starg",
        ),
        ("stargan", ["layer1.0.conv1.weight", "conv1.weight"], "ResNet.*converters resnet"),
        ("stargan", ["main.0.weight", "main.2.bias"], "StarGAN discriminator"),
        ("resnet", ["model.block1.rep.0.conv1.weight"], "Xception.*converters xception"),
        ("stargan", ["main.9.main.0.weight", "img_reg.0.weight"], "GANimation.*no converter yet"),
        ("xception", ["net._conv_stem.weight"], "EfficientNet.*no converter yet"),
        ("xception", ["encoder.weight", "decoder.weight"], "its keys begin with encoder.weight"),
    ],
)
def test_a_file_of_another_network_is_named(tmp_path, asked, keys, words):
    path = save({key: torch.zeros(2) for key in keys}, tmp_path / "w.pth")
    message = refusal(asked, path)
    assert f"not a {asked} checkpoint" in message
    assert re.search(words, message)


def test_files_without_a_state_dict_are_explained(tmp_path):
    whole = {"generator": {"a": torch.zeros(1)}, "kp_detector": {"b": torch.zeros(1)}}
    message = refusal("stargan", save(whole, tmp_path / "vox.pth"))
    assert "no tensors at the top level" in message
    assert "First Order Motion Model" in message
    assert "holds a list" in refusal("stargan", save([torch.zeros(1)], tmp_path / "l.pth"))
    diverged = small_state("resnet")
    diverged["bn1.bias"][2] = float("nan")
    assert "NaN or infinity in bn1.bias" in refusal("resnet", save(diverged, tmp_path / "n.pth"))


class Malicious:
    """Unpickling this creates a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(self.target),)


class MaliciousCommand(Malicious):
    """Unpickling this runs a shell command."""

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("evil", [Malicious, MaliciousCommand])
def test_code_in_a_file_is_refused_and_not_executed(tmp_path, evil, zipped):
    target = tmp_path / "executed"
    content = dict(small_state("resnet"), payload=evil(target))
    path = save(content, tmp_path / "w.pth", zipped)
    message = refusal("resnet", path)
    assert not target.exists()
    assert "nothing was executed" in message
    assert "weights_only=True" not in message  # torch's own advice on how to open it anyway
    torch.load(path, weights_only=False)
    assert target.exists(), "the file was harmless, so this test showed nothing"


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_whole_pickled_model_is_refused_with_the_way_to_export_it(tmp_path, zipped):
    path = save(torch.nn.Sequential(torch.nn.Linear(2, 2)), tmp_path / "model.p", zipped)
    message = refusal("xception", path)
    assert "holds Python objects (torch.nn.modules.container.Sequential)" in message
    assert "model.state_dict()" in message


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, zipped):
    state = {"conv1.weight": torch.zeros(4, 3, 7, 7), "bn1.bias": torch.zeros(4)}
    content = save(state, tmp_path / "whole.pth", zipped).read_bytes()
    path = tmp_path / "part.pth"
    for end in [*range(0, 600, 7), *range(600, len(content) - 1, 211)]:
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match="not a readable PyTorch checkpoint"):
            reading.read_state(path)


def test_other_files_and_missing_ones_are_named(tmp_path):
    text = tmp_path / "notes.pth"
    text.write_text("# not a checkpoint\n")
    assert "not a readable PyTorch checkpoint" in refusal("resnet", text)
    with pytest.raises(FileNotFoundError, match=r"absent\.pth: no such checkpoint file"):
        convert("resnet", tmp_path / "absent.pth")


def test_without_torch_the_error_says_what_to_install(tmp_path, monkeypatch):
    path = save(small_state("resnet"), tmp_path / "w.pth")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'dfd-jax\[convert\]'"):
        convert("resnet", path)


def test_the_command_line_reports_what_it_wrote_and_checks_its_arguments(tmp_path, capsys):
    path = save(small_state("stargan"), tmp_path / "w.ckpt")
    line = cli.main(["stargan", str(path), str(tmp_path / "g.safetensors")])
    assert line.startswith(f"wrote {tmp_path / 'g.safetensors'} (")
    assert "stargan, conv_dim 4, c_dim 5, blocks 2; input 128 px; condition Black_Hair" in line
    for wrong, word in [("g.npz", "safetensors"), ("g.safetensors --input-size 0", "positive")]:
        with pytest.raises(SystemExit):
            cli.main(["stargan", str(path), *wrong.split()])
        assert word in capsys.readouterr().err


def test_a_discriminator_keeps_its_image_size(tmp_path):
    path = save(small_state("stargan_discriminator"), tmp_path / "w.ckpt")
    assert "works at 16 px only" in refusal("stargan_discriminator", path, "--input-size", "32")


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the full recordings (../shared) are not here")
@pytest.mark.parametrize(
    ("case", "kind", "prefix", "legacy"),
    [
        ("stargan", "legacy", "", True),
        ("stargan", "zip", "module.", False),
        ("resnet18", "legacy", "module.", False),
        ("xception_ffpp", "legacy", "", False),
        ("xception_dfbench", "zip", "module.", False),
    ],
)
def test_genuine_checkpoint_files_give_the_weights_of_the_parity_proof(
    tmp_path, monkeypatch, case, kind, prefix, legacy
):
    monkeypatch.syspath_prepend(REFERENCE.parent)
    path = tmp_path / "w.pth"
    importlib.import_module("weights").save_checkpoint(
        case, path, legacy=legacy, prefix=prefix, location="cuda:0", file_format=kind
    )
    net = convert(CASES[case], path)
    state = seeded_weights.state_dict(case)  # what test_parity.py compares with the original
    variables, _ = core.convert_state(
        CASES[case], cli.CONVERTERS[CASES[case]], state, core.Options()
    )
    ours, proven = _flatten(net.variables), _flatten(variables)
    assert ours.keys() == proven.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, proven[name])
