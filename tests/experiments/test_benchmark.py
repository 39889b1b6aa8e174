"""The benchmark compares equal things, says so when they are not, and writes what it measured."""

import dataclasses
import json

import numpy as np
import pytest
from rich.console import Console
from tiny_networks import tiny_network

from configs import stargan
from dfd_jax import models
from dfd_jax.method import channel
from dfd_jax.method.forward import Opponents

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
benchmark = pytest.importorskip("experiments.benchmark")
networks = pytest.importorskip("experiments.benchmarks.networks")
clip = pytest.importorskip("experiments.benchmarks.clip")
train = pytest.importorskip("experiments.benchmarks.train")
attack = pytest.importorskip("experiments.benchmarks.attack")

SMALL_FOMM = {  # of what the twin reads off the arrays
    "kp_block_expansion": 4,
    "kp_max_features": 16,
    "block_expansion": 4,
    "max_features": 16,
    "num_bottleneck_blocks": 1,
    "motion_block_expansion": 4,
    "motion_max_features": 16,
}


@pytest.fixture
def console():
    return Console(quiet=True)


def calls(ours, theirs, allowed=1e-3):
    return networks.Calls(
        lambda: np.asarray(ours, np.float32),
        {name: lambda value=value: torch.tensor(value) for name, value in theirs.items()},
        allowed,
    )


@pytest.mark.slow
def test_a_run_writes_both_sides_and_their_ratio(tmp_path):
    benchmark.main(
        f"networks --networks resnet18 unet --size 32 --repeats 3 --out {tmp_path}".split()
    )
    result = json.loads((tmp_path / "benchmark_networks.json").read_text())
    forward, gradient, without = result["rows"]
    assert (forward["what"], gradient["what"]) == ("forward", "gradient")
    for row in (forward, gradient):
        assert row["ours"]["min"] <= row["ours"]["median"] <= row["ours"]["max"]
        assert row["ratio"] == row["ours"]["median"] / row["torch"]["median"]
        assert row["difference"] < 1e-4
    assert without == {"network": "unet", "skipped": "no original in PyTorch"}
    text = (tmp_path / "benchmark_networks.md").read_text()
    assert f"{forward['ratio']:.2f}" in text
    assert result["setting"]["torch"] == torch.__version__


def test_a_side_that_computes_something_else_is_no_comparison():
    with pytest.raises(ValueError, match="differ"):
        networks.compare(calls([1.0, 2.0], {"contiguous": [1.0, 2.1]}), 1, 3, "wall")


def test_a_memory_format_with_wrong_numbers_is_never_the_faster_one():
    found = networks.compare(
        calls([1.0, 2.0], {"contiguous": [1.0, 2.0], "channels last": [2.0, 1.0]}), 1, 3, "wall"
    )
    assert found["torch_under"] == "contiguous"
    assert found["differences"]["channels last"] > 0.5


def test_times_are_those_of_one_photo(monkeypatch):
    monkeypatch.setattr(networks.timing, "timed", lambda call, clock: 12.0)
    found = networks.compare(calls([1.0], {"contiguous": [1.0]}), 4, 3, "wall")
    assert found["ours"]["median"] == found["torch"]["median"] == 3.0
    assert found["ratio"] == 1.0


def test_every_network_with_a_converter_has_a_twin():
    from converters.__main__ import CONVERTERS

    families = {name.rstrip("0123456789") for name in networks.CASES}
    assert set(CONVERTERS) <= families | set(networks.CASES)


def test_an_unknown_network_is_refused_with_the_known_ones(console):
    with pytest.raises(ValueError, match="known: stargan"):
        networks.run(benchmark.parse(["networks", "--networks", "stargun"]), console)


def test_without_pytorch_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install"):
        benchmark.main(["networks"])


@pytest.mark.slow
def test_a_converted_reenactment_equals_pytorch_over_a_whole_clip(console):
    found = clip.compare(128, 8, console, **SMALL_FOMM)
    assert found["frames"] == 8
    assert 0 < found["largest"] <= clip.ALLOWED


def test_a_clip_that_differs_is_an_error(console, monkeypatch):
    ours = clip.our_frames
    monkeypatch.setattr(clip, "our_frames", lambda *inputs: ours(*inputs) + 0.001)
    with pytest.raises(ValueError, match="clip: off by"):
        clip.compare(128, 2, console, **SMALL_FOMM)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param({}, id="pixels", marks=pytest.mark.slow),
        pytest.param({"depth": 3, "patch": 4}, id="patches"),
    ],
)
def method(request):
    """Small random networks, whose detector enlarges what it gets."""
    config = stargan.get_config()
    config.data.size = 16
    regions = tuple(channel.CropResize.of_side(side, 16) for side in (16, 24))
    against = Opponents((tiny_network("stargan"),), (tiny_network("resnet18", 32),), regions)
    card = tiny_network("unet").card
    perturber = models.build(dataclasses.replace(card, hyper=card.hyper | request.param))
    return train.Method(config, perturber, against)


def test_a_training_step_is_compared_with_the_same_step(method):
    pair = train.Pair(method, 4)
    assert pair.check()["difference_loss"] < 1e-4
    # and both sides take the same way: Adam, schedule, clipping
    ours, theirs = pair.ours(), pair.theirs(torch.contiguous_format)
    for _ in range(3):
        logged = ours()[1]
        found = theirs()
    assert set(found) == set(logged)
    np.testing.assert_allclose(logged["loss"], found["loss"], rtol=1e-2)
    np.testing.assert_allclose(logged["gradient_norm"], found["gradient_norm"], rtol=0.1)


def test_a_training_step_with_another_weight_of_a_term_is_no_comparison(method, monkeypatch):
    pair, terms = train.Pair(method, 4), train.setup.terms(method.config)
    other = terms._replace(fake=2 * terms.fake)
    monkeypatch.setattr(train.torch_side, "train_step", with_terms(other))
    with pytest.raises(ValueError, match="the two sides differ"):
        pair.check()


def with_terms(terms):
    """PyTorch's training with other weights of Eq. 7."""
    make = train.torch_side.train_step

    def changed(method, layout):
        found = make(method, layout)
        found.terms = terms
        return found

    return changed


def test_an_attack_is_compared_with_the_same_attack(method):
    found = attack.Pair(method, 4).check()
    assert found["difference_gradient"] < 1e-3
    assert found["difference_distance"] < 0.02


def test_speed_up_is_pytorchs_time_over_ours(monkeypatch):
    monkeypatch.setattr(train.timing, "timed", lambda call, clock: call())
    args = benchmark.parse(["train", "--repeats", "1"])
    found = train.compared({"ours": lambda: 20.0, "torch": lambda: 30.0}, args, 4)
    assert found["speedup"] == pytest.approx(1.5)
    assert found["ours"]["median"] == pytest.approx(200.0)  # four photos in 20 ms
