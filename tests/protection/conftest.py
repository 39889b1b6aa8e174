"""What the tests of the protect command start from."""

import pathlib

import protect_helpers
import pytest


@pytest.fixture
def workdir(tmp_path) -> str:
    """A training run's folder with a tiny perturber in it."""
    return protect_helpers.save_network(tmp_path / "run")


@pytest.fixture
def photos(tmp_path) -> pathlib.Path:
    return protect_helpers.save_photos(tmp_path / "photos")
