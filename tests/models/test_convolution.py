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
    def kinds(batch):
        x, kernel = jnp.zeros((batch, 8, 8, 3)), jnp.zeros((3, 3, 3, 5))
        call = jax.make_jaxpr(lambda x: convolution.convolve(x, kernel, 1, (1, 1)))(x)
        return {str(equation.primitive) for equation in call.eqns}

    assert "dot_general" in kinds(4)
    assert "conv_general_dilated" in kinds(5)
