"""A convolution is the same in all of its forms, and so are its gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax.models import convolution
from dfd_jax.models.convolution import Conv, ConvTranspose

SHAPES = {  # side, kernel, stride, padding: of each form
    "product of patches": (8, 3, 1, (1, 1)),
    "product of strided patches": (9, 3, 2, (0, 1)),
    "product of pixels": (24, 1, 1, (0, 0)),
    "product of every other pixel": (35, 1, 2, (0, 0)),
    "padded pixels": (20, 1, 1, (1, 1)),
    "sub-pixel": (40, 4, 2, (1, 1)),
    "odd side": (41, 4, 2, (1, 1)),
    "plain": (24, 5, 1, (2, 1)),
}
CENTRED = {  # side, kernel, channels in and out: of each form of `same`
    "filtered": (24, 3, 32, 48),
    "filtered, last rows alone": (18, 3, 32, 32),
    "one channel more": (20, 7, 3, 32),
    "centred": (20, 5, 8, 6),
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


def test_wide_convolutions_are_filtered_on_a_cpu_alone():
    x, kernel = jnp.zeros((2, 16, 16, 32)), jnp.zeros((3, 3, 32, 32))
    call = jax.jit(convolution.same).trace(x, kernel)
    on_cpu, on_gpu = (call.lower(lowering_platforms=(name,)).as_text() for name in ("cpu", "cuda"))
    assert (on_cpu.count("stablehlo.convolution"), on_gpu.count("stablehlo.convolution")) == (6, 1)


@pytest.mark.parametrize("height", [3, 7, 12])
def test_planes_of_one_value_are_convolved_as_such(height):
    values, kernel = random(2, 5), random(7, 7, 5, 4)
    planes = jnp.broadcast_to(values[:, None, None], (2, height, 9, 5))
    found = convolution.of_constants(values, kernel, height, 9)
    np.testing.assert_allclose(found, convolution.same(planes, kernel), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [3, 16])
def test_the_sub_pixel_form_of_a_transposed_convolution_gives_the_same_numbers(side):
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
        return jax.jit(lambda x: convolution.convolve(x, kernel, 1, (1, 1))).lower(x).as_text()

    assert "stablehlo.dot_general" in program(4)
    assert "stablehlo.convolution" in program(5)
