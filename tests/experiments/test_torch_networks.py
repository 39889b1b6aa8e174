"""The PyTorch networks that ours are timed against compute what the original code computed."""

import functools
import json
import sys

import numpy as np
import pytest
from make_golden import REFERENCE

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

networks = pytest.importorskip("experiments.torch_networks")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not REFERENCE.is_dir(), reason="the full recordings (../shared/reference) are not here"
    ),
]


def logits(call, inputs):
    found = call(inputs["x"])
    return found[:, 0].mean(), {"logits": found}


def image(call, inputs):
    found = call(inputs["x"], inputs["c"])
    return found.square().mean(), {"image": found}


def composed(call, inputs):
    colour, attention = call(inputs["x"], inputs["c"])
    fake = attention * inputs["x"] + (1 - attention) * colour
    return fake.square().mean(), {"color": colour, "attention": attention, "composed": fake}


def patches(call, inputs):
    src, cls = call(inputs["x"])
    return src.mean() + cls.square().mean(), {"src": src, "cls": cls}


def keypoints(call, inputs):
    value, jacobian = call(inputs["x"])
    loss = value.square().mean() + jacobian.square().mean()
    return loss, {"value": value, "jacobian": jacobian}


def generated(call, inputs):
    source, driving = (
        networks.Keypoints(inputs[f"kp_{of}_value"], inputs[f"kp_{of}_jacobian"])
        for of in ("source", "driving")
    )
    found = call(inputs["source"], source, driving)
    return found.square().mean(), {"prediction": found}


def animated(call, inputs):
    frames = [inputs[name] for name in ("source", "driving", "driving_initial")]
    found, adapted = call(*frames), call(*frames, adapt_scale=True)
    outputs = {"prediction_relative": found, "prediction_relative_adapt": adapted}
    return found.square().mean(), outputs


CASES = {  # the function, the loss that was recorded, and what precedes our names in its keys
    "stargan": (networks.stargan, image, ""),
    "stargan_discriminator": (networks.stargan_discriminator, patches, ""),
    "ganimation": (networks.ganimation, composed, ""),
    "ganimation_vipermu": (networks.ganimation, composed, ""),
    "resnet18": (networks.resnet, logits, ""),
    "resnet50": (networks.resnet, logits, ""),
    "xception_ffpp": (networks.xception, logits, "model."),
    "xception_dfbench": (networks.xception, logits, "backbone."),
    "mat_efficientnet_b4": (networks.multi_attentional, logits, ""),
    "mat_xception": (
        functools.partial(networks.multi_attentional, feature_layer="b1"),
        logits,
        "",
    ),
    "fomm_kp_detector": (networks.fomm_keypoints, keypoints, ""),
    "fomm_generator": (networks.fomm_generator, generated, ""),
    "fomm_animate": (networks.fomm_animate, animated, ""),
}


def recorded_state(case, prefix, monkeypatch):
    monkeypatch.syspath_prepend(str(REFERENCE.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    weights = pytest.importorskip("weights", reason="the recordings have no weights.py")
    found = {k: a for k, a in weights.state_dict(case).items() if "num_batches" not in k}
    rename = {"last_linear.1": "last_linear"}
    state = {}
    for key, array in found.items():
        name, leaf = key.removeprefix(prefix).replace("/", ".").rsplit(".", 1)
        state[f"{rename.get(name, name)}.{leaf}"] = torch.from_numpy(array)
    return state


def distance(ours, theirs):
    return np.linalg.norm(ours.astype(np.float64) - theirs) / np.linalg.norm(theirs)


def first_image(state, case, theirs, precision):
    """Outputs for the first recorded image, and the gradient of the recorded loss."""
    run, loss, _ = CASES[case]
    state = {name: tensor.to(precision) for name, tensor in state.items()}
    inputs = {
        name.removeprefix("input."): torch.from_numpy(array[:1]).to(precision)
        for name, array in theirs.items()
        if name.startswith("input.")
    }
    moving = next(iter(inputs.values())).requires_grad_()
    value, outputs = loss(functools.partial(run, state), inputs)
    value.backward()
    return {k: v.detach().numpy() for k, v in outputs.items()}, moving.grad.numpy()


@pytest.mark.parametrize("case", CASES)
def test_torch_network_equals_the_original(case, monkeypatch):
    limits = json.loads((REFERENCE / case / "manifest.json").read_text())["tolerance"]
    with np.load(REFERENCE / case / "io.npz") as file:
        theirs = {name: file[name] for name in file.files}
    state = recorded_state(case, CASES[case][2], monkeypatch)
    outputs, gradient = first_image(state, case, theirs, torch.float32)
    for name, found in outputs.items():
        off = np.abs(found - theirs[f"output.{name}"][:1]).max()
        assert off <= limits[f"output.{name}"]["atol"], f"{case} {name}: off by {off:.2g}"
    recorded, limit = theirs["grad_input"], limits["grad_input"]["clean_rel_l2"]
    recorded = recorded[:1] * len(recorded)  # their loss is the mean over the batch
    if distance(gradient, recorded) > limit:
        # The input of a ReLU has rounded to the other side of zero; in float64 none does.
        _, gradient = first_image(state, case, theirs, torch.float64)
    off = distance(gradient, recorded)
    assert off <= limit, f"{case}: gradient off by {off:.2g}"
