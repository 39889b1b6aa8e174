"""GANimation as a frozen generator, its conditions, and the checkpoint files it is read from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoints import convert, refusal, save, small_state, torch

from dfd_jax import models
from dfd_jax.data.expressions import ACTION_UNITS, EXPRESSIONS, action_units, expression_vectors
from dfd_jax.models.frozen import Card
from dfd_jax.models.generators import ganimation

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def net():
    card = Card("ganimation", {"conv_dim": 4, "blocks": 1}, input_size=16, condition=ACTION_UNITS)
    return models.build(card)


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(1).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)


@jax.jit
def call(net, photos, condition):
    return net(photos, condition)


def biased(net, head, level):
    """The network with a head that answers `level` wherever the features are positive, as a ReLU's
    are.
    """
    kernel = net.variables["params"][head]["kernel"]
    changed = {**net.variables["params"], head: {"kernel": jnp.full_like(kernel, level)}}
    return net.replace(variables={"params": changed})


def test_the_fake_is_the_photo_itself_where_attention_is_one_and_colour_where_it_is_zero(
    net, photos
):
    condition = expression_vectors()[[5, 12]]
    fakes = call(net, photos, condition)
    assert np.abs(fakes - photos).max() > 0.1
    copy = biased(net, "attetion_reg.0", 1e4)
    np.testing.assert_allclose(call(copy, photos, condition), photos, atol=1e-6)
    moved = np.clip(photos + 0.1, -1, 1)
    np.testing.assert_allclose(call(copy, moved, condition), moved, atol=1e-6)
    colour = biased(biased(net, "attetion_reg.0", -1e4), "img_reg.0", 1e4)
    np.testing.assert_allclose(call(colour, photos, condition), 1.0, atol=1e-6)


def test_raw_outputs_are_colour_then_attention(net, photos):
    condition = expression_vectors()[[5, 12]]
    colour, attention = net.apply(net.variables, photos, condition)
    assert colour.shape == (2, 16, 16, 3)
    assert attention.shape == (2, 16, 16, 1)
    assert 0 <= attention.min() < attention.max() <= 1
    expected = attention * photos + (1 - attention) * colour
    np.testing.assert_allclose(call(net, photos, condition), expected, atol=1e-5)


def test_the_condition_changes_the_fake_and_any_photo_size_is_taken(net):
    photos = np.random.default_rng(1).uniform(-1, 1, (2, 20, 24, 3)).astype(np.float32)
    neutral, happy = (call(net, photos, expression_vectors()[[i, i]]) for i in (0, 5))
    assert neutral.shape == (2, 16, 16, 3)
    assert jnp.abs(neutral).max() <= 1
    assert jnp.abs(neutral - happy).max() > 1e-2
    low = net.replace(module=net.module.clone(dtype=jnp.bfloat16))
    approximate = call(low, photos, expression_vectors()[[5, 5]])
    assert approximate.dtype == jnp.float32
    assert 0 < jnp.abs(approximate - happy).max() < 0.1


def test_saturation_pushes_attention_apart_and_is_a_hyper_parameter(net, photos):
    attention = jnp.linspace(0, 1, 101)
    pushed = ganimation.saturated(attention)
    clipped = np.clip(0.55 * np.tanh(3 * (attention - 0.5)) + 0.5, 0, 1)
    np.testing.assert_allclose(pushed, clipped, atol=1e-6)
    saturating = net.replace(module=net.module.clone(saturate_mask=True))
    condition = expression_vectors()[[5, 12]]
    colour, raw = net.apply(net.variables, photos, condition)
    same, harder = saturating.apply(net.variables, photos, condition)
    np.testing.assert_allclose(same, colour, atol=1e-6)
    np.testing.assert_allclose(harder, ganimation.saturated(raw), atol=1e-6)
    assert jnp.abs(harder - raw).max() > 0.01


def test_the_gradient_reaches_the_photo_through_both_the_copy_and_the_heads(net, photos):
    condition = expression_vectors()[[5, 12]]
    gradient = jax.jit(jax.grad(lambda x, net: jnp.square(net(x, condition) - 1).sum()))
    assert jnp.abs(gradient(photos, net)).min() > 0
    through_copy = gradient(photos, biased(net, "attetion_reg.0", 1e4))
    np.testing.assert_allclose(through_copy, 2 * (photos - 1), rtol=1e-4, atol=1e-4)


def test_conditions_are_the_expressions_by_name_or_index_and_the_photos_own_units(net):
    own = np.random.default_rng(2).uniform(0, 1, (3, 17)).astype(np.float32)
    assert net.labels == ACTION_UNITS
    assert net.conditions == (*EXPRESSIONS, "own")
    assert set(net.test_conditions) <= set(net.conditions)
    draw = jax.jit(net.sample_condition, static_argnames="target")
    happy = draw(KEY, own, target="happiness_5")
    assert happy.dtype == jnp.float32
    np.testing.assert_array_equal(happy, [action_units("happiness_5")] * 3)
    np.testing.assert_array_equal(draw(KEY, own, target="5"), happy)
    np.testing.assert_array_equal(net.test_condition(own, "80"), [action_units("blink_5")] * 3)
    np.testing.assert_array_equal(draw(KEY, own, target="own"), own)


def test_random_conditions_are_drawn_anew_for_every_photo_from_all_expressions(net):
    own = jnp.ones((2000, 17))
    drawn = np.asarray(net.sample_condition(KEY, own, "random"))
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    np.testing.assert_array_equal(rows, np.unique(expression_vectors(), axis=0))
    assert counts.min() > 5
    assert not np.array_equal(drawn, net.sample_condition(jax.random.key(1), own, "random"))


@pytest.mark.parametrize("target", ["joy", "81", "-1", "1.0", ""])
def test_unknown_targets_and_foreign_labels_are_refused(net, target):
    with pytest.raises(ValueError, match=rf"unknown target '{target}'.*neutral.*0 to 80.*'own'"):
        net.sample_condition(KEY, jnp.zeros((2, 17)), target)
    with pytest.raises(ValueError, match=r"photos have 5 labels.*knows 17: AU01, AU02"):
        net.sample_condition(KEY, jnp.zeros((2, 5)), "own")


def test_units_follow_the_cards_order_and_unnamed_ones_can_only_be_the_photos_own():
    hyper = {"conv_dim": 4, "blocks": 1, "c_dim": 2}
    some = models.build(Card("ganimation", hyper, 16, condition=("AU12", "AU01")))
    happy = some.sample_condition(KEY, jnp.zeros((1, 2)), "happiness_5")
    np.testing.assert_array_equal(happy, [[1, 0]])
    unnamed = models.build(Card("ganimation", hyper, 16, condition=("unit_0", "unit_1")))
    assert unnamed.conditions == unnamed.test_conditions == ("own",)
    np.testing.assert_array_equal(unnamed.test_condition(jnp.ones((1, 2)), "own"), [[1, 1]])
    for target in ("random", "happiness_5", "0"):
        with pytest.raises(ValueError, match="only 'own' can be asked for"):
            unnamed.sample_condition(KEY, jnp.zeros((1, 2)), target)


def other_code(state):
    """The state dict as the disruption literature's code saves it."""
    renames = {"img_reg.": "im_reg.", "attetion_reg.": "im_att."}
    file = {}
    for key, tensor in state.items():
        for ours, theirs in renames.items():
            key = key.replace(ours, theirs)
        file[key] = tensor
    for key, tensor in state.items():
        if key.startswith("main."):
            file[key.replace("main.", "debug4.", 1)] = tensor
    file["main.1.running_mean"] = file["debug1.1.running_mean"] = torch.ones(4)
    return file


