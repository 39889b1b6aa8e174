"""PyTorch checkpoint files of every project become our weights files, with nothing lost."""

import hashlib
import importlib
import json

import jax
import numpy as np
import pytest
import seeded_weights
from checkpoints import CARDS, convert, save, small_state, torch
from make_golden import CASES, REFERENCE
from safetensors.numpy import load_file

from converters import __main__ as cli
from converters import core
from dfd_jax import models
from dfd_jax.models.frozen import Card


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


def test_the_command_line_reports_what_it_wrote_and_checks_its_arguments(tmp_path, capsys):
    path = save(small_state("stargan"), tmp_path / "w.ckpt")
    line = cli.main(["stargan", str(path), str(tmp_path / "g.safetensors")])
    assert line.startswith(f"wrote {tmp_path / 'g.safetensors'} (")
    assert "stargan, conv_dim 4, c_dim 5, blocks 2; input 128 px; condition Black_Hair" in line
    for wrong, word in [("g.npz", "safetensors"), ("g.safetensors --input-size 0", "positive")]:
        with pytest.raises(SystemExit):
            cli.main(["stargan", str(path), *wrong.split()])
        assert word in capsys.readouterr().err


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the full recordings (../shared) are not here")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "kind", "prefix", "legacy"),
    [
        ("stargan", "legacy", "", True),
        ("stargan", "zip", "module.", False),
        ("ganimation", "legacy", "", True),
        ("ganimation", "zip", "module.", False),
        ("ganimation_vipermu", "legacy", "module.", False),
        ("resnet18", "legacy", "module.", False),
        ("xception_ffpp", "legacy", "", False),
        ("xception_dfbench", "zip", "module.", False),
        ("fomm_generator", "legacy", "", True),
        ("fomm_animate", "zip", "module.", False),
        ("mat_efficientnet_b4", "zip", "", False),
        ("mat_xception", "legacy", "module.", True),
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
