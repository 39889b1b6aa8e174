"""Pixel ranges: nothing is lost between 8 bits and [-1, 1], and rounding lets gradients through."""

import jax
import jax.numpy as jnp
import numpy as np

from dfd_jax import pixels


def test_every_level_survives_the_round_trip():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, -1)
    images = pixels.from_uint8(jnp.asarray(levels))
    assert (float(images.min()), float(images.max())) == (-1, 1)
    np.testing.assert_array_equal(pixels.to_uint8(images), levels)
    on_the_host = pixels.from_uint8(levels)
    assert isinstance(on_the_host, np.ndarray)
    np.testing.assert_allclose(on_the_host, images, atol=1e-7)
    np.testing.assert_array_equal(pixels.to_uint8(on_the_host), levels)


def test_the_usual_epsilon_is_6_375_levels():
    assert pixels.units_to_levels(0.05) == 6.375
    assert pixels.levels_to_units(6.375) == 0.05


def test_rounding_gives_what_a_file_would_hold():
    images = jnp.linspace(-1.2, 1.2, 48).reshape(1, 4, 4, 3)
    kept = pixels.from_uint8(pixels.to_uint8(images))
    np.testing.assert_allclose(pixels.round_8bit(images), kept, atol=1e-6)


def test_the_gradient_passes_the_rounding_but_not_the_clipping():
    images = jnp.asarray([[[[-1.5, 0.1003, 1.5]]]])
    gradient = jax.grad(lambda x: pixels.round_8bit(x).sum())(images)
    np.testing.assert_array_equal(gradient.ravel(), [0, 1, 0])