def test_both_public_codes_give_the_same_network(tmp_path):
    state = small_state("ganimation")
    authors = convert("ganimation", save(state, tmp_path / "a.pth"))
    other = convert("ganimation", save(other_code(state), tmp_path / "b.ckpt"))
    jax.tree.map(np.testing.assert_array_equal, authors.variables, other.variables)
    assert authors.card.condition == other.card.condition == ACTION_UNITS
    assert isinstance(other, ganimation.GANimation)


def test_units_of_another_number_get_numbers_for_names(tmp_path):
    state = small_state("ganimation")
    state["main.0.weight"] = state["main.0.weight"][:, :5]
    path = save(state, tmp_path / "w.pth")
    assert convert("ganimation", path).card.condition == ("unit_0", "unit_1")
    named = convert("ganimation", path, "--condition", "AU12", "AU26")
    assert named.conditions == (*EXPRESSIONS, "own")


def test_a_repeated_layer_that_differs_is_refused(tmp_path):
    file = other_code(small_state("ganimation"))
    file["debug4.0.weight"] = file["debug4.0.weight"] + 1
    message = refusal("ganimation", save(file, tmp_path / "a.ckpt"))
    assert "debug4.0.weight is not a copy of main.0.weight" in message
    del file["debug4.0.weight"]
    file["debug2.99.weight"] = torch.ones(1)
    message = refusal("ganimation", save(file, tmp_path / "b.ckpt"))
    assert "debug2.99.weight is not a copy of main.99.weight" in message


def test_missing_and_foreign_keys_are_listed_in_the_files_own_names(tmp_path):
    file = other_code(small_state("ganimation"))
    del file["im_att.0.weight"]
    file["im_reg.0.bias"] = torch.zeros(3)
    message = refusal("ganimation", save(file, tmp_path / "w.ckpt"))
    assert "2 keys do not fit" in message
    assert "missing     attetion_reg.0.weight (1, 4, 7, 7)" in message
    assert "unexpected  im_reg.0.bias (3,)" in message


def test_a_discriminator_and_a_stargan_are_not_taken(tmp_path):
    path = save(small_state("stargan"), tmp_path / "w.ckpt")
    assert "StarGAN generator: use `python -m converters stargan`" in refusal("ganimation", path)
    path = save(small_state("stargan_discriminator"), tmp_path / "d.ckpt")
    assert "not a ganimation checkpoint" in refusal("ganimation", path)
