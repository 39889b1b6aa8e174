"""The losses and updates of adversarial generator training."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax import models
from dfd_jax.data.expressions import ACTION_UNITS
from dfd_jax.models.frozen import Card
from dfd_jax.opponents import wgan
from dfd_jax.runtime import sharding

SIZE = 16
LABELS = {"stargan": ("Black_Hair", "Blond_Hair", "Male"), "ganimation": ACTION_UNITS}


def make_training(model, **objective):
    labels = LABELS[model]
    hyper = {"conv_dim": 4, "blocks": 1, "c_dim": len(labels)}
    net = models.build(Card(model, hyper, SIZE, condition=labels))
    critic_hyper = {"conv_dim": 4, "layers": 2, "c_dim": len(labels), "image_size": SIZE}
    critic = models.build(Card("stargan_discriminator", critic_hyper, SIZE), seed=1)
    tx = wgan.make_optimizer(1e-3, 100)
    return wgan.GanTraining(net, critic, tx, tx, wgan.GanObjective(**objective))


def make_batches(model, count=1, size=4, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "images": jnp.asarray(rng.integers(0, 256, (size, SIZE, SIZE, 3)), jnp.uint8),
            "attributes": jnp.asarray(rng.integers(0, 2, (size, len(LABELS[model]))), jnp.float32),
        }
        for _ in range(count)
    ]


def copied(tree):
    return jax.tree.map(np.array, tree)


@pytest.mark.usefixtures("without_type_checks")
def test_the_penalty_is_that_of_the_scores_own_slope():
    """Of a critic that is linear in the picture the gradient is known: the penalty follows."""
    weights = np.random.default_rng(0).normal(size=(SIZE, SIZE, 3)).astype(np.float32)

    class Linear:
        def apply(self, variables, x):
            return (x * variables["params"]).sum((1, 2, 3))[:, None, None, None], None

    images, fakes = (jax.random.normal(jax.random.key(i), (2, SIZE, SIZE, 3)) for i in range(2))
    penalty = wgan._gradient_penalty(Linear(), weights, images, fakes, jax.random.key(2))
    assert float(penalty) == pytest.approx((np.linalg.norm(weights) - 1) ** 2, rel=1e-4)


def test_the_penalty_moves_the_critic_where_nothing_else_does():
    """Second derivatives reach every layer of the real critic."""
    training = make_training("stargan")
    images, fakes = (jax.random.normal(jax.random.key(i), (2, SIZE, SIZE, 3)) for i in range(2))

    def penalty(params):
        return wgan._gradient_penalty(training.critic, params, images, fakes, jax.random.key(2))

    params = training.critic.variables["params"]
    grads = jax.grad(penalty)(params)
    step = jax.tree.map(lambda p, g: p - 1e-3 * g, params, grads)
    assert float(penalty(step)) < float(penalty(params))
    assert float(jnp.abs(grads["main.0"]["kernel"]).max()) > 0


@pytest.mark.parametrize("model", ["ganimation", pytest.param("stargan", marks=pytest.mark.slow)])
def test_a_step_updates_the_critic_for_each_batch_and_the_generator_once(model):
    training = make_training(model, attention=0.1, smoothness=1e-5)
    state = wgan.create_state(training)
    before = copied(state)
    step = wgan.make_train_step(training)
    state, metrics = step(state, make_batches(model, count=3), jax.random.key(0))
    assert (int(state.step), int(state.batches)) == (1, 3)
    for part in ("generator", "averaged", "critic"):
        old, new = (jax.tree.leaves(getattr(s, part)) for s in (before, state))
        assert any(np.any(a != b) for a, b in zip(old, new, strict=True)), part
    expected = {"loss", "wasserstein", "penalty", "labels", "reconstruction", "change"}
    assert expected <= set(metrics)
    assert ("attention" in metrics) == (model == "ganimation")
    assert all(np.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("model", ["stargan", pytest.param("ganimation", marks=pytest.mark.slow)])
def test_training_brings_the_cycle_and_the_labels_nearer(model):
    """Against a critic that stands still, the generator alone must lower its loss."""
    training = make_training(model, labels=10.0)
    (batch,) = make_batches(model)
    state, rng = wgan.create_state(training), jax.random.key(3)

    @jax.jit
    def descend(params):
        grads, metrics = jax.grad(wgan._generator_loss, has_aux=True)(
            params, state.critic, training, batch, rng
        )
        return jax.tree.map(lambda p, g: p - 2e-3 * g, params, grads), metrics

    params, first = descend(state.generator)
    for _ in range(15):
        params, last = descend(params)
    assert float(last["loss"]) < float(first["loss"])


@pytest.mark.slow
def test_four_devices_do_what_one_does():
    training = make_training("stargan")
    step, key = wgan.make_train_step(training), jax.random.key(0)
    results = []
    for count in (1, 4):
        mesh = sharding.make_mesh(jax.devices()[:count])
        state, on_mesh = sharding.replicate((wgan.create_state(training), key), mesh)
        batches = [
            sharding.shard_batch({k: np.asarray(v) for k, v in b.items()}, mesh)
            for b in make_batches("stargan", count=2, size=8)
        ]
        state, metrics = step(state, batches, on_mesh)
        results.append((copied(state.generator), float(metrics["loss"])))
    (one, loss_one), (four, loss_four) = results
    assert loss_four == pytest.approx(loss_one, rel=1e-4)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(four), strict=True):
        np.testing.assert_allclose(a, b, atol=2.1e-3)  # Adam's first step is a sign: 1e-3 each way


def test_targets_are_labels_of_the_batch():
    (batch,) = make_batches("stargan", size=8)
    asked = wgan._asked(jax.random.key(0), batch, batch["attributes"])
    assert sorted(map(tuple, np.asarray(asked))) == sorted(
        map(tuple, np.asarray(batch["attributes"]))
    )


def test_the_learning_rate_is_constant_and_then_falls():
    tx = wgan.make_optimizer(1.0, 10)
    params = jnp.zeros(1)
    state, sizes = tx.init(params), []
    for _ in range(10):
        updates, state = tx.update(jnp.ones(1), state)
        sizes.append(-float(updates[0]))
    np.testing.assert_allclose(sizes[:5], 1.0, rtol=1e-3)
    assert all(a > b for a, b in itertools.pairwise(sizes[5:]))
    assert sizes[-1] == pytest.approx(0.2, rel=1e-2)


def with_targets(model, known):
    (batch,) = make_batches(model)
    targets = jnp.flip(batch["images"], 2)
    asked = 1 - batch["attributes"]
    paired = jnp.asarray(known, jnp.float32)
    return {**batch, "targets": targets, "target_attributes": asked, "paired": paired}


@pytest.mark.parametrize("model", LABELS)
def test_without_a_critic_the_truth_alone_teaches(model):
    weights = {"paired": 10.0, "painted": 5.0, "reconstruction": 0.0}
    training = make_training(model, **weights)._replace(has_critic=False)
    state = wgan.create_state(training)
    before = copied(state)
    state, metrics = wgan.make_train_step(training)(
        state, [with_targets(model, np.ones(4))], jax.random.key(0)
    )
    assert (int(state.step), int(state.batches)) == (1, 0)
    for old, new in zip(jax.tree.leaves(before.critic), jax.tree.leaves(state.critic), strict=True):
        np.testing.assert_array_equal(old, new)
    assert {"paired", "painted", "loss", "change"} <= set(metrics)
    assert not {"adversarial", "labels", "reconstruction", "wasserstein"} & set(metrics)


def test_pairs_without_a_truth_do_not_count():
    rng = np.random.default_rng(0)
    images, fakes, targets = (
        jnp.asarray(rng.uniform(-1, 1, (2, SIZE, SIZE, 3)), jnp.float32) for _ in range(3)
    )
    both = wgan._off_target(images, fakes, targets, jnp.ones(2))
    first = wgan._off_target(images, fakes, targets, jnp.asarray([1.0, 0.0]))
    alone = wgan._off_target(images[:1], fakes[:1], targets[:1], jnp.ones(1))
    np.testing.assert_allclose(first, alone, rtol=1e-3)
    assert float(first[0]) != pytest.approx(float(both[0]), rel=1e-5)
    assert max(wgan._off_target(images, fakes, targets, jnp.zeros(2))) == 0.0
