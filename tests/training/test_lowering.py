"""Everything that runs on an accelerator can be lowered for one, without having one."""

import jax
import jax.numpy as jnp
import pytest
from jax import export

from dfd_jax import models
from dfd_jax.method import channel, forward, objective, protector
from dfd_jax.method.budget import Budget
from dfd_jax.training import optimizer, steps
from dfd_jax.training.state import create_state
from experiments import flops

PLATFORMS = ("cuda", "tpu")
SIZE, BATCH = 64, 2


def lowered(function, *arguments):
    """The program for both platforms; an error if an operation exists on the CPU only."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), x.dtype), arguments)
    return export.export(function, platforms=PLATFORMS)(*shapes)


def is_for_both(program):
    return program.platforms == PLATFORMS and "stablehlo" in program.mlir_module()


@pytest.fixture(scope="module", params=flops.GENERATORS)
def generator(request):
    return flops.load_generator(request.param)


@pytest.mark.slow
def test_the_training_step(generator):
    perturber, tx = models.load("zoo:disrupter_stargan"), optimizer.make_optimizer(1e-3, 10)
    step = steps.make_train_step(perturber, tx, Budget(), objective.Objective(), generator.labels)
    regions = (channel.CropResize.of_side(SIZE, SIZE), channel.CropResize.of_side(2 * SIZE, SIZE))
    against = forward.Opponents((generator,), (models.load("zoo:xception"),), regions)
    photos = {
        "images": jnp.zeros((BATCH, SIZE, SIZE, 3), jnp.uint8),
        "attributes": jnp.zeros((BATCH, len(generator.labels))),
    }
    key = jax.random.key(0)
    program = lowered(step, create_state(perturber, tx), against, photos, key)
    assert is_for_both(program)


@pytest.mark.slow
def test_the_evaluation_step(generator):
    judges = tuple(models.load(path) for path in flops.DETECTORS)
    photos = jnp.zeros((BATCH, SIZE, SIZE, 3), jnp.uint8)
    labels = jnp.zeros((BATCH, len(generator.labels)))
    asked = generator.test_condition(labels, generator.conditions[0])
    assert is_for_both(lowered(steps.fake_and_judge, generator, judges, photos, asked))


def test_protecting():
    photos = jnp.zeros((BATCH, SIZE, SIZE, 3), jnp.uint8)
    net = models.load("zoo:disrupter_stargan")
    assert is_for_both(lowered(protector.outputs, net, photos))
