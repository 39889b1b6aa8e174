"""Forms for maps in the order [h, w, b, c] are those of the usual order, gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparisons import assert_alike, random

from dfd_jax.models import convolution
from dfd_jax.models.tpu import rows


@pytest.mark.parametrize("before_product", [False, True])
@pytest.mark.parametrize("channels", [5, rows.LANES + 2, 2 * rows.LANES + 2])  # one form each
def test_a_separable_convolution(channels, before_product):
    def expected(x, depthwise, pointwise):
        y = convolution.plain(x, depthwise.swapaxes(2, 3) * pointwise, 1, (1, 1))
        return rows.from_images(y)

    def found(x, *kernels):
        return rows.separable(rows.from_images(x), *kernels, before_product=before_product)

    kernels = random(3, 3, 1, channels), random(1, 1, channels, 4)
    assert_alike(found, expected, random(2, 6, 5, channels), *kernels)


def test_relu_is_relu_at_zero_too():
    x = jnp.asarray([-1.0, 0.0, 2.0])
    assert_alike(rows.relu, jax.nn.relu, x)


@pytest.mark.parametrize("side", [11, 16])  # the last group is full, or not
def test_the_first_two_convolutions_by_groups_of_pixels(side):
    def found(x, first, second):
        groups = rows.enter(x, first)
        assert groups.shape[-1] == rows.per_group(first) * 32 == rows.LANES
        return rows.to_images(rows.from_groups(groups, second, (side - 1) // 2))

    def expected(x, first, second):
        return convolution.plain(convolution.plain(x, first, 2, (0, 0)), second, 1, (0, 0))

    kernels = random(3, 3, 3, 32), random(3, 3, 32, 4)
    assert_alike(found, expected, random(2, side, side, 3), *kernels)


def test_pixels_of_a_group_that_are_not_on_the_map_are_zero():
    groups = rows.enter(random(1, 11, 11, 3), random(3, 3, 3, 32))  # 5 pixels in groups of 4
    np.testing.assert_array_equal(groups[:, 1, :, 32:], 0)
