"""The First Order Motion Model: how a clip's motion becomes a photo's, and whole clips at once."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import ConvexHull

from dfd_jax import models
from dfd_jax.models.frozen import Card
from dfd_jax.models.generators.fomm import KeyPoints, Motion, dense_motion, motion

SIZE, FRAMES = 32, 8
HYPER = {
    "num_kp": 5,
    "kp_block_expansion": 4,
    "kp_num_blocks": 2,
    "kp_scale_factor": 0.5,
    "block_expansion": 4,
    "num_down_blocks": 2,
    "num_bottleneck_blocks": 1,
    "motion_block_expansion": 4,
    "motion_num_blocks": 2,
    "motion_scale_factor": 0.5,
}
NO_LABELS = np.zeros((2, 0), np.float32)


def pictures(count, seed=0, size=SIZE):
    coarse = np.random.default_rng(seed).uniform(-1, 1, (count, 4, 4, 3))
    return np.asarray(jax.image.resize(coarse, (count, size, size, 3), "cubic"), np.float32)


def moving(count, seed=0):
    """A clip: one picture, shifted from frame to frame, 8-bit."""
    picture = (pictures(1, seed, 2 * SIZE)[0] + 1) * 127.5
    shifts = [(2 * n, n) for n in range(count)]
    frames = [picture[y : y + SIZE, x : x + SIZE] for y, x in shifts]
    return np.clip(np.round(frames), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def net():
    """A small network whose Jacobians are not all the identity, and two clips."""
    card = Card("fomm", HYPER, SIZE, input_mean=(0.0,) * 3, input_std=(1.0,) * 3)
    fresh = models.build(card)
    head = fresh.variables["params"]["kp_detector"]["jacobian"]
    head["kernel"] = 0.02 * jax.random.normal(jax.random.key(1), head["kernel"].shape)
    return fresh.with_motions({"nod": moving(FRAMES), "shake": moving(11, seed=5)}, FRAMES)


@pytest.fixture(scope="module")
def photos():
    return pictures(2, seed=9)


call = jax.jit(lambda net, photos, condition: net(photos, condition))


def one_frame(condition, number):
    """The motion with only that frame of each photo."""
    driving = jax.tree.map(lambda a: a[:, number : number + 1], condition.driving)
    return Motion(driving, condition.initial)


@pytest.mark.parametrize("at_once", [3, FRAMES], ids=["in a loop", "together"])
def test_a_whole_clip_in_one_call_equals_frame_by_frame(net, photos, monkeypatch, at_once):
    monkeypatch.setattr("dfd_jax.models.generators.fomm.animator.AT_ONCE", at_once)
    condition = net.test_condition(NO_LABELS, "nod")
    fakes = jax.jit(lambda net, photos: net(photos, condition))(net, photos)
    assert fakes.shape == (2 * FRAMES, SIZE, SIZE, 3)
    assert jnp.abs(fakes).max() <= 1
    for number in range(FRAMES):
        alone = call(net, photos, one_frame(condition, number))
        np.testing.assert_allclose(fakes[number::FRAMES], alone, atol=1e-5)
    neighbours = np.abs(np.diff(fakes.reshape(2, FRAMES, -1), axis=1)).max((0, 2))
    assert neighbours.min() > 1e-3  # the frames differ


@pytest.mark.slow
def test_the_gradient_of_a_whole_clip_is_the_sum_over_its_frames(net, photos):
    condition = net.test_condition(NO_LABELS, "shake")
    goal = pictures(2, seed=3)

    @jax.jit
    def gradient(photos, condition):
        def loss(photos):
            fakes = net(photos, condition).reshape(2, -1, SIZE, SIZE, 3)
            return jnp.square(fakes - goal[:, None]).sum()

        return jax.grad(loss)(photos)

    whole = gradient(photos, condition)
    parts = sum(gradient(photos, one_frame(condition, n)) for n in range(FRAMES))
    assert jnp.abs(whole).max((1, 2, 3)).min() > 1e-3
    np.testing.assert_allclose(whole, parts, atol=1e-5 * np.abs(parts).max())


def test_a_photo_driven_by_its_own_first_frame_stays_where_it_is(net):
    clip = moving(3, seed=2)
    known = net.with_motions({"self": clip}, 1)
    photo = clip[:1] / np.float32(127.5) - 1
    source = known.keypoints(photo)
    still = Motion(KeyPoints(*(a[:, None] for a in source)), source)
    wanted = motion.normalize_kp(source, still)
    np.testing.assert_allclose(wanted.value[:, 0], source.value, atol=1e-6)
    np.testing.assert_allclose(wanted.jacobian[:, 0], source.jacobian, atol=1e-5)
    motions = dense_motion.sparse_motions(8, 8, source, KeyPoints(*(a[:, 0] for a in wanted)))
    identity = np.broadcast_to(np.asarray(motions)[:, :1], motions.shape)
    np.testing.assert_allclose(motions, identity, atol=1e-4)


def test_drawn_frames_belong_to_the_clip_that_was_asked_for(net):
    draw = jax.jit(lambda rng, net: net.sample_condition(rng, np.zeros((64, 0)), "shake"))
    values, bank = draw(jax.random.key(0), net), net.clips.points
    assert values.driving.jacobian.shape == (64, FRAMES, 5, 2, 2)
    match = np.isclose(values.driving.value[:, :, None], bank.value[1]).all((-1, -2))
    assert match.any(-1).all()
    assert match.any((0, 1))[:11].all()  # every frame can be drawn
    np.testing.assert_array_equal(values.initial.value, np.tile(bank.value[1, :1], (64, 1, 1)))


def test_random_draws_every_clip_and_never_the_padding_of_a_short_one(net):
    drawn = net.sample_condition(jax.random.key(1), np.zeros((200, 0)), "random")
    first = np.isclose(drawn.initial.value[:, None], net.clips.points.value[None, :, 0])
    clip = first.all((-1, -2)).argmax(1)
    assert 60 < clip.sum() < 140
    match = np.isclose(drawn.driving.value[:, :, None, None], net.clips.points.value)
    assert match.all((-1, -2))[np.arange(200), :, clip].any(-1).all()
    last = match.all((-1, -2))[clip == 0][:, :, 0, 7]  # of 8 frames, and the padding after them
    assert 0.08 < last.mean() < 0.18


def test_an_evaluation_sees_the_middles_of_equal_parts_of_the_clip(net):
    few = dataclasses.replace(net, frames_per_photo=3)
    condition = few.test_condition(NO_LABELS, "shake")
    expected = net.clips.points.value[1, [1, 5, 9]]
    np.testing.assert_array_equal(condition.driving.value, np.stack([expected, expected]))
    every = net.test_condition(NO_LABELS, "nod")
    np.testing.assert_array_equal(every.driving.value[1], net.clips.points.value[0, :8])


def test_clips_are_its_only_conditions(net):
    assert net.conditions == ("nod", "shake")
    assert net.labels == ()
    bare = dataclasses.replace(net, clips=None)
    assert bare.conditions == ()
    for draw in (
        lambda: bare.sample_condition(jax.random.key(0), NO_LABELS, "random"),
        lambda: bare.test_condition(NO_LABELS, "nod"),
    ):
        with pytest.raises(ValueError, match=r"no driving clips: add some with with_motions"):
            draw()
    with pytest.raises(ValueError, match=r"unknown target 'jump'; driving clips: nod, shake, or"):
        net.sample_condition(jax.random.key(0), NO_LABELS, "jump")
    with pytest.raises(ValueError, match=r"'random' is not one clip; known: nod, shake"):
        net.test_condition(NO_LABELS, "random")
    with pytest.raises(ValueError, match=r"5 labels; driving clips need none"):
        net.sample_condition(jax.random.key(0), np.zeros((2, 5)), "nod")


def test_clips_without_frames_are_refused(net):
    with pytest.raises(ValueError, match=r"clips without frames: still; leave them out"):
        net.with_motions({"nod": moving(2), "still": moving(2)[:0]}, 1)
    with pytest.raises(ValueError, match=r"no driving clips given"):
        net.with_motions({}, 1)
    with pytest.raises(ValueError, match=r"frames_per_photo is 0"):
        net.with_motions({"nod": moving(2)}, 0)


def test_long_clips_are_read_in_batches_with_the_same_result(net, monkeypatch):
    monkeypatch.setattr("dfd_jax.models.generators.fomm.animator.DETECTED_AT_ONCE", 4)
    again = net.with_motions({"shake": moving(11, seed=5)}, 1)
    np.testing.assert_allclose(
        again.clips.points.value[0], net.clips.points.value[1], rtol=1e-5, atol=1e-6
    )


def test_the_best_frame_is_the_one_in_the_same_pose(net):
    frames = pictures(6, seed=4)
    assert net.best_frame(frames, frames[3]) == 3
    assert net.best_frame(frames[::-1], frames[0]) == 5
    assert net.with_motions({"a": frames[2:4]}, 1).best_frame(frames) == 2


def test_poses_are_compared_without_position_and_scale():
    points = np.random.default_rng(0).normal(size=(4, 7, 2)).astype(np.float32)
    same = 0.3 * points + np.array([0.5, -2.0], np.float32)
    np.testing.assert_allclose(motion.distances(same, points[2])[2], 0, atol=1e-9)
    assert motion.distances(same, points[2]).argmin() == 2


@pytest.mark.parametrize("count", [3, 4, 10, 15])
def test_hull_areas_equal_those_of_a_geometry_library(count):
    points = np.random.default_rng(count).normal(size=(20, count, 2)).astype(np.float32)
    ours = jax.jit(motion.hull_area)(points)
    np.testing.assert_allclose(ours, [ConvexHull(p).volume for p in points], rtol=1e-4)


def test_hull_areas_of_points_that_coincide_or_lie_on_a_line():
    square = [[0, 0], [2, 0], [2, 2], [0, 2]]
    cases = [
        ([*square, [1, 0], [1, 1]], 4),  # on an edge, inside
        ([*square, *square[:2]], 4),
        ([[0, 0]] * 3 + [[1, 1]] * 3, 0),
        ([[0, n] for n in range(6)], 0),
        ([[0, 0], [0, 3], [0, 1], [4, 0], [4, 0], [2, 0]], 6),
    ]
    points, areas = zip(*cases, strict=True)
    np.testing.assert_allclose(motion.hull_area(np.array(points, np.float32)), areas, atol=1e-6)


def test_movements_are_scaled_by_each_photos_own_size_and_carry_no_gradient_of_it():
    rng = np.random.default_rng(0)
    source = KeyPoints(jnp.asarray(rng.normal(size=(2, 6, 2)) * [[[1.0]], [[3.0]]], jnp.float32))
    initial = KeyPoints(jnp.asarray(rng.normal(size=(2, 6, 2)), jnp.float32))
    driving = KeyPoints(initial.value[:, None] + 0.1)

    def moved(values):
        wanted = motion.normalize_kp(KeyPoints(values), Motion(driving, initial))
        return wanted.value[:, 0]

    ratios = [
        np.sqrt(ConvexHull(s).volume / ConvexHull(i).volume)
        for s, i in zip(source.value, initial.value, strict=True)
    ]
    expected = 0.1 * np.array(ratios)[:, None, None] * np.ones((2, 6, 2))
    np.testing.assert_allclose(moved(source.value) - source.value, expected, rtol=1e-3)
    gradient = jax.grad(lambda values: moved(values).sum())(source.value)
    np.testing.assert_array_equal(gradient, np.ones((2, 6, 2)))


def test_the_closed_form_inverse():
    matrices = np.random.default_rng(0).normal(size=(50, 2, 2)).astype(np.float32)
    product = motion.matmul_2x2(matrices, motion.inverse_2x2(matrices))
    np.testing.assert_allclose(product, np.tile(np.eye(2), (50, 1, 1)), atol=1e-3)


def test_a_network_without_jacobians_or_occlusion_moves_photos_too(photos):
    hyper = {**HYPER, "estimate_jacobian": False, "estimate_occlusion_map": False}
    card = Card("fomm", hyper, SIZE, input_mean=(0.0,) * 3, input_std=(1.0,) * 3)
    net = models.build(card).with_motions({"nod": moving(3)}, 2)
    assert not any("occlusion" in n or "jacobian" in n for n in models.variable_shapes(card))
    assert call(net, photos, net.test_condition(NO_LABELS, "nod")).shape == (4, SIZE, SIZE, 3)


def test_one_jacobian_map_serves_all_keypoints(photos):
    card = Card("fomm", {**HYPER, "single_jacobian_map": True}, SIZE)
    points = models.build(card).keypoints(photos)
    np.testing.assert_allclose(points.jacobian, np.tile(np.eye(2), (2, 5, 1, 1)), atol=1e-6)


def test_half_precision_computes_nearly_the_same(net, photos):
    condition = net.test_condition(NO_LABELS, "nod")
    low = dataclasses.replace(net, module=net.module.clone(dtype=jnp.bfloat16))
    fakes, coarse = (call(n, photos, one_frame(condition, 4)) for n in (net, low))
    assert coarse.dtype == jnp.float32
    assert 0 < jnp.abs(coarse - fakes).max() < 0.2


def test_sizes_that_do_not_fit_are_refused_before_anything_is_computed():
    with pytest.raises(ValueError, match=r"48 x 48 pixels.*multiples of 128"):
        models.build(Card("fomm", {"kp_block_expansion": 2}, 48))
    with pytest.raises(ValueError, match=r"8 x 8 pixels.*at least 14"):
        models.build(Card("fomm", HYPER, 8))
