"""The converted networks compute what the original PyTorch code computes.

Judged by golden arrays: what the authors' own code gave for known weights and images (tests/golden,
cut from full recordings by make_golden.py). Where the full recordings are at hand, every pixel and
the intermediates are compared as well.
"""

import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import fomm_recordings
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import seeded_weights
from make_golden import REFERENCE, cut

from converters import core
from converters.__main__ import CONVERTERS
from dfd_jax import models
from dfd_jax.models.generators import ganimation

Call = Callable[..., Any]  # the network's forward on its raw inputs
Inputs = dict[str, Any]  # the recorded inputs by their names, NHWC


def image_loss(call: Call, inputs: Inputs) -> tuple[Any, dict[str, Any]]:
    image = call(inputs["x"], inputs["c"])
    return jnp.mean(image**2), {"image": image}


def composed_loss(call: Call, inputs: Inputs) -> tuple[Any, dict[str, Any]]:
    colour, attention = call(inputs["x"], inputs["c"])
    composed = ganimation.compose(inputs["x"], colour, attention)
    saturated = ganimation.saturated(attention)
    return jnp.mean(composed**2), {
        "color": colour,
        "attention": attention,
        "composed": composed,
        "attention_saturated": saturated,
        "composed_saturated": ganimation.compose(inputs["x"], colour, saturated),
    }


def patch_loss(call: Call, inputs: Inputs) -> tuple[Any, dict[str, Any]]:
    src, cls = call(inputs["x"])
    return jnp.mean(src) + jnp.mean(cls**2), {"src": src, "cls": cls}


def logits_loss(call: Call, inputs: Inputs) -> tuple[Any, dict[str, Any]]:
    logits = call(inputs["x"])
    return jnp.mean(logits[:, 0]), {"logits": logits, "prob": jax.nn.softmax(logits)}


class Case(NamedTuple):
    """A recording: the network in our table, where its intermediates are found, its loss.

    `loss` gives the scalar that was differentiated and the outputs under the recording's names.
    `differentiated` are the inputs whose gradients were recorded: the first as grad_input, another
    as grad_NAME.
    """

    model: str
    mids: dict[str, str]
    loss: Callable[[Call, Inputs], tuple[Any, dict[str, Any]]] = logits_loss
    differentiated: tuple[str, ...] = ("x",)
    in_float64: bool = False  # its gradient is compared in float64, see there


GANIMATION = Case(
    "ganimation",
    {"main_0": "main.0/__call__", "main_8": "encoded", "main": "features"},
    composed_loss,
    in_float64=True,
)
RESNET = {
    "conv1": "conv1/__call__",
    "maxpool": "maxpool",
    "layer2": "layer2",
    "layer4": "layer4",
    "avgpool": "avgpool",
}
MULTI_ATTENTIONAL = {
    "attentions": "attentions/__call__",
    "backbone_final": "final",
    "texture_features": "texture_enhance/textures",
    "texture_features_pooled": "texture_enhance/coarse",
    "feature_matrix": "feature_matrix",
    "final_pooled": "final_pooled",
    "projection_local": "projection_local.2/__call__",
    "project_final": "project_final/__call__",
}
CASES = {
    "stargan": Case(
        "stargan",
        {"main_0": "main.0/__call__", "main_8": "encoded", "main_14": "transformed"},
        image_loss,
        in_float64=True,
    ),
    "stargan_discriminator": Case(
        "stargan_discriminator",
        {name: name for name in ("main_1", "main_5", "main_11")},
        patch_loss,
    ),
    "ganimation": GANIMATION,
    "ganimation_vipermu": GANIMATION,
    "resnet18": Case("resnet18", RESNET),
    "resnet50": Case("resnet50", RESNET),
    "xception_ffpp": Case(
        "xception",
        {
            "model_conv2": "conv2/__call__",
            "model_block3": "b3",
            "model_block12": "b12",
            "model_bn4": "bn4/__call__",
        },
    ),
    "xception_dfbench": Case(
        "xception",
        {
            "backbone_conv2": "conv2/__call__",
            "backbone_block3": "b3",
            "backbone_block12": "b12",
            "features_before_classifier": "bn4/__call__",
            "features_after_classifier": "final",
        },
    ),
    "fomm_kp_detector": Case("fomm", fomm_recordings.DETECTOR, fomm_recordings.keypoint_loss),
    "fomm_generator": Case(
        "fomm",
        fomm_recordings.GENERATOR,
        fomm_recordings.moved_loss,
        ("source", "kp_driving_value"),
    ),
    "fomm_animate": Case("fomm", {}, fomm_recordings.animated_loss, ("source",)),
    "mat_efficientnet_b4": Case(
        "multi_attentional",
        {**MULTI_ATTENTIONAL, "backbone_b2": "features", "backbone_b5": "deep_features"},
    ),
    "mat_xception": Case(
        "multi_attentional",
        {
            **MULTI_ATTENTIONAL,
            "backbone_b1": "features",
            "backbone_b5": "deep_features",
            "backbone_final_before_relu": "net/bn4/__call__",
        },
    ),
}
SECOND = (  # parts of networks that another case compares too: in the slow run
    *("ganimation_vipermu", "resnet50", "xception_dfbench", "stargan_discriminator"),
    *("fomm_animate", "fomm_generator", "mat_efficientnet_b4", "mat_xception"),
)
EACH = [pytest.param(c, marks=pytest.mark.slow) if c in SECOND else c for c in CASES]
NO_RECORDING = {  # models without a recording of their own, and why
    "efficientnet": "its stages are compared in mat_efficientnet_b4, the rest in test_efficientnet",
    "unet": "a perturber of this project, never converted",
    "resnet_perturber": "a perturber of this project, never converted",
}
ROUNDING = 2e-7  # of an image value near 1, in float32
NUDGES = 8
OTHER_SETTINGS = ("_eval_mode", "_align_corners_true")  # how recordings of mistakes and such end
needs_recordings = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the full recordings (../shared/reference) are not here"
)


