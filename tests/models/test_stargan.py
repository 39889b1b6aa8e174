"""StarGAN as a frozen generator: whose labels change, and how, and the copy in the zoo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax import models
from dfd_jax.models.frozen import Card

NAMES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
BLACK, BLOND, BROWN, MALE, YOUNG = np.eye(5, dtype=np.float32)


@pytest.fixture(scope="module")
def net():
    card = Card("stargan", {"conv_dim": 4, "blocks": 1}, input_size=16, condition=NAMES)
    return models.build(card)


@pytest.mark.parametrize(
    ("before", "target", "after"),
    [
        (BLACK + MALE, "Blond_Hair", BLOND + MALE),
        (BLACK + YOUNG, "Black_Hair", BLACK + YOUNG),
        (MALE + YOUNG, "Brown_Hair", BROWN + MALE + YOUNG),
        (BROWN + MALE, "Male", BROWN),
        (BROWN, "Male", BROWN + MALE),
        (BLOND + YOUNG, "Young", BLOND),
    ],
)
def test_hair_colours_exclude_each_other_and_other_labels_flip(net, before, target, after):
    draw = jax.jit(net.sample_condition, static_argnames="target")
    condition = draw(jax.random.key(0), jnp.stack([before, before]), target=target)
    np.testing.assert_array_equal(condition, [after, after])
    assert condition.dtype == jnp.float32


def test_random_targets_are_uniform_and_follow_the_same_rule(net):
    before = jnp.tile(BLACK + YOUNG, (500, 1))
    condition = np.asarray(net.sample_condition(jax.random.key(3), before, "random"))
    rows, counts = np.unique(condition, axis=0, return_counts=True)
    want = [BLACK + YOUNG, BLOND + YOUNG, BROWN + YOUNG, BLACK + YOUNG + MALE, BLACK]
    assert sorted(map(tuple, rows)) == sorted(map(tuple, want))
    assert counts.min() > 60
    again = net.sample_condition(jax.random.key(4), before, "random")
    assert not np.array_equal(condition, again)


def test_unknown_targets_and_foreign_attributes_are_refused(net):
    with pytest.raises(ValueError, match=r"unknown target 'Beard'.*Black_Hair.*'random'"):
        net.sample_condition(jax.random.key(0), jnp.zeros((2, 5)), "Beard")
    with pytest.raises(ValueError, match=r"photos have 4 attributes.*knows 5"):
        net.sample_condition(jax.random.key(0), jnp.zeros((2, 4)), "Male")


def test_fakes_have_the_cards_size_and_half_precision_computes_nearly_the_same(net):
    photos = np.random.default_rng(1).uniform(-1, 1, (2, 20, 24, 3)).astype(np.float32)
    condition = np.stack([BLOND, MALE])
    call = jax.jit(lambda net, photos, condition: net(photos, condition))
    fakes = call(net, photos, condition)
    assert fakes.shape == (2, 16, 16, 3)
    assert jnp.abs(fakes).max() <= 1
    low = call(net.replace(module=net.module.clone(dtype=jnp.bfloat16)), photos, condition)
    assert low.dtype == jnp.float32
    assert 0 < jnp.abs(low - fakes).max() < 0.1


def test_the_zoos_stargan_changes_the_photo_as_its_condition_says():
    net = models.load("zoo:stargan")
    assert net.card.condition == NAMES
    assert net.card.input_size == 64
    assert {"trained_on", "limits", "purpose"} <= set(net.card.info)
    ramp = np.linspace(-1, 1, 64, dtype=np.float32)
    photos = np.broadcast_to(ramp[None, :, None, None], (2, 64, 64, 3))
    conditions = np.stack([BLACK + YOUNG, BLOND + YOUNG])
    black, blond = jax.jit(lambda net, x, c: net(x, c))(net, photos, conditions)
    assert jnp.abs(black).max() <= 1
    assert blond.mean() > black.mean() + 0.02
