"""The small generators that ship do what their cards say, on drawn people they have not seen."""

import pytest

from dfd_jax import models
from experiments import small_generators


@pytest.mark.parametrize("name", small_generators.RECIPES)
def test_its_fakes_are_nearer_to_what_was_asked_for_than_the_photo_is(name):
    net = models.load(f"zoo:{name}")
    found, told = small_generators.measure(net, small_generators.RECIPES[name]), net.card.info
    assert found["fake_to_target_255"] == pytest.approx(
        told["test"]["fake_to_target_255"], rel=0.05
    )
    assert found["fake_to_target_255"] < found["source_to_target_255"]
    assert "defended against" in told["purpose"]
