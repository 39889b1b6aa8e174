"""`import dfd_jax`: what it offers, and that it is cheap."""

import json
import subprocess
import sys

import numpy as np
import pytest

import dfd_jax
from dfd_jax import models


def test_importing_the_package_imports_nothing_but_the_standard_library():
    code = "import sys, json, dfd_jax; print(json.dumps(sorted(sys.modules)))"
    before = set(json.loads(_printed(code.replace(", dfd_jax", ""))))
    new = set(json.loads(_printed(code))) - before
    assert {name for name in new if name.startswith("dfd_jax")} == {"dfd_jax"}
    assert {name.partition(".")[0] for name in new - {"dfd_jax"}} <= sys.stdlib_module_names
    assert len(new) < 20


def test_every_public_name_is_there():
    for name in dfd_jax.__all__:
        assert getattr(dfd_jax, name) is not None
        assert name in dir(dfd_jax)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Protektor'"):
        dfd_jax.Protektor  # noqa: B018


def test_a_network_is_loaded_and_protects_a_photo():
    network = dfd_jax.load("zoo:disrupter_stargan_fast")
    assert isinstance(network, dfd_jax.Perturber)
    assert isinstance(network.card, dfd_jax.Card)
    photo = np.full((90, 70, 3), 128, np.uint8)
    (protected,) = dfd_jax.Protector(network, batch_size=1).protect_many([photo])
    assert protected.shape == photo.shape
    moved = np.abs(protected.astype(int) - photo)
    assert 0 < moved.max() <= network.card.budget["eps_255"]


def test_the_network_types_are_those_of_the_zoo():
    assert isinstance(models.load("zoo:stargan"), dfd_jax.FrozenGenerator)
    assert isinstance(models.load("zoo:xception"), dfd_jax.FrozenDetector)


def _printed(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
