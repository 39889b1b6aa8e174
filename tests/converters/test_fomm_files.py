"""Files of the First Order Motion Model hold several networks: two are kept, by name."""

import numpy as np
import pytest
from checkpoints import CARDS, convert, refusal, save, small_state, torch

from dfd_jax import models
from dfd_jax.models import warp


def whole_file(factor=4):
    """A checkpoint as the authors' training code saves it, and its kept state dict."""
    state = small_state("fomm")
    parts = {"generator": {}, "kp_detector": {}}
    for key, tensor in state.items():
        part, _, rest = key.partition(".")
        parts[part][rest] = tensor
    window = np.outer(warp.gaussian(factor), warp.gaussian(factor))
    down = torch.from_numpy(np.tile(window, (3, 1, 1, 1))).float()
    parts["kp_detector"]["down.weight"] = down
    parts["generator"]["dense_motion_network.down.weight"] = down
    parts["generator"]["first.norm.num_batches_tracked"] = torch.tensor(3)
    optimizer = {"state": {0: {"step": 5, "exp_avg": torch.zeros(2)}}, "param_groups": []}
    names = ("generator", "discriminator", "kp_detector")
    return {
        **parts,
        "discriminator": {"discs.1.conv.weight_orig": torch.zeros(1, 2, 1, 1)},
        **{f"optimizer_{name}": optimizer for name in names},
        "epoch": 99,
    }, state


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_generator_and_detector_are_kept_and_sizes_are_read_off(tmp_path, prefix, zipped):
    file, state = whole_file()
    for part in ("generator", "kp_detector", "discriminator"):
        file[part] = {prefix + key: tensor for key, tensor in file[part].items()}
    net = convert("fomm", save(file, tmp_path / "vox-cpk.pth.tar", zipped))
    scales = {"kp_scale_factor": 0.25, "motion_scale_factor": 0.25}
    assert (CARDS["fomm"].hyper | scales).items() <= net.card.hyper.items()
    assert net.card.input_size == 256
    assert (net.card.input_mean, net.card.input_std) == ((0.0,) * 3, (1.0,) * 3)
    assert net.card.condition == ()
    ours = net.variables["params"]["generator"]["bottleneck.r0"]["conv2"]["kernel"]
    theirs = state["generator.bottleneck.r0.conv2.weight"]
    np.testing.assert_array_equal(ours, theirs.permute(2, 3, 1, 0))
    assert set(models.variable_shapes(net.card)) == set(models.variable_shapes(CARDS["fomm"]))


def test_the_sampling_of_old_weights_is_said_on_the_command_line_and_kept_on_the_card(tmp_path):
    file, _ = whole_file()
    path = save(file, tmp_path / "vox-cpk.pth.tar")
    assert convert("fomm", path).module.align_corners is False
    old = convert("fomm", path, "--align-corners")
    assert old.module.align_corners is True
    assert old.card.hyper["align_corners"] is True


def test_a_network_that_does_not_sample_has_no_sampling_to_choose(tmp_path):
    path = save(small_state("stargan"), tmp_path / "200000-G.ckpt")
    assert "a stargan does not sample" in refusal("stargan", path, "--align-corners")


def test_optional_heads_are_read_off_the_file(tmp_path):
    file, _ = whole_file()
    for part, head in [
        ("kp_detector", "jacobian"),
        ("generator", "dense_motion_network.occlusion"),
    ]:
        del file[part][f"{head}.weight"], file[part][f"{head}.bias"]
    hyper = convert("fomm", save(file, tmp_path / "a.tar")).card.hyper
    assert (hyper["estimate_jacobian"], hyper["estimate_occlusion_map"]) == (False, False)
    file, _ = whole_file()
    for leaf in ("weight", "bias"):
        file["kp_detector"][f"jacobian.{leaf}"] = file["kp_detector"][f"jacobian.{leaf}"][:4]
    hyper = convert("fomm", save(file, tmp_path / "b.tar")).card.hyper
    assert (hyper["estimate_jacobian"], hyper["single_jacobian_map"]) == (True, True)


def test_an_unknown_entry_or_a_missing_network_is_named(tmp_path):
    file, _ = whole_file()
    message = refusal("fomm", save({**file, "he_estimator": {}}, tmp_path / "x.tar"))
    assert "unknown: he_estimator" in message
    del file["kp_detector"]
    assert "missing: kp_detector" in refusal("fomm", save(file, tmp_path / "y.tar"))


def test_keys_that_do_not_fit_are_listed_with_their_networks(tmp_path):
    file, _ = whole_file()
    del file["generator"]["final.bias"]
    file["kp_detector"]["extra.weight"] = torch.zeros(2)
    message = refusal("fomm", save(file, tmp_path / "x.tar"))
    assert "missing     generator.final.bias (3,)" in message
    assert "unexpected  kp_detector.extra.weight (2,)" in message


def test_another_smoothing_than_the_authors_is_refused(tmp_path):
    file, _ = whole_file()
    file["kp_detector"]["down.weight"] = torch.ones(3, 1, 13, 13) / 169
    message = refusal("fomm", save(file, tmp_path / "x.tar"))
    assert "kp_detector.down.weight" in message
    assert "not the Gaussian" in message


def test_files_of_other_networks_are_named(tmp_path):
    path = save(small_state("resnet"), tmp_path / "r.pth")
    assert "looks like a ResNet" in refusal("fomm", path)
    only = {k: v for k, v in small_state("fomm").items() if k.startswith("generator.")}
    message = refusal("fomm", save(only, tmp_path / "g.pth"))
    assert "missing     kp_detector.kp.weight" in message
