"""Convolutions and pooling are the same in all of their forms, and so are their gradients."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax.models import operations
from dfd_jax.models.layers import Conv, ConvTranspose

SHAPES = {  # side, kernel, stride, padding: of each form
    "product of patches": (8, 3, 1, (1, 1)),
    "product of strided patches": (9, 3, 2, (0, 1)),
    "pixels": (24, 1, 1, (0, 0)),
    "every other pixel": (35, 1, 2, (0, 0)),
    "padded pixels": (20, 1, 1, (1, 1)),
    "sub-pixel": (40, 4, 2, (1, 1)),
    "odd side": (41, 4, 2, (1, 1)),
    "plain": (24, 5, 1, (2, 1)),
}
CENTRED = {  # side, kernel, channels in and out
    "Winograd": (24, 3, 32, 48),
    "Winograd, rows that fill no tile": (18, 3, 32, 32),
    "few channels": (20, 5, 8, 6),
}


def random(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def all_gradients(module, variables, x):
    """Output, and the gradients of a loss that weighs every output differently."""

    def loss(variables, x):
        y = module.apply(variables, x)
        return (y * random(*y.shape)).sum(), y

    (_, y), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(variables, x)
    return y, gradients


def assert_same(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("form", SHAPES)
def test_every_form_of_a_convolution_gives_the_same_numbers(form):
    side, size, stride, padding = SHAPES[form]
    x, kernel = random(2, side, side, 3), random(size, size, 3, 5)
    variables = {"params": {"kernel": kernel, "bias": random(5)}}
    ours = Conv(5, size, stride, padding, use_bias=True)
    theirs = nn.Conv(5, (size, size), (stride, stride), padding=(padding, padding))
    assert_same(all_gradients(ours, variables, x), all_gradients(theirs, variables, x))


@pytest.mark.parametrize("form", CENTRED)
def test_every_form_of_a_convolution_as_wide_as_the_map_gives_the_same_numbers(form):
    side, size, channels, features = CENTRED[form]
    x, kernel = random(2, side, side + 3, channels), random(size, size, channels, features)
    variables, around = {"params": {"kernel": kernel}}, (size // 2, size // 2)
    ours = Conv(features, size, 1, around)
    theirs = nn.Conv(features, (size, size), padding=(around, around), use_bias=False)
    assert_same(all_gradients(ours, variables, x), all_gradients(theirs, variables, x))


OPERATIONS = {  # arguments, and which of the library's operations an accelerator runs
    "conv, Winograd": (operations.conv, [(2, 16, 16, 32), (3, 3, 32, 32), 1, (1, 1)]),
    "conv, strided": (operations.conv, [(2, 32, 32, 4), (4, 4, 4, 8), 2, (1, 1)]),
    "conv, small": (operations.conv, [(2, 4, 4, 4), (3, 3, 4, 8), 1, (1, 1)]),
    "conv, pixels": (operations.conv, [(2, 32, 32, 4), (1, 1, 4, 8)]),
    "depthwise_conv": (operations.depthwise_conv, [(2, 9, 8, 5), (3, 3, 1, 5), 2]),
    "max_pool_3x3": (operations.max_pool_3x3, [(2, 9, 8, 5)]),
}


def arguments_of(sizes):
    """Arrays of those shapes that have more than two axes or are no padding, and settings."""
    is_shape = [isinstance(s, tuple) and (len(s) > 2 or i == 1) for i, s in enumerate(sizes)]
    arrays = [random(*s) for s, shape in zip(sizes, is_shape, strict=True) if shape]
    return arrays, [s for s, shape in zip(sizes, is_shape, strict=True) if not shape]


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_accelerators_run_the_librarys_own_operation_forward_and_back(name, platform):
    operation, sizes = OPERATIONS[name]
    library = getattr(operations, f"library_{operation.__name__}")
    arrays, settings = arguments_of(sizes)

    def operators(function):
        def values_and_gradients(*arrays):
            y, back = jax.vjp(lambda *arrays: function(*arrays, *settings), *arrays)
            return y, back(y)

        lowered = jax.jit(values_and_gradients).trace(*arrays).lower(lowering_platforms=(platform,))
        names = re.findall(
            r"stablehlo\.(convolution|dot_general|reduce_window|select_and_\w+)", lowered.as_text()
        )
        return sorted(set(names)), names.count("convolution")

    (ours, convolutions), (theirs, expected) = operators(operation), operators(library)
    assert ours == theirs
    assert convolutions <= expected + len(arrays)  # each gradient is a program of its own


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_form_of_a_cpu_gives_the_librarys_numbers(name):
    operation, sizes = OPERATIONS[name]
    library = getattr(operations, f"library_{operation.__name__}")
    arrays, settings = arguments_of(sizes)

    def outputs_and_gradients(function):
        y, back = jax.vjp(lambda *arrays: function(*arrays, *settings), *arrays)
        return y, back(random(*y.shape))

    assert_same(*(outputs_and_gradients(each) for each in (operation, library)))


@pytest.mark.parametrize("name", ["conv, strided", "conv, small"])
def test_gradients_of_gradients_too(name):
    operation, sizes = OPERATIONS[name]
    arrays, settings = arguments_of(sizes)

    def penalty_gradients(function):
        def penalty(x, kernel):
            slope = jax.grad(lambda x: jnp.tanh(function(x, kernel, *settings)).sum())(x)
            return jnp.square(slope).sum()

        return jax.grad(penalty, (0, 1))(*arrays)

    assert_same(*(penalty_gradients(each) for each in (operation, operations.library_conv)))


@pytest.mark.parametrize("side", [3, 16])
def test_a_transposed_convolution_is_that_of_flax(side):
    x, variables = random(2, side, side, 6), {"params": {"kernel": random(4, 4, 5, 6)}}
    theirs = nn.ConvTranspose(
        5, (4, 4), (2, 2), padding="SAME", transpose_kernel=True, use_bias=False
    )
    assert_same(all_gradients(ConvTranspose(5), variables, x), all_gradients(theirs, variables, x))


def test_variables_are_those_of_the_usual_layers():
    x, key = jnp.zeros((1, 8, 8, 3)), jax.random.key(0)
    ours = Conv(5, 3, 1, (1, 1), use_bias=True).init(key, x)
    theirs = nn.Conv(5, (3, 3)).init(key, x)
    assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, theirs)


def test_which_form_is_taken_depends_on_the_pixels_of_the_whole_batch():
    def program(batch):
        x, kernel = jnp.zeros((batch, 8, 8, 3)), jnp.zeros((3, 3, 3, 5))
        return jax.jit(lambda x: operations.conv(x, kernel, 1, (1, 1))).lower(x).as_text()

    assert "stablehlo.dot_general" in program(4)
    assert "stablehlo.convolution" in program(5)
