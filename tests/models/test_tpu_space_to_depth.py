"""Convolutions of blocks are those of maps, and a network for a TPU is the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import tiny_network

from dfd_jax import models
from dfd_jax.models import operations
from dfd_jax.models.frozen import Card
from dfd_jax.models.layers import InstanceNorm
from dfd_jax.models.resampling import depth_to_space, space_to_depth
from dfd_jax.models.tpu import space_to_depth as blocks
from dfd_jax.models.tpu.layers import BlockInstanceNorm


def random(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape), jnp.float32)


def in_blocks(x, offset):
    around = ((0, 0), (offset, offset), (offset, offset), (0, 0))
    return space_to_depth(jnp.pad(x, around))


def on_map(found):
    return jnp.where(blocks.is_on_map(*found.shape[1:]), found, 0)


def assert_alike(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-4)


def same(x, kernel):
    return operations.library_conv(x, kernel, 1, (len(kernel) // 2,) * 2)


def test_depth_to_space_is_the_inverse_of_space_to_depth():
    x = random(2, 6, 4, 3)
    np.testing.assert_array_equal(depth_to_space(space_to_depth(x)), x)
    np.testing.assert_array_equal(space_to_depth(x)[1, 2, 1, 3:6], x[1, 4, 3])  # upper right
    x = random(2, 8, 4, 3)
    np.testing.assert_array_equal(space_to_depth(x, 2), space_to_depth(space_to_depth(x)))
    np.testing.assert_array_equal(depth_to_space(space_to_depth(x, 2), 2), x)


@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize(("channels", "features"), [(5, 6), (40, 3), (40, 40)])
def test_a_convolution_into_blocks_and_out_of_them(size, channels, features):
    x, kernel = random(2, 12, 16, channels), random(size, size, channels, features)
    expected = same(x, kernel)
    assert_alike(on_map(blocks.conv_to_blocks(x, kernel)), in_blocks(expected, 1))
    for offset in (0, 1):
        found = blocks.conv_from_blocks(in_blocks(x, offset), kernel, offset)
        assert_alike(depth_to_space(found), expected)


def test_strided_and_transposed_convolutions():
    x, kernel = random(2, 12, 16, 5), random(4, 4, 5, 7)
    expected = operations.library_conv(x, kernel, 2, (1, 1))
    assert_alike(blocks.strided_conv(in_blocks(x, 1), kernel), expected)
    small = random(2, 6, 8, 7)
    expected = operations.conv_transpose(small, kernel)
    assert_alike(on_map(blocks.transposed_conv(small, kernel)), in_blocks(expected, 1))


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_norm_of_blocks_is_that_of_their_map(offset, dtype):
    x = 3 + random(2, 12, 16, 4).astype(dtype)
    variables = {"params": {"scale": random(4), "bias": random(4, seed=1)}}
    garbage = jnp.where(blocks.is_on_map(7, 9, 16), in_blocks(x, 1), 99.0)
    norm = BlockInstanceNorm(offset)
    found = norm.apply(variables, garbage if offset else in_blocks(x, 0))
    expected = InstanceNorm().apply(variables, x.astype("float32"))
    assert_alike(found, in_blocks(expected, offset))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["stargan", "ganimation", "xception", "unet", "unet of patches"])
def test_a_network_for_a_tpu_has_the_same_outputs_and_gradients(model):
    if model == "unet of patches":
        net = models.build(Card("unet", {"width": 4, "depth": 3, "patch": 2}, 16))
    else:
        net = tiny_network(model, size=32 if model == "xception" else 16)
    plain, other = (models.outline(net.card, platform=name).module for name in ("cpu", "tpu"))
    assert type(other) is not type(plain)
    assert isinstance(other, type(plain))
    x = jnp.tanh(random(2, net.card.input_size, net.card.input_size, 3))
    condition = [random(2, plain.c_dim)] if hasattr(plain, "c_dim") else []

    def run(module):
        def outputs_and_gradients(variables, x):
            outputs, back = jax.vjp(lambda v, x: module.apply(v, x, *condition), variables, x)
            return outputs, back(jax.tree.map(lambda y: random(*y.shape, seed=2), outputs))

        return jax.jit(outputs_and_gradients)(net.variables, x)

    for found, expected in zip(*(jax.tree.leaves(run(m)) for m in (other, plain)), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4 * float(abs(expected).max()) + 1e-7)