@functools.cache
def network(case):
    """The case's network, converted from its rebuilt PyTorch state dict."""
    owner = seeded_weights.facts(case).get("state_of", case)
    if owner != case:
        return network(owner)
    name = seeded_weights.facts(case)["converter"]
    state = seeded_weights.state_dict(case)
    variables, card = core.convert_state(name, CONVERTERS[name], state, core.Options())
    hyper = {k: tuple(v) if isinstance(v, list) else v for k, v in card.hyper.items()}
    hyper |= {"dropout": 0.0} if "dropout" in hyper else {}  # one compilation for both Xceptions
    module = models.MODELS[card.model].module(**hyper)
    return models.MODELS[card.model].frozen(variables, module, card)


def recorded(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@functools.partial(jax.jit, static_argnames=("module", "loss", "differentiated"))
def _run(inputs: Inputs, variables: Any, *, module: Any, loss: Any, differentiated: Any) -> Any:
    """Outputs, intermediates and the gradients of the recorded loss."""

    def recorded_loss(moved: Inputs) -> tuple[Any, tuple[Any, Any]]:
        mids: dict[str, Any] = {}

        def call(*args: Any, **kwargs: Any) -> Any:
            captured = {"capture_intermediates": True, "mutable": ["intermediates"]}
            outputs, state = module.apply(variables, *args, **kwargs, **captured)
            mids.update(state.get("intermediates", {}))
            return outputs

        value, outputs = loss(call, {**inputs, **moved})
        return value, (outputs, mids)

    moved = {name: inputs[name] for name in differentiated}
    gradients, (outputs, mids) = jax.grad(recorded_loss, has_aux=True)(moved)
    return outputs, mids, gradients


@functools.cache
def our_results(case, index, precision="float32", nudge=0):
    """What our network gives for one recorded image, under the recording's names, NCHW.

    A `nudge` other than 0 seeds noise of the size of float32 rounding, added to the image.
    """
    source = REFERENCE / case / "io.npz" if index else seeded_weights.GOLDEN / f"{case}.npz"
    arrays = {k: v[index : index + 1] for k, v in recorded(source).items() if "input." in k}
    net, known = network(case), CASES[case]
    with jax.enable_x64(precision == "float64"), jax.default_matmul_precision("highest"):
        inputs = {
            k.removeprefix("input."): jnp.asarray(_nhwc(k, a), precision) for k, a in arrays.items()
        }
        moving = known.differentiated[0]
        noise = np.random.default_rng(nudge).normal(size=inputs[moving].shape)
        inputs[moving] += ROUNDING * bool(nudge) * noise
        variables = jax.tree.map(lambda a: jnp.asarray(a, precision), net.variables)
        outputs, mids, gradients = _run(
            inputs,
            variables,
            module=net.module.clone(dtype=jnp.dtype(precision)),
            loss=known.loss,
            differentiated=known.differentiated,
        )
        named = {f"output.{k}": v for k, v in outputs.items()}
        for name, path in known.mids.items():
            named[f"mid.{name}"] = functools.reduce(lambda d, k: d[k], path.split("/"), mids)[0]
        for name in known.differentiated:
            named["grad_input" if name == moving else f"grad_{name}"] = gradients[name]
        return {k: _nchw(k, np.asarray(v)) for k, v in named.items()}


NOT_IMAGES = ("jacobian", "deformation")  # four axes, but no channels


def _is_image(name, array):
    return array.ndim == 4 and not any(word in name for word in NOT_IMAGES)


def _nhwc(name, array):
    return array.transpose(0, 2, 3, 1) if _is_image(name, array) else array


def _nchw(name, array):
    if array.ndim == 5:  # maps of several kinds: N, M, C, H, W there
        return array.transpose(0, 3, 4, 1, 2)
    return array.transpose(0, 3, 1, 2) if _is_image(name, array) else array


def rel_l2(ours, theirs):
    return np.linalg.norm(ours.astype(np.float64) - theirs) / np.linalg.norm(theirs)


def assert_agrees(case, name, ours, theirs, limits):
    assert ours.shape == theirs.shape, f"{case} {name}"
    if "atol" in limits:
        worst = np.abs(ours.astype(np.float64) - theirs).max()
        assert worst <= limits["atol"], f"{case} {name}: off by {worst:.2g}"
    distance = rel_l2(ours, theirs)
    assert distance <= limits["rel_l2"], f"{case} {name}: relative L2 {distance:.2g}"


@pytest.fixture(scope="module", params=EACH)
def case(request):
    """Case by case: programs and arrays of all networks together would take gigabytes."""
    yield request.param
    our_results.cache_clear()
    network.cache_clear()
    jax.clear_caches()


def test_outputs_equal_the_original(case):
    golden = recorded(seeded_weights.GOLDEN / f"{case}.npz")
    limits = seeded_weights.facts(case)["tolerance"]
    ours = our_results(case, 0)
    names = [n for n in golden if n.startswith("output.") and not n.endswith(OTHER_SETTINGS)]
    assert names
    for name in names:
        value = ours[name]
        if golden[name].ndim < value.ndim:
            value = value[:, 1]  # some detectors return the probability of fake alone
        value = value if value.ndim < 4 else cut(name, value, 1)
        assert_agrees(case, name, value, golden[name], limits[name])


def test_input_gradient_equals_the_original_to_rounding(case):
    # A ReLU whose input rounds to the other side of zero moves the whole gradient by up to a
    # percent, which would hide small mistakes. So either float64, where none does, or, much faster,
    # the best of a few images that differ by rounding error only.
    golden = recorded(seeded_weights.GOLDEN / f"{case}.npz")
    limits = seeded_weights.facts(case)["tolerance"]
    names = [n for n in golden if n.startswith("grad_")]
    assert "grad_input" in names
    nudged = [("float32", n) for n in range(NUDGES)]
    tries = [("float64", 0)] if CASES[case].in_float64 else nudged
    excess = []  # the largest distance of each try, as a share of what is allowed
    while tries and min(excess, default=np.inf) > 1:
        ours = our_results(case, 0, *tries.pop(0))
        distances = {n: rel_l2(cut(n, ours[n], 1), golden[n]) for n in names}
        excess.append(max(distances[n] / limits[n]["clean_rel_l2"] for n in names))
    assert min(excess) <= 1, f"{case}: relative L2 {distances}, of the limits {excess}"


@pytest.mark.parametrize(
    ("case", "output"),
    [
        ("stargan", "output.image"),
        pytest.param("ganimation_vipermu", "output.composed", marks=pytest.mark.slow),
    ],
)
def test_generators_run_on_the_statistics_of_each_image_not_on_stored_ones(case, output):
    golden = recorded(seeded_weights.GOLDEN / f"{case}.npz")
    ours = cut(output, our_results(case, 0)[output], 1)
    assert rel_l2(ours, golden[output]) < 1e-4
    assert rel_l2(ours, golden[f"{output}_eval_mode"]) > 0.3


def test_every_network_with_an_original_has_a_parity_case():
    compared = {case.model for case in CASES.values()}
    assert not compared & set(NO_RECORDING)
    assert set(models.MODELS) == compared | set(NO_RECORDING)


@pytest.mark.slow
@needs_recordings
def test_every_recorded_array_agrees_in_full(case):
    limits = json.loads((REFERENCE / case / "manifest.json").read_text())["tolerance"]
    reference = recorded(REFERENCE / case / "io.npz")
    batch = len(reference[f"input.{CASES[case].differentiated[0]}"])
    each = [our_results(case, index) for index in range(batch)]
    for name, limit in limits.items():
        if name.endswith(OTHER_SETTINGS):
            continue
        ours = np.concatenate([one[name] for one in each])
        theirs = reference[name]
        if name.startswith("grad_"):
            ours = ours / batch  # the recorded loss is the mean over the batch
        if theirs.ndim == 1:
            ours = ours[:, 1]
        elif name.startswith("mid."):  # recorded for the first channels only
            first = tuple(slice(count) for count in theirs.shape[: ours.ndim])
            ours = ours[first].reshape(theirs.shape)
        assert_agrees(case, name, ours, theirs, limit)
