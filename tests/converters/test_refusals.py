"""Checkpoint files that do not fit, are damaged or hold code: a clear error, nothing executed."""

import os
import pathlib
import re
import sys

import pytest
from checkpoints import convert, refusal, save, small_state, torch

from converters import reading


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
        ("stargan", ["main.9.main.0.weight", "img_reg.0.weight"], "GANimation.*converters gani"),
        ("stargan", ["kp.weight", "predictor.x"], "First Order Motion Model.*converters fomm"),
        ("xception", ["net._conv_stem.weight"], "EfficientNet.*converters efficientnet"),
        (
            "xception",
            ["net.block1.rep.0.conv1.weight", "texture_enhance.bn1.bias"],
            "multi-attentional detector.*converters multi_attentional",
        ),
        (
            "multi_attentional",
            ["backbone.efficientnet._conv_stem.weight", "attention_generation.bn1.bias"],
            "DeepfakeBench's multi-attentional detector.*no converter yet",
        ),
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
    assert "First Order Motion Model: use `python -m converters fomm`" in message
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


def test_a_discriminator_keeps_its_image_size(tmp_path):
    path = save(small_state("stargan_discriminator"), tmp_path / "w.ckpt")
    assert "works at 16 px only" in refusal("stargan_discriminator", path, "--input-size", "32")
