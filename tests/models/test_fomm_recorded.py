"""Beyond test_parity.py: the settings of older PyTorch, and the way from frames to fakes."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import seeded_weights
from fomm_recordings import recorded_points
from make_golden import REFERENCE, cut

from converters import core, fomm
from dfd_jax import models

pytestmark = pytest.mark.slow  # a network of the published size


@pytest.fixture(scope="module")
def net():
    state = seeded_weights.state_dict("fomm_generator")
    variables, card = core.convert_state("fomm", fomm.FOMM, state, core.Options())
    model = models.MODELS[card.model]
    card = dataclasses.replace(card, input_size=128)
    return model.frozen(jax.device_put(variables), model.module(**card.hyper), card)


def recorded(path, kind):
    with np.load(path) as file:
        names = [name for name in file.files if name.startswith(kind)]
        return {n.removeprefix(kind): file[n] for n in names}


def assert_within(ours, theirs, limits):
    ours = np.moveaxis(np.asarray(ours, np.float64), -1, 1) if theirs.ndim == 4 else ours
    assert np.abs(ours - theirs).max() <= limits["atol"]
    assert np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) <= limits["rel_l2"]


def test_aligned_corners_compute_what_older_pytorch_did(net):
    golden = seeded_weights.GOLDEN / "fomm_generator.npz"
    inputs = recorded(golden, "input.")
    points = [recorded_points(inputs, name) for name in ("driving", "source")]
    photo = inputs["source"].transpose(0, 2, 3, 1)
    module = net.module.clone(align_corners=True)
    with jax.default_matmul_precision("highest"):
        ours = jax.jit(module.apply)(net.variables, photo, *points)
    name = "output.prediction_align_corners_true"
    ours = cut(name, np.moveaxis(np.asarray(ours), -1, 1), 1).transpose(0, 2, 3, 1)
    limits = seeded_weights.facts("fomm_generator")["tolerance"][name]
    assert_within(ours, recorded(golden, "output.")["prediction_align_corners_true"], limits)


@pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the full recordings (../shared/reference) are not here"
)
@pytest.mark.parametrize("is_adapted", [False, True], ids=["relative", "adapted scale"])
def test_frames_in_and_fakes_out_equal_the_original(net, is_adapted):
    folder = REFERENCE / "fomm_animate"
    inputs, outputs = (recorded(folder / "io.npz", kind) for kind in ("input.", "output."))
    photo, first, frame = (
        2 * inputs[name].transpose(0, 2, 3, 1) - 1
        for name in ("source", "driving_initial", "driving")
    )
    net = dataclasses.replace(net, module=net.module.clone(adapt_movement_scale=is_adapted))
    net = net.with_motions({"recorded": np.concatenate([first, frame])}, 1)
    limits = json.loads((folder / "manifest.json").read_text())["tolerance"]
    for number, name in enumerate(("kp_driving_initial", "kp_driving")):
        for part, found in net.clips.points._asdict().items():
            key = f"{name}_{part}"
            np.testing.assert_allclose(found[0, number], outputs[key][0], atol=2e-5, err_msg=key)
    condition = net.test_condition(np.zeros((1, 0)), "recorded")  # of two frames the second
    with jax.default_matmul_precision("highest"):
        fakes = jax.jit(lambda net, photo, c: net(photo, c))(net, jnp.asarray(photo), condition)
    name = "prediction_relative_adapt" if is_adapted else "prediction_relative"
    assert_within((fakes + 1) / 2, outputs[name], limits[f"output.{name}"])
