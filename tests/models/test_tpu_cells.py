"""Convolutions of cells are those of maps, and a network for a TPU is the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import tiny_network

from dfd_jax import models
from dfd_jax.models import convolution
from dfd_jax.models.frozen import Card
from dfd_jax.models.layers import InstanceNorm
from dfd_jax.models.tpu import cells


def random(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape), jnp.float32)


def in_cells(x, offset):
    around = ((0, 0), (offset, offset), (offset, offset), (0, 0))
    return cells.pack(jnp.pad(x, around))


def existing(found):
    return jnp.where(cells.exists(*found.shape[1:]), found, 0)


def assert_alike(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-4)


def same(x, kernel):
    return convolution.plain(x, kernel, 1, (len(kernel) // 2,) * 2)


def test_packing_is_undone_by_unpacking():
    x = random(2, 6, 4, 3)
    np.testing.assert_array_equal(cells.unpack(cells.pack(x)), x)
    np.testing.assert_array_equal(cells.pack(x)[1, 2, 1, 3:6], x[1, 4, 3])  # upper right
    x = random(2, 8, 4, 3)
    np.testing.assert_array_equal(cells.pack(x, 2), cells.pack(cells.pack(x)))
    np.testing.assert_array_equal(cells.unpack(cells.pack(x, 2), 2), x)


@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize(("channels", "features"), [(5, 6), (40, 3), (40, 40)])
def test_a_convolution_into_cells_and_out_of_them(size, channels, features):
    x, kernel = random(2, 12, 16, channels), random(size, size, channels, features)
    expected = same(x, kernel)
    assert_alike(existing(cells.spread(x, kernel)), in_cells(expected, 1))
    for offset in (0, 1):
        found = cells.gather(in_cells(x, offset), kernel, offset)
        assert_alike(cells.unpack(found), expected)


def test_halving_and_doubling():
    x, kernel = random(2, 12, 16, 5), random(4, 4, 5, 7)
    assert_alike(cells.halve(in_cells(x, 1), kernel), convolution.halve(x, kernel))
    small = random(2, 6, 8, 7)
    expected = convolution.double(small, kernel)
    assert_alike(existing(cells.double(small, kernel)), in_cells(expected, 1))
    assert_alike(convolution.spaced(small, kernel), expected)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_norm_of_cells_is_that_of_their_map(offset, dtype):
    x = 3 + random(2, 12, 16, 4).astype(dtype)
    variables = {"params": {"scale": random(4), "bias": random(4, seed=1)}}
    garbage = jnp.where(cells.exists(7, 9, 16), in_cells(x, 1), 99.0)
    found = InstanceNorm().apply(variables, garbage if offset else in_cells(x, 0), offset)
    expected = InstanceNorm().apply(variables, x.astype("float32"))
    assert_alike(found, in_cells(expected, offset))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["stargan", "xception", "unet", "unet of patches"])
def test_a_network_for_a_tpu_has_the_same_outputs_and_gradients(model):
    if model == "unet of patches":
        net = models.build(Card("unet", {"width": 4, "depth": 3, "patch": 2}, 16))
    else:
        net = tiny_network(model, size=32 if model == "xception" else 16)
    plain, other = (models.outline(net.card, platform=name).module for name in ("cpu", "tpu"))
    assert other.for_tpu
    assert not plain.for_tpu
    x = jnp.tanh(random(2, net.card.input_size, net.card.input_size, 3))
    condition = [random(2, plain.c_dim)] if hasattr(plain, "c_dim") else []

    def run(module):
        def outputs_and_gradients(variables, x):
            outputs, back = jax.vjp(lambda v, x: module.apply(v, x, *condition), variables, x)
            return outputs, back(random(*outputs.shape, seed=2))

        return jax.jit(outputs_and_gradients)(net.variables, x)

    for found, expected in zip(*(jax.tree.leaves(run(m)) for m in (other, plain)), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4 * float(abs(expected).max()) + 1e-7)
