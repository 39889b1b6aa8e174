"""One training step: the right thing is differentiated, everywhere alike, compiled once."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_networks import NAMES, tiny_network

from dfd_jax.method import channel
from dfd_jax.method.budget import Budget
from dfd_jax.method.forward import Opponents
from dfd_jax.method.objective import Objective
from dfd_jax.runtime import sharding
from dfd_jax.training import optimizer, steps
from dfd_jax.training.state import create_state


@pytest.fixture(scope="module")
def setting():
    perturber = tiny_network("unet")
    tx = optimizer.make_optimizer(1e-2, 20, warmup=0)
    against = Opponents(
        (tiny_network("stargan"),),
        (tiny_network("resnet18"),),
        (channel.CropResize.of_side(16, 16), channel.CropResize.of_side(40, 16)),
    )
    step = steps.make_train_step(perturber, tx, Budget(), Objective(budget=10.0), NAMES)
    return perturber, tx, against, step


def batch_of(photos):
    attributes = (np.arange(40).reshape(8, 5) % 3 == 0).astype(np.float32)
    return {"images": photos, "attributes": attributes}


def run(setting, photos, count, devices=1):
    perturber, tx, against, step = setting
    mesh = sharding.make_mesh(jax.devices()[:devices])
    state, key = create_state(perturber, tx), jax.random.key(0)
    state, against, key = sharding.replicate((state, against, key), mesh)
    batch = sharding.shard_batch(batch_of(photos), mesh)
    history = []
    for _ in range(count):
        with jax.transfer_guard("disallow"):
            state, metrics = step(state, against, batch, key)
        history.append(jax.device_get(metrics))
    return state, history, step


def test_the_loss_falls_and_is_the_sum_of_its_terms(setting, photos):
    _, history, _ = run(setting, photos, 15)
    assert history[-1]["loss"] < history[0]["loss"] - 1e-3
    first = history[0]
    total = first["distortion"] + 10 * first["budget"] + first["fake"] + first["real"]
    np.testing.assert_allclose(first["loss"], total, rtol=1e-5)


@pytest.mark.slow
def test_four_devices_train_like_one(setting, photos):
    perturber, _, against, _ = setting
    tx = optax.sgd(1e-2)  # Adam would blow the rounding noise of tiny gradients up to full steps
    step = steps.make_train_step(perturber, tx, Budget(), Objective(budget=10.0), NAMES)
    setting = perturber, tx, against, step
    one, history_one, _ = run(setting, photos, 3)
    four, history_four, _ = run(setting, photos, 3, devices=4)
    for a, b in zip(history_one, history_four, strict=True):
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-4)
    trees = (perturber.variables["params"], one.params, four.params)
    leaves = [jax.tree.leaves(jax.device_get(tree)) for tree in trees]
    moved = [
        (np.linalg.norm(a - start), np.linalg.norm(a - b))
        for start, a, b in zip(*leaves, strict=True)
    ]
    # a unit that lies on its threshold may be on here and off there: a per mille or two
    assert sum(apart for _, apart in moved) < 0.02 * sum(way for way, _ in moved)


def test_a_step_is_compiled_once(setting, photos):
    _, _, step = run(setting, photos, 4)
    assert step._cache_size() == 1


def test_frozen_weights_are_untouched_and_no_part_of_the_state(setting, photos):
    perturber, _, against, _ = setting
    before = jax.tree.map(np.array, against)
    state, _, _ = run(setting, photos, 2)
    chex.assert_trees_all_equal(before, against)
    chex.assert_trees_all_equal_shapes_and_dtypes(state.params, perturber.variables["params"])


@pytest.mark.parametrize(
    ("perturber", "detector"),
    [
        ("unet", "xception"),
        pytest.param("resnet_perturber", "xception", marks=pytest.mark.slow),
        pytest.param("unet", "resnet18", marks=pytest.mark.slow),
        ("resnet_perturber", "resnet18"),
    ],
)
def test_gradients_reach_every_parameter_through_each_detector(tiny, photos, detector, perturber):
    net, tx = tiny(perturber), optimizer.make_optimizer(1e-3, 5)
    weights = Objective(distortion=0.0, budget=0.0)
    step = steps.make_train_step(net, tx, Budget(), weights, NAMES)
    state = create_state(net, tx)
    before = jax.device_get(state.params)
    key, against = (
        jax.random.key(0),
        Opponents((tiny("stargan"),), (tiny(detector),), (channel.CropResize.of_side(16, 16),)),
    )
    for _ in range(3):  # the first update has a learning rate of zero: warm-up
        state, metrics = step(state, against, batch_of(photos), key)
    assert np.isfinite(metrics["gradient_norm"])
    assert metrics["gradient_norm"] > 0
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), before, jax.device_get(state.params))
    assert all(jax.tree.leaves(changed))


def test_every_perturber_takes_any_size(tiny):
    for model in ("unet", "resnet_perturber"):
        for shape in ((1, 16, 16, 3), (2, 17, 30, 3), (1, 3, 5, 3)):
            assert tiny(model)(jnp.zeros(shape)).shape == shape


def test_a_batch_that_devices_cannot_share_is_refused():
    mesh = sharding.make_mesh(jax.devices()[:4])
    with pytest.raises(ValueError, match=r"6 photos cannot be split over 4 devices.*such as 8"):
        sharding.local_batch_size(6, mesh)
