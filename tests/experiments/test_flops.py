"""One training step computes what it must and little else, whatever it is trained through."""

import jax
import jax.numpy as jnp
import pytest

from dfd_jax import models
from experiments import flops


@pytest.mark.slow
@pytest.mark.parametrize("generator", flops.GENERATORS)
def test_a_step_takes_at_most_a_twentieth_more_than_the_least(generator):
    """Weight gradients of a frozen network alone would add a third."""
    perturber, net = models.load("zoo:disrupter_stargan"), flops.load_generator(generator)
    for detector in flops.DETECTORS:
        nets = (net,), (models.load(detector),)
        ratio = flops.of_step(perturber, *nets) / flops.least(perturber, *nets)
        assert 0.95 < ratio < flops.LIMIT, detector


def test_gradients_of_frozen_weights_would_be_seen():
    net = models.load("zoo:stargan")
    photos, labels = jnp.zeros((2, 64, 64, 3)), jnp.zeros((2, 5))
    forward = flops.of(lambda net, x: net(x, labels), net, photos)

    def summed(variables, x):
        return net.with_variables(variables)(x, labels).sum()

    to_photo = flops.of(jax.grad(summed, argnums=1), net.variables, photos)
    to_both = flops.of(jax.grad(summed, argnums=(0, 1)), net.variables, photos)
    assert to_photo / forward == pytest.approx(2, rel=0.03)
    assert to_both / forward == pytest.approx(3, rel=0.05)
