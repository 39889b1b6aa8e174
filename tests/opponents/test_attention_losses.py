"""Multi-attentional training: what the losses ask for, and where photos are degraded."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax import models
from dfd_jax.models.frozen import Card
from dfd_jax.opponents import attention_losses, detector_training
from dfd_jax.opponents.attention_losses import AttentionLosses

AXES = np.eye(4, dtype=np.float32)
SETTINGS = AttentionLosses(inner_margins=(0.25, 0.75), outer_margin=0.5)


@jax.jit
def independence(vectors, centres, is_fake, rate):
    return attention_losses.independence(vectors, centres, is_fake, rate, SETTINGS)


def loss(vectors, centres, is_fake, rate=0.5):
    value, moved = independence(vectors, centres, np.array(is_fake), rate)
    return float(value), np.asarray(moved)


def test_centres_move_towards_the_mean_of_the_batch_at_the_rate():
    vectors = np.stack([AXES[:2], AXES[2:]])  # two photos, two maps
    _, moved = loss(vectors, np.zeros((2, 4)), [False, True], rate=0.1)
    np.testing.assert_allclose(moved, 0.1 * vectors.mean(0), rtol=1e-6)


def test_the_rate_decays_from_epoch_to_epoch():
    settings = AttentionLosses(centre_rate=0.2, centre_decay=0.5, epoch_steps=10)
    rates = [float(settings.rate_at(jnp.asarray(step))) for step in (0, 9, 10, 29)]
    np.testing.assert_allclose(rates, [0.2, 0.2, 0.1, 0.05], rtol=1e-6)


def test_regions_within_the_margin_of_their_class_cost_nothing():
    centres = AXES[:2]  # far apart
    near = centres + 0.5 * AXES[2:]  # every region at distance 0.5 before the centres move
    batch = np.stack([near, 2 * centres - near])  # on both sides, so that they stay
    assert loss(batch, centres, [True, True])[0] == 0
    value, moved = loss(batch, centres, [False, True])
    np.testing.assert_allclose(moved, centres, atol=1e-6)
    assert value == pytest.approx((0.5 - 0.25) / 2)  # the mean over two photos


def test_centres_that_are_too_close_cost_what_they_lack():
    centres = np.stack([0 * AXES[0], 0.2 * AXES[0], AXES[1]])
    value, _ = loss(centres[None], centres, [True], rate=0.5)
    assert value == pytest.approx((0.5 - 0.2) / (3 * 0.5), rel=1e-5)


def test_the_gradient_pulls_regions_to_centres_and_apart_from_each_other():
    @functools.partial(jax.jit, static_argnames="outer_margin")
    def gradient(vectors, centres, outer_margin):
        settings = AttentionLosses(inner_margins=(0.0, 0.0), outer_margin=outer_margin)
        fixed = (centres, jnp.zeros(1, bool), jnp.float32(0.1), settings)
        return jax.grad(lambda v: attention_losses.independence(v, *fixed)[0])(vectors)

    centres = jnp.stack([AXES[0], -AXES[0]])
    outside = centres[None] * 1.5
    pull = gradient(outside, centres, 0.0)
    assert (np.sign(pull[0, :, 0]) == [1, -1]).all()  # descending it shrinks the distance
    close = jnp.stack([0.01 * AXES[0], -0.01 * AXES[0]])
    apart = gradient(close[None], close, 1.0)
    assert (np.sign(apart[0, :, 0]) == [-1, 1]).all()
    same = gradient(jnp.zeros((1, 2, 4)), jnp.zeros((2, 4)), 1.0)
    assert np.isfinite(same).all()


def test_consistency_leaves_the_degraded_map_out():
    before = np.stack([AXES[:3], AXES[:3]])
    after = before.copy()
    after[0, 1] = AXES[3]
    chosen = jnp.asarray([1, 0])
    assert float(attention_losses.consistency(before, after, chosen)) == 0
    assert float(attention_losses.consistency(before, after, 1 - chosen)) == pytest.approx(
        2**0.5 / 6
    )


@pytest.fixture
def checkered():
    """Photos of fine squares, and maps that look at their left and at their right half."""
    squares = np.indices((32, 32)).sum(0) % 2 * 2.0 - 1
    images = np.broadcast_to(squares[..., None], (6, 32, 32, 3)).astype(np.float32)
    attentions = np.zeros((6, 8, 8, 2), np.float32)
    attentions[:, :, :3, 0] = attentions[:, :, -3:, 1] = 5
    return images, attentions


@pytest.mark.parametrize("degradation", attention_losses.DEGRADATIONS)
def test_photos_are_degraded_where_the_chosen_map_looks_and_nowhere_else(checkered, degradation):
    images, attentions = checkered
    settings = AttentionLosses(degradation=degradation, shrink=0.5, sigma=2.0)
    degraded, chosen = jax.jit(attention_losses.degrade, static_argnums=3)(
        images, attentions, jax.random.key(0), settings
    )
    assert set(chosen.tolist()) == {0, 1}  # not always the same one
    for photo, original, map_ in zip(np.asarray(degraded), images, chosen.tolist(), strict=True):
        left, right = slice(0, 8), slice(-8, None)
        looked_at, elsewhere = (left, right) if map_ == 0 else (right, left)
        np.testing.assert_array_equal(photo[:, elsewhere], original[:, elsewhere])
        assert np.abs(photo[:, looked_at]).max() < (1e-6 if degradation == "cut" else 0.2)


def test_a_map_that_sees_nothing_leaves_the_photo_as_it_is(checkered):
    images, attentions = checkered
    degraded, _ = attention_losses.degrade(
        images, 0 * attentions, jax.random.key(0), AttentionLosses()
    )
    np.testing.assert_array_equal(degraded, images)


def test_blurring_keeps_a_flat_photo_and_its_brightness():
    flat = np.full((1, 40, 24, 3), 0.3, np.float32)
    np.testing.assert_allclose(attention_losses.blurred(flat, 0.3, 7.0), flat, atol=1e-5)


def test_unknown_degradations_and_networks_without_maps_are_refused(tiny):
    with pytest.raises(ValueError, match="'pixelate', expected blur or cut"):
        AttentionLosses(degradation="pixelate")
    tx = detector_training.make_optimizer(1e-3, 2, warmup=0, clip=1.0, weight_decay=0.0)
    with pytest.raises(ValueError, match="resnet18 has no attention maps"):
        detector_training.create_state(tiny("resnet18"), tx, AttentionLosses())


@pytest.fixture(scope="module")
def trained():
    """A tiny multi-attentional detector after some steps on bright fakes: (net, state, logs)."""
    hyper = {
        "channels": (8, 4, 6, 6, 6, 6, 6, 6, 16),
        "depths": (1, 1, 0, 0, 0, 0, 0),
        "feature_layer": "b1",
        "attention_layer": "b2",
        "maps": 2,
        "mid_dims": 8,
    }
    net = models.build(Card("multi_attentional", hyper, 16, real_index=0))
    training = AttentionLosses(epoch_steps=10, shrink=0.5, sigma=2.0)
    tx = detector_training.make_optimizer(5e-3, 30, warmup=2, clip=1.0, weight_decay=0.0)
    step = detector_training.make_train_step(
        net, tx, smoothing=0.0, averaging=0.9, training=training
    )
    state, logs, rng = (
        detector_training.create_state(net, tx, training),
        [],
        np.random.default_rng(0),
    )
    for _ in range(30):
        reals = rng.integers(0, 128, (8, 16, 16, 3))
        state, logged = step(state, np.stack([reals, reals + 100], axis=1).astype(np.uint8))
        logs.append({name: float(value) for name, value in logged.items()})
    return net, state, logs


def test_a_tiny_training_lowers_every_term(trained):
    _, _, logs = trained
    for name in ("loss", "cross_entropy", "augmented", "independence"):
        first, last = (np.mean([log[name] for log in part]) for part in (logs[:5], logs[-5:]))
        assert last < first, name
    assert all(np.isfinite(list(log.values())).all() for log in logs)


def test_the_terms_add_up(trained):
    for log in trained[2]:
        total = log["cross_entropy"] + log["independence"] + log["augmented"]
        assert log["loss"] == pytest.approx(total + 0.1 * log["consistency"], rel=1e-4)


def test_centres_are_kept_apart_from_the_weights(trained, tmp_path):
    net, state, _ = trained
    assert state.regions["centres"].shape == (2, 4)
    assert np.linalg.norm(state.regions["centres"], axis=1).min() > 0.01
    assert jax.tree.structure(state.averaged) == jax.tree.structure(net.variables)
    models.save(tmp_path / "w.safetensors", state.averaged, net.card)
    again = models.load(tmp_path / "w.safetensors")
    photos = np.zeros((2, 16, 16, 3), np.uint8)
    averaged = net.with_variables(state.averaged)
    np.testing.assert_array_equal(
        detector_training.score(again, photos, 2), detector_training.score(averaged, photos, 2)
    )
