"""ResNet and Xception as networks to train and as frozen detectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax import models
from dfd_jax.models.frozen import Card

SMALL = {
    "resnet18": {"width": 4},
    "resnet50": {"stage_sizes": [1, 1, 1, 1], "width": 4},
    "xception": {"channels": [4, 4, 8, 8, 8, 8, 8, 8], "middle_blocks": 1, "dropout": 0.5},
}
PHOTOS = np.random.default_rng(5).uniform(-1, 1, (3, 40, 36, 3)).astype(np.float32)


@pytest.mark.parametrize("model", SMALL)
def test_training_learns_statistics_and_inference_leaves_them_alone(model):
    net = models.build(Card(model, SMALL[model], 32))
    module, variables = net.module, net.variables

    @jax.jit
    def train(variables, images, rng):
        return module.apply(
            variables, images, train=True, mutable=["batch_stats"], rngs={"dropout": rng}
        )

    logits, updated = train(variables, PHOTOS, jax.random.key(1))
    other, _ = train(variables, PHOTOS, jax.random.key(2))
    assert logits.shape == (3, 2)
    assert jnp.array_equal(logits, other) == (model != "xception")  # only its head has dropout
    stale, fresh = jax.tree.leaves(variables["batch_stats"]), jax.tree.leaves(updated)
    assert all(not jnp.array_equal(a, b) for a, b in zip(stale, fresh, strict=True))
    infer = jax.eval_shape(module.apply, variables, PHOTOS)  # immutable: it would raise if it wrote
    assert infer.shape == (3, 2)


def test_a_detectors_verdict_follows_its_real_index():
    card = Card("resnet18", {"width": 4}, 32, real_index=0)
    net = models.build(card)
    flipped = net.replace(card=Card("resnet18", {"width": 4}, 32, real_index=1))

    @jax.jit
    def verdicts(net, flipped, images):
        logits = net.apply(net.variables, net._normalised(images))
        return net(images), flipped(images), jax.nn.softmax(logits)[:, 0]

    p, opposite, first_class = verdicts(net, flipped, PHOTOS)
    assert p.shape == (3,)
    np.testing.assert_allclose(p + opposite, 1, atol=1e-6)
    np.testing.assert_allclose(p, first_class, atol=1e-6)


def test_several_sets_are_judged_in_one_pass_as_each_alone():
    net = models.build(Card("resnet18", {"width": 4}, 32, real_index=0))
    frames = np.random.default_rng(6).uniform(-1, 1, (6, 24, 24, 3)).astype(np.float32)
    judge = jax.jit(lambda net, *sets: net.real_logits_of(sets))
    photos_verdicts, frames_verdicts = judge(net, PHOTOS, frames)  # two frames of each photo
    np.testing.assert_allclose(photos_verdicts, judge(net, PHOTOS)[0], atol=1e-5)
    np.testing.assert_allclose(frames_verdicts, judge(net, frames)[0], atol=1e-5)
    assert jnp.ptp(frames_verdicts) > 1e-3  # they are not all the same picture
