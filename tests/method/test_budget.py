"""The budget is never exceeded, not even after rounding to 8 bits, and its norms have gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfd_jax.method import budget, channel
from dfd_jax.method.budget import Budget


@settings(max_examples=30, deadline=None)
@given(
    eps=st.sampled_from([0.5, 2.0, 6.375, 6.6, 12.0]),
    size=st.integers(3, 20),
    side=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_a_file_never_exceeds_the_bound_whatever_the_region(eps, size, side, seed):
    rng = np.random.default_rng(seed)
    raw = jnp.asarray(rng.normal(0, 3, (1, size, size, 3)), jnp.float32)
    bounded = np.asarray(budget.bound(raw, Budget(eps)))
    assert np.abs(bounded).max() <= eps / 127.5 + 1e-6
    region = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
    strips = channel.perturbation_strips(np.asarray(raw[0]), side, Budget(eps))
    changed = np.concatenate(
        [budget.apply_to_pixels(region[rows], delta, Budget(eps)) for rows, delta in strips]
    )
    assert budget.linf_255(region, changed) <= eps


@pytest.mark.parametrize(("bound", "most"), [("tanh", 6), ("none", 255)])
def test_pixels_stay_within_bound_and_range_whatever_is_added(bound, most):
    region = np.array([[[0, 100, 255]]], np.uint8)
    for sign in (-1, 1):
        delta = np.full((1, 1, 3), sign * 1e9, np.float32)
        changed = budget.apply_to_pixels(region, delta, Budget(6.375, bound))
        expected = np.clip(region.astype(int) + sign * most, 0, 255)
        assert np.array_equal(changed, expected)


def test_without_a_bound_the_delta_is_in_multiples_of_eps():
    raw = jnp.full((1, 2, 2, 3), 3.0)
    delta = budget.bound(raw, Budget(12.75, "none"))
    np.testing.assert_allclose(delta, 0.3, rtol=1e-6)
    on_the_host = budget.bound(np.array(raw), Budget(12.75, "none"))
    assert isinstance(on_the_host, np.ndarray)
    np.testing.assert_allclose(on_the_host, 0.3, rtol=1e-6)


def test_an_unknown_bound_is_named():
    with pytest.raises(ValueError, match="'box', expected one of tanh, none"):
        budget.bound(jnp.zeros((1, 2, 2, 3)), Budget(1.0, "box"))
    with pytest.raises(ValueError, match="'box', expected one of tanh, none"):
        budget.bound(np.zeros((2, 2, 3), np.float32), Budget(1.0, "box"))


@pytest.mark.parametrize("kind", ["rms", "l2", "linf"])
def test_norms_match_their_definition_and_have_a_finite_gradient_at_zero(kind):
    delta = np.random.default_rng(0).normal(0, 0.1, (4, 5, 6, 3)).astype(np.float32)
    flat = delta.reshape(4, -1)
    expected = {
        "rms": np.sqrt((flat**2).mean(1)),
        "l2": np.linalg.norm(flat, axis=1),
        "linf": np.abs(flat).max(1),
    }[kind]
    np.testing.assert_allclose(budget.norms(jnp.asarray(delta), kind), expected, rtol=1e-5)
    zero = jnp.zeros((2, 3, 3, 3))
    assert jnp.isfinite(jax.grad(lambda d: budget.norms(d, kind).sum())(zero)).all()
