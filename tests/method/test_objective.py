"""Eq. 7: each term has its sign, its form and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax.method import objective
from dfd_jax.method.objective import Objective, Seen


def seen(**changes):
    values = {
        "norms": jnp.asarray([0.1, 0.1]),
        "rms": jnp.asarray([0.1, 0.1]),
        "fakes": (jnp.full((2, 4, 4, 3), 0.5),),
        "references": (jnp.zeros((2, 4, 4, 3)),),
        "fake_logits": ((jnp.asarray([0.0, 2.0]),),),
        "real_logits": (jnp.asarray([0.0, -2.0]),),
    }
    return Seen(**{**values, **changes})


def test_the_terms_are_those_of_the_paper():
    named = objective.terms(seen(), Objective(form="prob", norm="rms", eps_255=6.375))
    sigmoid = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(named["distortion"], -0.25, rtol=1e-6)
    np.testing.assert_allclose(named["budget"], 0.1 - 0.05, rtol=1e-5)
    np.testing.assert_allclose(named["fake"], (0.5 + sigmoid) / 2, rtol=1e-6)
    np.testing.assert_allclose(named["real"], (0.5 + sigmoid) / 2, rtol=1e-6)


@pytest.mark.usefixtures("without_type_checks")
def test_the_total_is_weighted_by_name():
    weights = Objective(distortion=2.0, budget=3.0, fake=5.0, real=7.0)
    named = {"distortion": -1.0, "budget": 1.0, "fake": 1.0, "real": 1.0}
    assert float(objective.total(named, weights, 0)) == -2 + 3 + 5 + 7


@pytest.mark.usefixtures("without_type_checks")
def test_the_detectors_terms_grow_over_the_ramp():
    weights = Objective(distortion=1.0, budget=1.0, fake=4.0, real=4.0, ramp=10)
    named = {"distortion": -1.0, "budget": 0.0, "fake": 1.0, "real": 0.0}
    totals = [float(objective.total(named, weights, step)) for step in (0, 4, 9, 50)]
    np.testing.assert_allclose(totals, [-0.6, 1.0, 3.0, 3.0], rtol=1e-5)


def test_a_spent_budget_below_eps_costs_nothing():
    named = objective.terms(seen(norms=jnp.asarray([0.04, 0.05])), Objective())
    assert float(named["budget"]) == 0


def test_the_logit_form_still_pulls_when_a_detector_is_sure():
    def slope(form):
        return float(jax.grad(lambda x: objective.judged_real(x, form))(jnp.asarray([30.0]))[0])

    assert slope("prob") < 1e-6
    assert slope("logit") > 0.99


def test_a_fixed_picture_is_approached():
    away = objective.terms(seen(), Objective())["distortion"]
    towards = objective.terms(seen(), Objective(), towards=True)["distortion"]
    assert float(away) == -float(towards) < 0


def test_generators_and_detectors_are_averaged_with_their_weights():
    logits = ((jnp.asarray([0.0]), jnp.asarray([9.0])), (jnp.asarray([0.0]), jnp.asarray([9.0])))
    several = seen(
        fakes=(jnp.ones((2, 4, 4, 3)), jnp.zeros((2, 4, 4, 3))),
        references=(jnp.zeros((2, 4, 4, 3)),) * 2,
        fake_logits=logits,
        real_logits=(jnp.asarray([0.0]), jnp.asarray([9.0])),
    )
    equal = objective.terms(several, Objective(form="prob"))
    np.testing.assert_allclose(equal["distortion"], -0.5)
    weighted = Objective(form="prob", generator_weights=(3.0, 1.0), detector_weights=(1.0, 0.0))
    named = objective.terms(several, weighted)
    np.testing.assert_allclose(named["distortion"], -0.75)
    np.testing.assert_allclose(named["fake"], 0.5)


def test_without_detectors_only_distortion_and_budget_remain():
    named = objective.terms(seen(fake_logits=((),), real_logits=()), Objective())
    assert float(named["fake"]) == float(named["real"]) == 0


def test_by_its_logarithm_the_least_broken_fake_counts_most():
    def pulls(distance):
        def loss(fakes):
            return objective.terms(seen(fakes=(fakes,)), Objective(distance=distance))["distortion"]

        fakes = jnp.stack([jnp.full((4, 4, 3), 0.1), jnp.full((4, 4, 3), 1.0)])
        return np.abs(jax.grad(loss)(fakes)).mean((1, 2, 3))

    weak, strong = pulls("mse")
    assert strong > 9 * weak
    weak, strong = pulls("log")
    assert weak > 9 * strong


def test_an_unknown_distance_is_named():
    with pytest.raises(ValueError, match=r"'lpips', expected one of mse, log"):
        objective.terms(seen(), Objective(distance="lpips"))


def test_an_unknown_form_is_named():
    with pytest.raises(ValueError, match="'hinge', expected one of prob, logit"):
        objective.terms(seen(), Objective(form="hinge"))
