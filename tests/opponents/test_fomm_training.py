"""Training First Order Motion Models: bends of the plane, losses, and that they fall."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax import models
from dfd_jax.method import perceptual
from dfd_jax.models.frozen import Card
from dfd_jax.opponents import fomm_training
from dfd_jax.runtime import sharding
from dfd_jax.training import optimizer

SIZE = 32
TINY = {
    "num_kp": 3,
    "kp_block_expansion": 4,
    "kp_num_blocks": 1,
    "kp_max_features": 8,
    "block_expansion": 4,
    "max_features": 8,
    "num_down_blocks": 1,
    "num_bottleneck_blocks": 1,
    "motion_block_expansion": 4,
    "motion_num_blocks": 1,
    "motion_max_features": 8,
}


def make_training(**objective):
    card = Card("fomm", TINY, SIZE, input_mean=(0.0,) * 3, input_std=(1.0,) * 3)
    return fomm_training.MotionTraining(
        models.build(card),
        perceptual.network(),
        optimizer.make_optimizer(3e-3, 50, warmup=1, clip=1.0),
        fomm_training.MotionObjective(**{"perceptual": 0.0, "sizes": 2, **objective}),
    )


def make_batch(size=4):
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (size, 4, 4, 3), np.uint8)
    source = np.repeat(np.repeat(smooth, SIZE // 4, 1), SIZE // 4, 2)
    return {"source": source, "driving": np.roll(source, 3, axis=2)}


def test_the_derivatives_of_a_bend_are_those_of_its_places():
    bend = fomm_training.random_bend(jax.random.key(0), 2, affine=0.2, plates=0.05)
    points = jax.random.uniform(jax.random.key(1), (2, 5, 2), minval=-1, maxval=1)
    jacobians = np.asarray(bend.jacobians(points))
    for axis in range(2):
        step = jnp.zeros(2).at[axis].set(1e-2)
        slope = (bend.places(points + step) - bend.places(points - step)) / 2e-2
        np.testing.assert_allclose(jacobians[..., axis], slope, atol=2e-2)


def test_a_shift_moves_the_picture_and_its_points_alike():
    """A bright spot is found where `places` says."""
    still = fomm_training.random_bend(jax.random.key(0), 1, affine=0.0, plates=0.0)
    bend = still.replace(shift=jnp.asarray([[0.5, -0.25]]))
    pictures = jnp.zeros((1, 17, 17, 1)).at[0, 6, 12].set(1.0)  # (x, y) = (0.5, -0.25)
    bent = bend.picture(pictures)
    assert np.unravel_index(np.asarray(bent[0, ..., 0]).argmax(), (17, 17)) == (8, 8)
    np.testing.assert_allclose(bend.places(jnp.zeros((1, 1, 2)))[0, 0], [0.5, -0.25], atol=1e-6)


def test_keypoints_that_move_with_the_picture_cost_nothing():
    bend = fomm_training.random_bend(jax.random.key(0), 2)
    after = fomm_training.KeyPoints(
        jnp.zeros((2, 3, 2)) + 0.1, jnp.broadcast_to(jnp.eye(2), (2, 3, 2, 2))
    )
    carried = bend.jacobians(after.value)
    before = fomm_training.KeyPoints(bend.places(after.value), carried)
    assert float(fomm_training._jacobians_differ(bend, before, after)) < 1e-5
    other = fomm_training.KeyPoints(before.value, 2 * carried)
    assert float(fomm_training._jacobians_differ(bend, other, after)) == pytest.approx(
        0.25, rel=0.1
    )


@pytest.fixture(scope="module")
def trained():
    """The state after 30 steps on one batch, and the loss of each."""
    training = make_training()
    state, batch = fomm_training.create_state(training), make_batch()
    step, losses = fomm_training.make_train_step(training), []
    for _ in range(30):
        state, metrics = step(state, [batch], jax.random.key(0))
        losses.append(float(metrics["loss"]))
    return state, losses


@pytest.mark.slow
def test_training_lowers_the_loss_and_moves_the_batch_statistics(trained):
    training, (state, losses) = make_training(), trained
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    before, after = training.net.variables["batch_stats"], state.variables["batch_stats"]
    moved = jax.tree.map(lambda a, b: np.any(np.asarray(a) != b), before, after)
    assert all(jax.tree.leaves(moved))
    shipped, batch = fomm_training.averaged_net(training, state), make_batch()
    fakes = fomm_training.reenact(shipped, batch["source"], batch["driving"])
    assert fakes.shape == (4, SIZE, SIZE, 3)
    assert np.asarray(fakes).std() > 0


@pytest.mark.slow
def test_two_devices_do_what_one_does(trained):
    """Batch norms see the whole batch, wherever its parts lie."""
    training, mesh = make_training(), sharding.make_mesh(jax.devices()[:2])
    start = (fomm_training.create_state(training), jax.random.key(0))
    state, key = sharding.replicate(start, mesh)
    step = fomm_training.make_train_step(training)
    _, metrics = step(state, [sharding.shard_batch(make_batch(), mesh)], key)
    assert float(metrics["loss"]) == pytest.approx(trained[1][0], rel=1e-4)


def test_the_perceptual_term_knows_alike_from_unlike():
    training = make_training(perceptual=1.0)
    picture = jnp.asarray(make_batch()["source"], jnp.float32) / 127.5 - 1
    unlike = jax.jit(lambda a, b: fomm_training._unlike(training, a, b))
    same = unlike(picture, picture)
    assert float(same["perceptual"]) == pytest.approx(0.0, abs=1e-6)
    other = unlike(picture, -picture)
    assert float(other["perceptual"]) > 0.01


@pytest.mark.slow
def test_known_spots_draw_the_keypoints_to_them():
    training = make_training(spots=1.0)
    state, batch = fomm_training.create_state(training), make_batch()
    rng = np.random.default_rng(4)
    for name in ("source_spots", "driving_spots"):
        batch[name] = rng.uniform(-0.5, 0.5, (4, 10, 2)).astype(np.float32)
    batch["known"] = np.array([1, 1, 1, 0], np.float32)

    def apart(known):
        points = fomm_training.KeyPoints(jnp.asarray(batch["source_spots"]) * SIZE / (SIZE - 1))
        found = fomm_training.KeyPoints(
            jnp.asarray(batch["driving_spots"]) * SIZE / (SIZE - 1) + 0.1
        )
        return float(fomm_training._off_spots(points, found, {**batch, "known": known}, SIZE))

    assert apart(batch["known"]) == pytest.approx(0.05, rel=1e-2)
    assert apart(np.zeros(4)) == 0
    terms = fomm_training._loss(training, state.variables, batch, jax.random.key(0))[1][1]
    assert float(terms["spots"]) > 0
    without = {"source": batch["source"], "driving": batch["driving"]}
    terms = fomm_training._loss(training, state.variables, without, jax.random.key(0))[1][1]
    assert "spots" not in terms
