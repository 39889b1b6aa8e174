"""The resize round trip that training goes through is the one that files go through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dfd_jax import channel
from PIL import Image


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


def test_rows_keep_a_bound():
    matrix = channel.resize_matrix(64, 150)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-5)


def test_training_sees_what_a_file_does_to_a_delta():
    delta = np.random.default_rng(2).normal(0, 0.05, (2, 16, 16, 3)).astype(np.float32)
    matrices = jnp.asarray(channel.round_trip_matrices(16, (45,)))
    seen = channel.through_regions(jax.random.key(0), jnp.asarray(delta), matrices)
    for i in range(2):
        large = channel.resize_delta(delta[i], 45, 45)
        np.testing.assert_allclose(seen[i], channel.resize_delta(large, 16, 16), atol=1e-6)


def test_the_region_is_drawn_per_photo_and_the_network_size_changes_nothing():
    delta = jnp.asarray(np.random.default_rng(3).normal(0, 1, (32, 8, 8, 3)), jnp.float32)
    matrices = jnp.asarray(channel.round_trip_matrices(8, (8, 20)))
    seen = channel.through_regions(jax.random.key(1), delta, matrices)
    unchanged = np.isclose(seen, delta, atol=1e-5).all((1, 2, 3))
    assert 4 < unchanged.sum() < 28
