"""Any generator with any detector: P learns through each pair, in one program that is kept."""

import functools

import jax
import numpy as np
import optax
import pytest
from tiny_networks import DETECTORS, NAMES, tiny_network

from dfd_jax import pixels
from dfd_jax.data.expressions import ACTION_UNITS
from dfd_jax.method import channel, forward
from dfd_jax.method.budget import Budget
from dfd_jax.method.forward import Opponents
from dfd_jax.method.objective import Objective
from dfd_jax.models import MODELS
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator
from dfd_jax.training import optimizer, setup, steps
from dfd_jax.training.state import create_state, with_params

GENERATORS = ("stargan", "ganimation", "fomm")
DETECTOR_SIZES = {"efficientnet": 32, "multi_attentional": 48, "xception": 32}
REGIONS = (channel.CropResize.of_side(20, 16),)


@pytest.fixture
def driven(tiny):
    """`driven(model)`: a small generator that knows two driving clips, if it needs any."""

    def make(model):
        net = tiny(model)
        if model != "fomm":
            return net
        clips = {
            n: np.random.default_rng(i).integers(0, 256, (3, 16, 16, 3), np.uint8)
            for i, n in enumerate(("nod", "smile"))
        }
        return net.with_motions(clips, frames_per_photo=1)

    return make


def small_detector(tiny, model):
    return tiny(model, size=DETECTOR_SIZES.get(model, 16))


def attributes_for(names, count=8):
    return np.random.default_rng(0).integers(0, 2, (count, len(names))).astype(np.float32)


def test_the_lists_above_are_complete():
    kinds = {name: row.frozen for name, row in MODELS.items()}
    assert {n for n, kind in kinds.items() if issubclass(kind, FrozenGenerator)} == {*GENERATORS}
    assert {n for n, kind in kinds.items() if issubclass(kind, FrozenDetector)} == {*DETECTORS}


@functools.cache
def pull_of(detector):
    """The gradient of a detector's verdict with respect to fakes: compiled once for all pairs."""
    net = small_detector(tiny_network, detector)
    return jax.jit(jax.grad(lambda fakes: net.real_logits(fakes).mean()))


@pytest.mark.parametrize(
    "generator",
    [GENERATORS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in GENERATORS[1:])],
)
def test_the_verdict_of_every_detector_reaches_p_through_the_generator(
    tiny, driven, photos, generator
):
    perturber, net = tiny("unet"), driven(generator)
    condition = net.test_condition(attributes_for(net.labels, 2), net.test_conditions[0])

    def fakes_of(params):
        return forward.forward(
            with_params(perturber, params),
            Opponents((net,), (), REGIONS),
            pixels.from_uint8(photos[:2]),
            (condition,),
            Budget(),
            "rms",
            jax.random.key(0),
        ).fakes[0]

    @jax.jit
    def norm_of(params, cotangent):
        return optax.tree.norm(jax.vjp(fakes_of, params)[1](cotangent))

    params = perturber.variables["params"]
    fakes = jax.jit(fakes_of)(params)
    for detector in DETECTORS:
        norm = float(norm_of(params, pull_of(detector)(fakes)))
        assert np.isfinite(norm), detector
        assert norm > 0, detector


@pytest.mark.slow
def test_an_ensemble_of_all_generators_trains_in_one_program(tiny, driven, photos):
    perturber, tx = tiny("unet"), optimizer.make_optimizer(1e-2, 8, warmup=0)
    nets = tuple(driven(model) for model in GENERATORS)
    against = Opponents(nets, (tiny("resnet18"),), REGIONS)
    names = setup.label_names(nets)
    assert names == (*NAMES, *ACTION_UNITS)
    weights = Objective(generator_weights=(1.0, 2.0, 1.0))
    step = steps.make_train_step(perturber, tx, Budget(), weights, names)
    state, key = create_state(perturber, tx), jax.random.key(0)
    batch = {"images": photos, "attributes": attributes_for(names)}
    losses = []
    for _ in range(6):
        state, metrics = step(state, against, batch, key)
        losses.append(float(metrics["loss"]))
    assert step._cache_size() == 1
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_each_generator_may_have_its_own_target(tiny, driven, photos):
    perturber, tx = tiny("unet"), optimizer.make_optimizer(1e-2, 8, warmup=0)
    nets = driven("ganimation"), driven("stargan")
    names = setup.label_names(nets)
    batch = {"images": photos, "attributes": attributes_for(names)}
    losses = []
    for targets in (("blink_5", "Male"), ("happiness_5", "Male")):
        step = steps.make_train_step(perturber, tx, Budget(), Objective(), names, targets)
        against, key = Opponents(nets, (), REGIONS), jax.random.key(0)
        _, metrics = step(create_state(perturber, tx), against, batch, key)
        losses.append(float(metrics["l2"]))
    assert losses[0] != losses[1]


def test_labels_reach_the_generator_that_asks_for_them(tiny):
    names = ("Male", "AU12", *NAMES[:3], "Young", *(u for u in ACTION_UNITS if u != "AU12"))
    row = np.arange(len(names), dtype=np.float32)[None]
    picked = steps.pick_labels(tiny("stargan"), row, names)
    assert picked.tolist() == [[names.index(name) for name in NAMES]]
    picked = steps.pick_labels(tiny("ganimation"), row, names)
    assert picked.tolist() == [[names.index(unit) for unit in ACTION_UNITS]]
