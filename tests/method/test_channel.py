"""The resize round trip that training goes through is the one that files go through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dfd_jax import pixels
from dfd_jax.method import budget, channel
from dfd_jax.method.budget import Budget


@pytest.mark.parametrize(("old", "new"), [(64, 178), (178, 64), (64, 64), (64, 41), (7, 3)])
def test_the_resize_matrix_is_pillows_bilinear(old, new):
    column = np.random.default_rng(0).random((old, 1)).astype(np.float32)
    expected = np.asarray(Image.fromarray(column).resize((1, new), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(channel.resize_matrix(old, new) @ column, expected, atol=2e-6)


def test_the_resize_matrix_is_the_detectors_resize():
    column = np.random.default_rng(1).random((1, 50, 1, 1)).astype(np.float32)
    expected = jax.image.resize(column, (1, 20, 1, 1), "bilinear", antialias=True)
    found = channel.resize_matrix(50, 20) @ column[0, :, 0]
    np.testing.assert_allclose(found, expected[0, :, 0], atol=1e-5)


def test_a_bound_holds_at_the_photos_own_resolution():
    raw = np.random.default_rng(2).normal(0, 3, (16, 16, 3)).astype(np.float32)
    delta = pixels.units_to_levels(1) * on_the_host(raw, 45, Budget(6.375))
    assert delta.shape == (45, 45, 3)
    assert 6 < np.abs(delta).max() <= 6.375


def on_the_host(raw, side, budget):
    return np.concatenate([strip for _, strip in channel.perturbation_strips(raw, side, budget)])


@pytest.mark.parametrize("bound", ["tanh", "none"])
@pytest.mark.parametrize(("size", "side"), [(16, 16), (16, 45), (16, 9), (64, 712), (5, 1), (1, 7)])
def test_the_host_and_the_traced_path_agree(size, side, bound):
    raw = np.random.default_rng(6).normal(0, 2, (size, size, 3)).astype(np.float32)
    crop, budget_ = channel.CropResize.of_side(side, size), Budget(6.375, bound)
    batch = jnp.asarray(raw).transpose(2, 0, 1)[None]
    traced = channel.perturbation(batch, crop.enlarge, budget_)[0].transpose(1, 2, 0)
    np.testing.assert_allclose(on_the_host(raw, side, budget_), traced, atol=1e-5)
    strips = list(channel.resize_strips(raw, side))
    assert [row for rows, _ in strips for row in range(side)[rows]] == list(range(side))
    resized = channel.resize(batch, crop.enlarge)[0].transpose(1, 2, 0)
    np.testing.assert_allclose(np.concatenate([s for _, s in strips]), resized, atol=1e-5)


@pytest.mark.parametrize("side", [16, 45, 9])
def test_training_sees_what_a_file_and_the_attackers_resize_do(side):
    raw = np.random.default_rng(3).normal(0, 1, (2, 16, 16, 3)).astype(np.float32)
    photo = np.random.default_rng(4).integers(20, 230, (side, side, 3)).astype(np.uint8)
    region = channel.CropResize.of_side(side, 16)
    arrival = channel.through_file(
        jax.random.key(0), jnp.asarray(raw), (region,), Budget(6.375), "linf"
    )
    for i in range(2):
        delta = on_the_host(raw[i], side, Budget(6.375))
        written = budget.apply_to_pixels(photo, delta, Budget(6.375)).astype(np.float32)
        reduced = [
            np.einsum("ij,jkc,lk->ilc", region.reduce, x, region.reduce)
            for x in (photo.astype(np.float32), written)
        ]
        np.testing.assert_allclose(arrival.deltas[i] * 127.5, reduced[1] - reduced[0], atol=1e-2)
        np.testing.assert_allclose(arrival.norms[i], np.abs(delta).max(), rtol=1e-5)
        np.testing.assert_allclose(arrival.rms[i], np.sqrt((delta**2).mean()), rtol=1e-4)


def test_bounding_after_enlarging_lets_more_arrive():
    checkers = np.indices((16, 16)).sum(0)[..., None].repeat(3, -1) % 2 * 40.0 - 20.0
    region = channel.CropResize.of_side(45, 16)
    rng, raw = jax.random.key(0), jnp.asarray(checkers, jnp.float32)[None]
    after = channel.through_file(rng, raw, (region,), Budget(6.0), "linf").deltas
    bounded_before = channel.resize(jnp.tanh(raw.transpose(0, 3, 1, 2)) * 6 / 127.5, region.enlarge)
    before = channel.resize(bounded_before, region.reduce)
    assert jnp.square(after).mean() > 2 * jnp.square(before).mean()


def test_a_batch_meets_different_regions_at_different_steps():
    raw = jnp.asarray(np.random.default_rng(5).normal(0, 1, (2, 8, 8, 3)), jnp.float32)
    regions = (channel.CropResize.of_side(8, 8), channel.CropResize.of_side(20, 8))
    arrived = [
        float(
            channel.through_file(jax.random.key(i), raw, regions, Budget(), "rms").deltas[
                0, 0, 0, 0
            ]
        )
        for i in range(8)
    ]
    assert len(set(arrived)) == 2
