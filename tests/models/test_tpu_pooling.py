"""Pooling in the order [h, w, b, c] is that of the usual order, gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparisons import assert_alike, random

from dfd_jax.models import layers
from dfd_jax.models.tpu import pooling, rows


def pooled(x):
    return rows.to_images(pooling.max_pool_3x3(rows.from_images(x)))


def test_of_equal_values_in_a_window_the_first_one_gets_the_gradient():
    x = jnp.round(random(2, 7, 8, 3))  # many are equal
    for image in (x, x.at[0, 2, 3].set(jnp.nan)):
        found = pooled(image)
        np.testing.assert_array_equal(found, layers.max_pool_3x3(image))
    assert_alike(pooled, layers.max_pool_3x3, x)


@pytest.mark.parametrize("sides", [(7, 8), (9, 4)])
def test_maxima_of_bfloat16_know_where_they_come_from(sides):
    def found(x):
        return pooled(x.astype(jnp.bfloat16))

    x = jnp.round(random(2, *sides, 3))  # many are equal, some below zero
    image = x.at[0, 2, 3].set(jnp.nan).at[1, 0, 0].set(jnp.inf).at[1, 3].set(-jnp.inf)
    np.testing.assert_array_equal(found(image).astype(jnp.float32), layers.max_pool_3x3(image))

    def gradient(pool):
        maxima, back = jax.vjp(pool, x)
        weights = jnp.round(8 * random(*maxima.shape, seed=9))  # sums are exact
        return back(weights.astype(maxima.dtype))[0]

    np.testing.assert_array_equal(gradient(found), gradient(layers.max_pool_3x3))
