"""The layers that must match PyTorch: the norms, depthwise convolution and max-pool."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from dfd_jax.models import layers, operations


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def variables(channels, **arrays):
    """Parameters of a norm: the given ones, the identity otherwise."""
    params = {"scale": np.ones(channels, np.float32), "bias": np.zeros(channels, np.float32)}
    return {"params": params, **arrays}


def test_batch_norm_in_training_uses_the_batch_and_moves_its_statistics_a_tenth():
    x = 3 * images(4, 5, 6, 2) + 7
    stored = {"mean": np.zeros(2, np.float32), "var": np.ones(2, np.float32)}
    train = jax.jit(lambda v, x: layers.BatchNorm().apply(v, x, True, mutable=["batch_stats"]))
    y, updated = train(variables(2, batch_stats=stored), x)
    flat = np.asarray(x, np.float64).reshape(-1, 2)
    want = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    np.testing.assert_allclose(np.reshape(y, (-1, 2)), want, atol=1e-5)
    stats = updated["batch_stats"]
    np.testing.assert_allclose(stats["mean"], 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)


def test_batch_norms_of_other_projects_have_their_own_epsilon_and_momentum():
    x = images(4, 5, 6, 2)
    stored = {"mean": np.zeros(2, np.float32), "var": np.zeros(2, np.float32)}
    norm = layers.BatchNorm(epsilon=1e-3, momentum=0.01)
    y = norm.apply(variables(2, batch_stats=stored), x, False)
    np.testing.assert_allclose(y, x / np.sqrt(1e-3), rtol=1e-5)
    _, updated = norm.apply(variables(2, batch_stats=stored), x, True, mutable=["batch_stats"])
    mean = np.mean(x, (0, 1, 2), np.float64)
    np.testing.assert_allclose(updated["batch_stats"]["mean"], 0.01 * mean, rtol=1e-4)


def test_batch_norm_at_inference_uses_what_it_stored():
    x = images(2, 3, 3, 2)
    stored = {"mean": np.array([1.0, -2.0]), "var": np.array([4.0, 0.0])}
    params = {"scale": np.array([2.0, 1.0]), "bias": np.array([0.0, 3.0])}
    infer = jax.jit(lambda v, x: layers.BatchNorm().apply(v, x, False))
    y = infer({"params": params, "batch_stats": stored}, x)
    want = (x - stored["mean"]) / np.sqrt([4 + 1e-5, 1e-5]) * params["scale"] + params["bias"]
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("sides", "size", "stride", "padding"),
    [
        ((1, 1), 3, 1, (1, 1)),
        ((8, 7), 3, 1, (1, 1)),
        ((8, 7), 3, 2, (0, 1)),
        ((8, 7), 5, 1, (2, 2)),
        ((9, 8), 5, 2, (1, 2)),
        ((9, 8), 3, 2, (0, 0)),
    ],
)
def test_depthwise_convolution_is_the_grouped_convolution(sides, size, stride, padding):
    x = images(2, *sides, 5)
    kernel = images(size, size, 1, 5, seed=1)

    def grouped(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            (padding, padding),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=5,
        )

    def ours(x, kernel):
        module = layers.DepthwiseConv(size, stride, padding)
        return module.apply({"params": {"kernel": kernel}}, x)

    @jax.jit
    def values_and_gradients(x, kernel):
        return [jax.value_and_grad(loss_of(conv), (0, 1))(x, kernel) for conv in (ours, grouped)]

    def loss_of(conv):
        return lambda x, kernel: (conv(x, kernel) ** 2).sum()

    assert ours(x, kernel).shape == grouped(x, kernel).shape
    (value, gradients), (their_value, their_gradients) = values_and_gradients(x, kernel)
    np.testing.assert_allclose(value, their_value, rtol=1e-5)
    for gradient, theirs in zip(gradients, their_gradients, strict=True):
        np.testing.assert_allclose(gradient, theirs, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 6)])
def test_max_pool_and_its_gradient_equal_the_library_one_even_for_ties(size):
    x = np.maximum(np.round(2 * images(2, *size, 3)), 0)  # many equal values
    weights = images(2, *(-(-side // 2) for side in size), 3, seed=1)

    def library(x):
        return nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))

    @jax.jit
    def both(x, weights):
        results = [jax.vjp(pool, x) for pool in (operations.max_pool_3x3, library)]
        return [(y, vjp(weights)[0]) for y, vjp in results]

    (ours, our_gradient), (theirs, their_gradient) = both(x, weights)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(our_gradient, their_gradient, atol=1e-6)


def test_max_pool_passes_nan_on():
    x = images(1, 4, 4, 1)
    x[0, 3, 3] = np.nan
    assert np.isnan(jax.jit(operations.max_pool_3x3)(x)[0, :, :, 0]).tolist() == [
        [False, False],
        [False, True],
    ]


def test_instance_norm_does_not_depend_on_the_rest_of_the_batch():
    x = images(3, 6, 6, 4)
    norm = jax.jit(lambda x: layers.InstanceNorm().apply(variables(4), x))
    alone = norm(x[1:2])
    np.testing.assert_allclose(norm(x)[1:2], alone, atol=1e-6)
    np.testing.assert_allclose(np.mean(alone, (1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(np.var(alone, (1, 2)), 1, atol=1e-4)
