"""The U-Net perturber with patches in the place of its widest maps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax import models
from dfd_jax.models.frozen import Card

CARD = Card("unet", {"width": 4, "depth": 3, "patch": 2}, 32)


def of_patch(patch, **hyper):
    return dataclasses.replace(CARD, hyper=CARD.hyper | {"patch": patch} | hyper)


@pytest.mark.parametrize("patch", [2, 4])
def test_every_pixel_of_a_patch_has_its_own_outputs(patch):
    net = models.build(of_patch(patch))
    leave = net.variables["params"]["leave"]
    leave["kernel"] = jnp.zeros_like(leave["kernel"])
    leave["bias"] = jnp.arange(3.0 * patch**2)
    delta = np.asarray(net(jnp.zeros((1, 32, 32, 3))))[0]
    assert delta.shape == (32, 32, 3)
    tiles = delta.reshape(32 // patch, patch, 32 // patch, patch, 3).swapaxes(1, 2)
    assert (tiles == tiles[0, 0]).all()
    assert sorted(tiles[0, 0].ravel()) == list(range(3 * patch**2))


def test_every_pixel_of_a_patch_is_seen():
    net = models.build(CARD)
    x = jax.random.normal(jax.random.key(0), (1, 32, 32, 3))
    seen = jax.grad(lambda x: jnp.square(net(x)).sum())(x)
    assert (seen != 0).all()


def test_maps_of_full_resolution_are_left_out():
    names = models.variable_shapes(of_patch(2))
    assert "params/down2_conv/kernel" in names
    assert not any("down1" in name or "up0" in name for name in names)
    assert models.variable_shapes(of_patch(1))["params/up0_norm/scale"] == (4,)


@pytest.mark.parametrize(("patch", "depth"), [(3, 3), (4, 1), (0, 3)])
def test_a_patch_that_does_not_fit_is_refused(patch, depth):
    with pytest.raises(ValueError, match=f"found patch {patch} and depth {depth}"):
        models.build(of_patch(patch, depth=depth))
