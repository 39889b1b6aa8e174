"""The LPIPS-style distance: zero for equals, grows with the change, and is not the mean square."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from dfd_jax import models
from dfd_jax.data.synthetic import SyntheticFaces
from dfd_jax.method import perceptual
from dfd_jax.models.frozen import FrozenDetector


@pytest.fixture(scope="module")
def photos():
    drawn = SyntheticFaces(5, seed=21, size=64)
    return np.stack([drawn[i].pixels for i in range(5)])


def noisy(photos, levels, seed=0):
    noise = np.random.default_rng(seed).normal(0.0, levels, photos.shape)
    return np.clip(np.round(photos + noise), 0, 255).astype(np.uint8)


def rms(a, b):
    return np.sqrt(np.square(a.astype(float) - b).mean((1, 2, 3)))


def test_equal_photos_have_distance_zero_black_ones_too(photos):
    photos = np.concatenate([photos, np.zeros_like(photos[:1])])
    np.testing.assert_array_equal(perceptual.distance(photos, photos), np.zeros(6))


def test_it_is_symmetric_finite_and_at_most_two(photos):
    ones = [photos, np.zeros_like(photos), np.full_like(photos, 255), noisy(photos, 200.0)]
    for other in ones:
        found = perceptual.distance(photos, other)
        assert found.shape == (5,)
        assert np.isfinite(found).all()
        assert found.max() <= 2
        np.testing.assert_allclose(found, perceptual.distance(other, photos), atol=1e-6)


def test_more_noise_is_further_away_for_every_photo(photos):
    found = np.stack([perceptual.distance(photos, noisy(photos, x)) for x in (2, 6, 18, 54)])
    assert (np.diff(found, axis=0) > 0).all()


def test_blur_and_noise_of_the_same_mean_square_are_not_the_same_distance(photos):
    blurred = ndimage.gaussian_filter(photos, (0, 1.5, 1.5, 0))
    spread = rms(photos, blurred)[:, None, None, None]
    grainy = noisy(photos, spread)
    np.testing.assert_allclose(rms(photos, grainy), rms(photos, blurred), rtol=0.1)
    blur, noise = perceptual.distance(photos, blurred), perceptual.distance(photos, grainy)
    assert (np.abs(np.log(blur / noise)) > 0.2).all()


def test_batches_make_no_difference_and_photos_need_not_have_the_networks_size(photos):
    large = np.kron(photos, np.ones((1, 2, 2, 1), np.uint8))[:, :, :96]  # 128 x 96
    other = noisy(large, 8.0)
    whole = perceptual.distance(large, other)
    np.testing.assert_allclose(perceptual.distance(large, other, batch_size=2), whole, rtol=1e-4)
    assert perceptual.distance(large[:0], other[:0]).shape == (0,)
    small = photos[:, ::4, ::4]  # 16 pixels, the smallest
    assert (perceptual.distance(small, noisy(small, 8.0)) > 0).all()


@pytest.mark.usefixtures("without_type_checks")
def test_photos_that_do_not_pair_up_or_are_tiny_are_refused(photos):
    with pytest.raises(ValueError, match="equally many"):
        perceptual.distance(photos, photos[:2])
    with pytest.raises(ValueError, match="at least 16 x 16"):
        perceptual.distance(photos[:, :8, :8], photos[:, :8, :8])


def test_the_result_names_its_network_and_who_was_trained_against_it_is_known():
    told = perceptual.description()
    assert told["network"] == perceptual.NETWORK
    assert told["sha256"] == models.load(perceptual.NETWORK).card.sha256
    assert isinstance(models.load(perceptual.NETWORK), FrozenDetector)
    cards = {name: models.load(f"zoo:{name}").card for name in models.zoo_names()}
    perturbers = {name: card.info for name, card in cards.items() if card.budget}
    free = {n for n, info in perturbers.items() if told["sha256"] not in info["detectors_sha256"]}
    assert free == {"disrupter_stargan", "disrupter_fomm"}  # as experiments/README.md says


def test_the_network_is_an_argument_of_the_program_and_not_baked_into_it(photos):
    net = perceptual.network()
    jaxpr = jax.make_jaxpr(perceptual._distances)(net, photos, photos)
    assert sum(np.size(c) for c in jaxpr.consts) < 100
