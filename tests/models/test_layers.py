"""The layers that must match PyTorch: the norms, depthwise convolution and max-pool."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax.models import layers


def images(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def test_batch_norm_in_training_uses_the_batch_and_moves_its_statistics_a_tenth():
    x = 3 * images(4, 5, 6, 2) + 7
    norm = layers.BatchNorm()
    variables = norm.init(jax.random.key(0), x, False)
    y, updated = norm.apply(variables, x, True, mutable=["batch_stats"])
    flat = np.asarray(x, np.float64).reshape(-1, 2)
    want = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    np.testing.assert_allclose(np.reshape(y, (-1, 2)), want, atol=1e-5)
    stats = updated["batch_stats"]
    np.testing.assert_allclose(stats["mean"], 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)


def test_batch_norm_at_inference_uses_what_it_stored():
    x = images(2, 3, 3, 2)
    stored = {"mean": jnp.array([1.0, -2.0]), "var": jnp.array([4.0, 0.0])}
    params = {"scale": jnp.array([2.0, 1.0]), "bias": jnp.array([0.0, 3.0])}
    y = layers.BatchNorm().apply({"params": params, "batch_stats": stored}, x, False)
    want = (x - stored["mean"]) / np.sqrt([4 + 1e-5, 1e-5]) * params["scale"] + params["bias"]
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (8, 7)])
def test_depthwise_convolution_is_the_grouped_convolution(size):
    x = images(2, *size, 5)
    conv = layers.DepthwiseConv()
    variables = conv.init(jax.random.key(1), x)
    want = jax.lax.conv_general_dilated(
        x,
        variables["params"]["kernel"],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=5,
    )
    np.testing.assert_allclose(conv.apply(variables, x), want, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8), (9, 6)])
def test_max_pool_and_its_gradient_equal_the_library_one_even_for_ties(size):
    x = nn.relu(jnp.round(2 * images(2, *size, 3)))  # many equal values
    weights = images(2, *(-(-side // 2) for side in size), 3, seed=1)

    def library(x):
        return nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))

    ours, our_vjp = jax.vjp(layers.max_pool_3x3, x)
    theirs, their_vjp = jax.vjp(library, x)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(our_vjp(weights)[0], their_vjp(weights)[0], atol=1e-6)


def test_max_pool_passes_nan_on():
    x = images(1, 4, 4, 1).at[0, 3, 3, 0].set(jnp.nan)
    assert np.isnan(layers.max_pool_3x3(x)[0, :, :, 0]).tolist() == [[False, False], [False, True]]


def test_instance_norm_does_not_depend_on_the_rest_of_the_batch():
    x = images(3, 6, 6, 4)
    norm = layers.InstanceNorm()
    variables = norm.init(jax.random.key(0), x)
    np.testing.assert_allclose(
        norm.apply(variables, x)[1:2], norm.apply(variables, x[1:2]), atol=1e-6
    )
