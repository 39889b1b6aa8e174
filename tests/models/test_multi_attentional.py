"""The multi-attentional detector's own parts, on both backbones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax import models
from dfd_jax.models.detectors import multi_attentional
from dfd_jax.models.frozen import Card

SIZE = 48
SMALL = {
    "efficientnet": {
        "channels": (8, 4, 6, 8, 8, 10, 10, 12, 16),
        "depths": (1, 1, 1, 1, 1, 1, 1),
        "attention_layer": "b3",
    },
    "xception": {
        "backbone": "xception",
        "channels": (4, 6, 8, 8, 8, 8, 12, 16),
        "depths": (1,),
        "feature_layer": "b1",
        "attention_layer": "b2",
    },
}
PHOTOS = np.random.default_rng(5).uniform(-1, 1, (3, SIZE, SIZE, 3)).astype(np.float32)


def maps_of(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def small(backbone, **changes):
    hyper = {**SMALL[backbone], "maps": 3, "mid_dims": 8, **changes}
    return models.build(Card("multi_attentional", hyper, SIZE, real_index=0))


def filled(module, *inputs):
    """Variables of a module, random but for norms, which are the identity."""
    constants = {"bias": 0.0, "mean": 0.0, "scale": 1.0, "var": 1.0}
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, False))
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            np.full(leaf.shape, constants[path[-1].key], np.float32)
            if path[-1].key in constants
            else maps_of(*leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
        ),
        shapes,
    )


@pytest.fixture(scope="module", params=SMALL)
def trained_once(request):
    """A small network and what two differently seeded training passes give: parts, changes."""
    net = small(request.param)

    @jax.jit
    def train(variables, rng):
        rngs = {"dropout": rng}
        options = {"train": True, "mutable": ["batch_stats"], "rngs": rngs, "method": "parts"}
        return net.apply(variables, PHOTOS, **options)

    return net, *(train(net.variables, jax.random.key(seed)) for seed in (1, 2))


def test_training_learns_statistics_and_drops_maps(trained_once):
    net, (parts, updated), (other, _) = trained_once
    assert parts.logits.shape == (3, 2)
    assert not np.allclose(parts.logits, other.logits)
    np.testing.assert_array_equal(parts.attentions, other.attentions)  # only their use is dropped
    stale = jax.tree.leaves(net.variables["batch_stats"])
    fresh = jax.tree.leaves(updated["batch_stats"])
    changed = [not jnp.array_equal(a, b) for a, b in zip(stale, fresh, strict=True)]
    assert all(changed)


def test_regions_are_unit_vectors_of_the_shallow_features(trained_once):
    net, (parts, _), _ = trained_once
    maps, channels = parts.regions.shape[1:]
    kernel = net.variables["params"]["texture_enhance"]["conv_extract"]["kernel"]
    assert (maps, channels) == (3, kernel.shape[-1])
    np.testing.assert_allclose(np.linalg.norm(parts.regions, axis=-1), 1, atol=1e-5)


def test_attention_is_positive_inside_and_off_at_the_border():
    module = multi_attentional.AttentionMaps(2)
    x = maps_of(1, 12, 12, 4)
    maps = np.asarray(jax.jit(module.apply, static_argnums=2)(filled(module, x), x, False))
    assert maps.shape == (1, 12, 12, 2)
    assert maps[:, 1:-1, 1:-1].min() > 0
    border = np.ones((12, 12), bool)
    border[1:-1, 1:-1] = False  # two of 24 pixels
    assert not maps[:, border].any()


def test_no_gradient_reaches_the_attention_through_texture_enhancement():
    module = multi_attentional.TextureEnhancement(2)
    features, attentions = maps_of(1, 9, 9, 3), np.abs(maps_of(1, 4, 4, 2))
    variables = filled(module, features, attentions)

    @jax.jit
    def gradients(features, attentions):
        def loss(features, attentions):
            return module.apply(variables, features, attentions, False)[0].sum()

        return jax.grad(loss, (0, 1))(features, attentions)

    of_features, of_attentions = gradients(features, attentions)
    assert np.abs(of_features).max() > 0
    assert not np.asarray(of_attentions).any()


def test_texture_is_what_local_means_leave():
    module = multi_attentional.TextureEnhancement(1)
    flat, attentions = np.ones((1, 8, 8, 3), np.float32), np.ones((1, 4, 4, 1), np.float32)
    variables = filled(module, flat, attentions)
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[1, 1] = np.eye(3)  # conv_extract leaves everything as it is
    variables["params"]["conv_extract"]["kernel"] = kernel
    bias = np.arange(3, dtype=np.float32)
    variables["params"]["conv0"]["bias"] = bias

    @jax.jit
    def first_convolution(variables):
        captured = {"capture_intermediates": True, "mutable": ["intermediates"]}
        _, state = module.apply(variables, flat, attentions, False, **captured)
        return state["intermediates"]["conv0"]["__call__"][0]

    first = first_convolution(variables)
    np.testing.assert_allclose(first, np.broadcast_to(bias, first.shape), atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_convolution_per_map_is_the_grouped_convolution(size):
    x = maps_of(2, 6, 5, 3, 4)
    module = multi_attentional.MapwiseConv(2, size)
    kernel, bias = maps_of(size, size, 4, 6, seed=1), maps_of(6, seed=2)
    ours = module.apply({"params": {"kernel": kernel, "bias": bias}}, x)
    grouped = jax.lax.conv_general_dilated(
        x.reshape(2, 6, 5, 12),
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=3,
    )
    np.testing.assert_allclose(ours.reshape(2, 6, 5, 6), grouped + bias, atol=1e-5)


def test_pooling_weighs_each_pixel_by_each_map():
    attentions = np.zeros((1, 3, 3, 2), np.float32)
    attentions[0, 0, 0, 0], attentions[0, 2, 2, 1], attentions[0, 1, 1, 1] = 2, 1, 3
    features = maps_of(1, 3, 3, 1, 4)
    pooled = multi_attentional.pool(features, attentions)
    want = [2 * features[0, 0, 0, 0], features[0, 2, 2, 0] + 3 * features[0, 1, 1, 0]]
    np.testing.assert_allclose(pooled[0], want, rtol=1e-6)


def test_a_photo_that_no_map_looks_at_has_a_verdict_and_finite_gradients():
    net = small("xception")
    bias = net.variables["params"]["attentions"]["bn2"]
    bias["bias"] = jnp.full_like(bias["bias"], -200.0)  # elu + 1 is then exactly 0

    @jax.jit
    def gradient(variables, photos):
        def loss(photos):
            parts = net.apply(variables, photos, False, method="parts")
            return parts.logits.sum() + parts.regions.sum(), parts

        return jax.grad(loss, has_aux=True)(photos)

    found, parts = gradient(net.variables, PHOTOS[:1])
    assert not np.asarray(parts.attentions).any()
    assert all(np.isfinite(leaf).all() for leaf in (found, *parts))


def test_computing_in_half_precision_changes_a_verdict_little():
    net = small("efficientnet")
    half = models.build(net.card, dtype=jnp.bfloat16)
    infer = jax.jit(lambda net, photos: net.real_logits(photos))
    np.testing.assert_allclose(infer(half, PHOTOS), infer(net, PHOTOS), atol=0.1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backbone": "vgg"}, "unknown backbone 'vgg'; known: efficientnet, xception"),
        ({"feature_layer": "b9"}, "no stage 'b9' in efficientnet: b0, b1, .*final"),
        ({"attention_layer": "logits"}, "no stage 'logits'"),
    ],
)
def test_unknown_backbones_and_stages_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        models.variable_shapes(
            Card("multi_attentional", {**SMALL["efficientnet"], **changes}, SIZE)
        )
