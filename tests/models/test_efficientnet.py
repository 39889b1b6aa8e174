"""EfficientNet: its sizes, its paddings, and all of it beside PyTorch's own layers."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from converters import core
from dfd_jax import models
from dfd_jax.models.detectors import efficientnet
from dfd_jax.models.frozen import Card

PARAMETERS = {  # of some of the published networks, with 1000 classes
    "b0": 5_288_548,
    "b2": 9_109_994,
    "b4": 19_341_616,
    "b7": 66_347_960,
}
SMALL = {"channels": (8, 4, 6, 8, 8, 10, 12, 14, 16), "depths": (1, 2, 1, 1, 1, 1, 1)}


@pytest.mark.parametrize("name", PARAMETERS)
def test_variants_have_the_published_number_of_parameters(name):
    hyper = {**efficientnet.variant_sizes(name), "num_classes": 1000}
    shapes = models.variable_shapes(Card("efficientnet", hyper, 64))
    counts = [math.prod(s) for n, s in shapes.items() if n.startswith("params/")]
    assert sum(counts) == PARAMETERS[name]


def test_unknown_variants_and_paddings_are_refused():
    with pytest.raises(ValueError, match="unknown EfficientNet 'b9'; known: b0"):
        efficientnet.variant_sizes("b9")
    with pytest.raises(ValueError, match="unknown padding 'same'; known: running, nominal"):
        models.variable_shapes(Card("efficientnet", {**SMALL, "padding": "same"}, 32))


@pytest.mark.parametrize(
    ("padding", "sides"),
    [
        ("running", [190, 190, 95, 48, 24, 24, 12, 12]),
        ("nominal", [190, 190, 95, 47, 23, 23, 11, 11]),
        ("bare_stem", [189, 189, 94, 47, 23, 23, 11, 11]),
    ],
)
def test_odd_maps_come_out_as_each_version_of_the_package_makes_them(padding, sides):
    module = efficientnet.EfficientNet(**SMALL, padding=padding)
    images = jax.ShapeDtypeStruct((1, 380, 380, 3), jnp.float32)
    init = functools.partial(module.init_with_output, method="stages", train=False)
    stages, _ = jax.eval_shape(init, jax.random.key(0), images)
    assert [stages[f"b{number}"].shape[1] for number in range(8)] == sides


def random_network(hyper):
    """A network with every array random, so that none can be left out unnoticed."""
    net = models.build(Card("efficientnet", hyper, 32))
    rng = np.random.default_rng(0)

    def redrawn(path, leaf):
        noise = rng.normal(size=leaf.shape).astype(np.float32)
        name = path[-1].key
        return {"kernel": 2 * leaf, "var": 1 + noise**2, "scale": 1 + noise / 4}.get(
            name, noise / 4
        )

    return net.replace(variables=jax.tree_util.tree_map_with_path(redrawn, net.variables))


def torch_logits(state, images, strides, sides, bare_stem=False):
    """The same network in PyTorch's functions: NCHW images, weights by their keys."""
    functional = pytest.importorskip("torch.nn.functional", reason="PyTorch is not installed")

    def conv(key, x, stride=1, side=0, groups=1):
        weight = state[f"{key}.weight"]
        if side:
            before, after = efficientnet.same_padding(side, weight.shape[-1], stride)
            x = functional.pad(x, (before, after, before, after))
        return functional.conv2d(x, weight, state.get(f"{key}.bias"), stride, groups=groups)

    def norm(key, x):
        arrays = (state[f"{key}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *arrays, eps=1e-3)

    x = conv("_conv_stem", images, 2, 0 if bare_stem else sides[0])
    x = functional.silu(norm("_bn0", x))
    for index, (stride, side) in enumerate(zip(strides, sides[1:], strict=True)):
        block, inputs = f"_blocks.{index}.", x
        if f"{block}_expand_conv.weight" in state:
            x = functional.silu(norm(f"{block}_bn0", conv(f"{block}_expand_conv", x)))
        x = conv(f"{block}_depthwise_conv", x, stride, side, groups=x.shape[1])
        x = functional.silu(norm(f"{block}_bn1", x))
        squeezed = functional.silu(conv(f"{block}_se_reduce", x.mean((2, 3), keepdim=True)))
        x = x * conv(f"{block}_se_expand", squeezed).sigmoid()
        x = norm(f"{block}_bn2", conv(f"{block}_project_conv", x))
        x = x + inputs if x.shape == inputs.shape and stride == 1 else x
    x = functional.silu(norm("_bn1", conv("_conv_head", x))).mean((2, 3))
    return functional.linear(x, state["_fc.weight"], state["_fc.bias"])


@pytest.mark.parametrize(  # a recording proves the third
    "padding", ["running", pytest.param("bare_stem", marks=pytest.mark.slow)]
)
def test_logits_and_input_gradient_equal_those_of_pytorch(padding):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    net = random_network({**SMALL, "nominal_size": 76, "padding": padding})
    paths = jax.tree_util.tree_leaves_with_path(net.variables)
    state = {}
    for path, leaf in paths:
        array = np.asarray(leaf).transpose(3, 2, 0, 1) if leaf.ndim == 4 else np.asarray(leaf).T
        state[core.torch_key("/".join(p.key for p in path))] = torch.tensor(np.array(array))
    depths = zip(efficientnet.STRIDES, SMALL["depths"], strict=True)
    strides = list(itertools.chain.from_iterable([s] + [1] * (d - 1) for s, d in depths))
    sides = [76]
    for stride in [2, *strides]:
        sides.append(math.ceil(sides[-1] / stride))

    images = np.random.default_rng(1).normal(size=(2, 60, 52, 3)).astype(np.float32)
    theirs = torch.tensor(images.transpose(0, 3, 1, 2).copy(), requires_grad=True)
    logits = torch_logits(state, theirs, strides, sides[:-1], bare_stem=padding == "bare_stem")
    logits[:, 0].mean().backward()

    @jax.jit
    def ours(variables, images):
        def loss(images):
            logits = net.apply(variables, images)
            return logits[:, 0].mean(), logits

        gradient, logits = jax.grad(loss, has_aux=True)(images)
        return logits, gradient

    our_logits, gradient = ours(net.variables, images)
    np.testing.assert_allclose(our_logits, logits.detach().numpy(), rtol=1e-4, atol=1e-5)
    their_gradient = theirs.grad.numpy().transpose(0, 2, 3, 1)
    size = np.linalg.norm(their_gradient)
    assert size > 1e-3
    assert np.linalg.norm(gradient - their_gradient) < 1e-4 * size


def test_whole_blocks_are_left_out_in_training_and_never_at_inference():
    net = models.build(Card("efficientnet", {**SMALL, "depths": (1, 1, 1, 1, 1, 1, 9)}, 32))
    photos = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)

    @jax.jit
    def train(variables, rng):
        rngs = {"dropout": rng}
        return net.apply(variables, photos, train=True, mutable=["batch_stats"], rngs=rngs)[0]

    runs = [train(net.variables, jax.random.key(seed)) for seed in range(4)]
    assert any(not np.allclose(runs[0], other) for other in runs[1:])
    assert jax.eval_shape(net.apply, net.variables, photos).shape == (2, 2)
