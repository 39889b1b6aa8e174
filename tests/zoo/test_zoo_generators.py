"""The small generators that ship do what their cards say, on photos they have not seen."""

import pytest
from tiny_networks import SHARED

from configs import generator_fomm, generator_ganimation
from dfd_jax import models
from dfd_jax.opponents import generator_data

CONFIGS = {"fomm": generator_fomm, "ganimation": generator_ganimation}
PORTRAITS = SHARED / "portraits"


def measured(name, tmp_path, **data):
    config = CONFIGS[name].get_config("photos")
    config.data.update(data)
    net = models.load(f"zoo:{name}")
    return generator_data.measure(config, net, generator_data.held_out(config, tmp_path)), net.card


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_it_changes_the_portraits_as_its_card_says(name, tmp_path):
    if not PORTRAITS.is_dir():
        pytest.skip("the portraits (../shared/portraits) are not here")
    found, card = measured(name, tmp_path, root=str(PORTRAITS))
    told = card.info["test"]
    assert set(found) == set(told)
    for key, value in told.items():
        assert found[key] == pytest.approx(value, rel=0.05), key


@pytest.mark.slow
def test_a_reenacted_drawn_face_is_nearer_to_the_driving_one_than_the_photo_is(tmp_path):
    found, card = measured("fomm", tmp_path, kind="synthetic", drawn=64)
    assert found["reenacted_255"] < found["copied_255"]
    assert "defended against" in card.info["purpose"]


@pytest.mark.slow
def test_every_expression_changes_a_drawn_face_and_leaves_most_of_it(tmp_path):
    found, card = measured("ganimation", tmp_path, kind="synthetic", drawn=64)
    assert all(0.5 < change < 20 for change in found["change_255"].values())
    assert "defended against" in card.info["purpose"]
