"""Protector: the budget holds at any size, and nothing outside the region moves."""

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protect_helpers import SIZE, network

from dfd_jax.data.images import Box, centre_box, crop_resize, read_rgb, read_square
from dfd_jax.data.saving import write_photo
from dfd_jax.method import budget, channel, protector
from dfd_jax.method.protector import Protector
from dfd_jax.models.frozen import Perturber
from dfd_jax.runtime import sharding


def perturber(**changes) -> Perturber:
    """The same weights with other words on the card."""
    net = network()
    card = dataclasses.replace(net.card, **changes)
    return Perturber(variables=net.variables, module=net.module, card=card)


@functools.cache
def shared_protector(batch_size: int = 2) -> Protector:
    return Protector(perturber(), batch_size)


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise over the whole range, pure black and white included."""
    levels = np.random.default_rng(seed).integers(-40, 296, (height, width, 3))
    return np.clip(levels, 0, 255).astype(np.uint8)


@st.composite
def photos_and_boxes(draw):
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    side = draw(st.integers(1, min(height, width)))
    left, top = draw(st.integers(0, width - side)), draw(st.integers(0, height - side))
    return photo(height, width, draw(st.integers(0, 99))), Box(left, top, side)


@settings(max_examples=60, deadline=None)
@given(photos_and_boxes())
def test_no_pixel_moves_beyond_the_budget_and_none_outside_the_box(example):
    original, box = example
    (protected,) = shared_protector().protect_many([original], [box])
    assert protected.dtype == np.uint8
    assert protected.shape == original.shape
    assert budget.linf_255(original, protected) <= math.floor(6.375)
    outside = np.ones(original.shape[:2], bool)
    outside[box.top : box.top + box.side, box.left : box.left + box.side] = False
    assert np.array_equal(protected[outside], original[outside])


@pytest.mark.parametrize("side", [SIZE // 2, SIZE, 4 * SIZE])
def test_the_delta_reaches_the_whole_region(side):
    grey = np.full((side + 10, side + 10, 3), 128, np.uint8)
    grey[3 : 3 + side, 5 : 5 + side] = photo(side, side)
    (protected,) = shared_protector().protect_many([grey], [Box(5, 3, side)])
    moved = (protected != grey).any(-1)
    assert moved[3 : 3 + side, 5 : 5 + side].mean() > 0.8
    assert not moved[:3].any()


def test_a_region_of_the_networks_size_gets_exactly_the_rounded_delta():
    original = np.full((SIZE, SIZE, 3), 100, np.uint8)
    original[4:9] = 150
    raw = shared_protector().outputs(original[None])[0]
    protected = shared_protector().apply(original, Box(0, 0, SIZE), raw)
    change = protected.astype(int) - original
    assert np.abs(change).max() > 0
    assert np.array_equal(change, np.clip(np.rint(6.375 * np.tanh(raw)), -6, 6))


def test_a_tall_region_is_the_same_in_strips_and_at_once():
    original = photo(700, 600)
    box = centre_box(700, 600)
    raw = shared_protector().outputs(shared_protector().crop(original, box)[None])[0]
    bound = shared_protector().budget
    strips = channel.perturbation_strips(raw, 600, bound)
    delta = np.concatenate([strip for _, strip in strips])
    whole = budget.apply_to_pixels(original[50:650], delta, bound)
    assert np.array_equal(shared_protector().apply(original, box, raw)[50:650], whole)


def test_the_networks_input_is_the_one_that_training_reads(tmp_path):
    path = tmp_path / "a.png"
    write_photo(path, photo(90, 70))
    crop = shared_protector().crop(read_rgb(path))
    assert np.array_equal(crop, read_square(path, SIZE))
    as_attackers = crop_resize(read_rgb(path), centre_box(90, 70), SIZE)
    assert np.abs(crop.astype(int) - as_attackers).max() <= 1


def test_the_input_is_not_written_to():
    original = photo(40, 30)
    kept = original.copy()
    shared_protector().protect_many([original])
    assert np.array_equal(original, kept)


@pytest.mark.parametrize(("batch_size", "devices"), [(5, 1), (8, 8)])
def test_batch_position_and_devices_do_not_change_a_photo(batch_size, devices):
    if len(jax.devices()) < devices:
        pytest.skip(f"needs {devices} devices")
    originals = [photo(20 + 7 * i, 33 + 5 * i, seed=i) for i in range(5)]
    single = Protector(perturber(), 1, sharding.make_mesh(jax.devices()[:1]))
    many = Protector(perturber(), batch_size, sharding.make_mesh(jax.devices()[:devices]))
    assert (single.batch_size, many.batch_size) == (1, batch_size)
    alone = [single.protect_many([p])[0] for p in originals]
    together = many.protect_many(originals)
    for one, other in zip(alone, together, strict=True):
        assert budget.linf_255(one, other) <= 1  # another batch may round a half differently
        assert (one != other).mean() < 0.01


def test_a_batch_is_rounded_up_to_what_the_devices_share_equally():
    count = len(jax.devices())
    assert Protector(perturber(), count + 1).batch_size == 2 * count


def test_all_batches_and_weights_share_one_compilation():
    net = perturber(input_size=SIZE + 4)
    halved = dataclasses.replace(net, variables=jax.tree.map(lambda x: x * 0.5, net.variables))
    first, second = Protector(net, 3), Protector(halved, 3)
    before = protector.outputs._cache_size()
    for count in (1, 3, 7):
        assert len(first.outputs(np.zeros((count, SIZE + 4, SIZE + 4, 3), np.uint8))) == count
    crop = photo(SIZE + 4, SIZE + 4)[None]
    assert not np.array_equal(first.outputs(crop), second.outputs(crop))
    assert protector.outputs._cache_size() == before + 1


def test_nothing_to_protect_gives_nothing():
    assert shared_protector().protect_many([]) == []
    assert shared_protector().outputs(np.zeros((0, SIZE, SIZE, 3), np.uint8)).shape[0] == 0


def test_without_a_hard_bound_the_delta_may_exceed_eps():
    free = Protector(perturber(budget={"eps_255": 6.375, "bound": "none"}), 1)
    original = photo(SIZE, SIZE) // 2 + 64
    (protected,) = free.protect_many([original])
    assert budget.linf_255(original, protected) > 7


@pytest.mark.parametrize(
    ("card_budget", "message"),
    [(None, "no budget"), ({"eps": 3.0}, "unknown fields"), ({"bound": "box"}, "expected one of")],
)
def test_a_card_without_a_usable_budget_is_refused(card_budget, message):
    with pytest.raises(ValueError, match=message):
        Protector(perturber(budget=card_budget), 1)


def test_crops_of_another_size_are_refused():
    with pytest.raises(ValueError, match="16 x 16"):
        shared_protector().outputs(np.zeros((1, 20, 20, 3), np.uint8))


@pytest.mark.parametrize("box", [Box(-1, 0, 5), Box(30, 0, 11), Box(0, 0, 0)])
def test_a_box_outside_the_photo_is_refused(box):
    with pytest.raises(ValueError, match="does not lie inside"):
        shared_protector().protect_many([photo(40, 40)], [box])
