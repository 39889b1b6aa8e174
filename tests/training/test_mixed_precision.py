"""Networks that compute in bfloat16 say what they say in float32, within stated tolerances."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax import models, pixels
from dfd_jax.data import synthetic
from dfd_jax.method import metrics
from dfd_jax.method.budget import Budget
from dfd_jax.method.channel import CropResize
from dfd_jax.method.forward import Opponents
from dfd_jax.method.objective import Objective
from dfd_jax.training import optimizer, steps
from dfd_jax.training.state import create_state
from experiments import flops

COUNT, SIZE = 4, 64
PIXEL = 5e-3  # mean absolute difference of fakes on [-1, 1]
RELATIVE_L2 = 0.05  # of the L2 between the fakes of a photo and of its changed copy
PROBABILITY = 0.03  # of being real


@functools.cache
def faces():
    source = synthetic.SyntheticFaces(COUNT, size=SIZE, seed=0)
    return np.stack([source[i].pixels for i in range(COUNT)])


def changed():
    """The same photos with five levels of stripes."""
    stripes = np.where(np.arange(SIZE) % 5 < 2, 5, -5)[None, None, :, None]
    return np.clip(faces().astype(int) + stripes, 0, 255).astype(np.uint8)


def halved(net):
    return net.replace(module=net.module.clone(dtype=jnp.bfloat16))


@pytest.mark.slow
@pytest.mark.parametrize("path", flops.GENERATORS)
def test_a_generator_in_bfloat16(path):
    net = flops.load_generator(path)
    condition = net.test_condition(jnp.zeros((COUNT, len(net.labels))), net.conditions[0])
    call = jax.jit(lambda net, photos: net(pixels.from_uint8(photos), condition))
    full, low = (
        [np.asarray(call(each, jnp.asarray(photos))) for photos in (faces(), changed())]
        for each in (net, halved(net))
    )
    assert low[0].dtype == np.float32
    assert 0 < np.abs(low[0] - full[0]).mean() <= PIXEL
    distances = [metrics.l2(*pair).mean() for pair in (full, low)]
    assert distances[1] == pytest.approx(distances[0], rel=RELATIVE_L2)


@pytest.mark.slow
def test_detectors_in_bfloat16():
    nets = tuple(models.load(path) for path in flops.DETECTORS)
    photos = jnp.asarray(np.concatenate([faces(), changed()]))
    full, low = (
        np.stack(steps.judge(each, photos)) for each in (nets, tuple(halved(net) for net in nets))
    )
    assert low.dtype == np.float32
    assert 0 < np.abs(low - full).max() <= PROBABILITY
    sure = np.abs(full - 0.5) > PROBABILITY  # where the verdict can be the same, it is
    np.testing.assert_array_equal((low > 0.5)[sure], (full > 0.5)[sure])


def test_parameters_optimizer_and_losses_stay_float32(tiny, photos):
    perturber, generator, judge = map(halved, map(tiny, ("unet", "stargan", "resnet18")))
    tx = optimizer.make_optimizer(1e-2, 5, warmup=0)
    step = steps.make_train_step(perturber, tx, Budget(), Objective(), generator.labels)
    against = Opponents((generator,), (judge,), (CropResize.of_side(16, 16),))
    batch = {"images": jnp.asarray(photos), "attributes": jnp.zeros((8, 5))}
    state, logged = step(create_state(perturber, tx), against, batch, jax.random.key(0))
    floating = [
        leaf.dtype
        for leaf in jax.tree.leaves((state, logged))
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    assert set(floating) == {jnp.dtype(jnp.float32)}
    assert {"loss", "distortion", "fake", "real"} <= set(logged)
