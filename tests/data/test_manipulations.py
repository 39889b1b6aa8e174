"""Fakes made from real photos: seeded, bounded, visibly changed; augmentation spares no class."""

import numpy as np
import pytest

from dfd_jax.data import manipulations, pairs
from dfd_jax.data.faces import Face
from dfd_jax.data.synthetic import SyntheticFaces

FAMILIES = tuple(manipulations.FAMILIES)


@pytest.fixture(scope="module")
def photo():
    return SyntheticFaces(1, seed=3, size=64)[0].pixels


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_seeds_make_equal_fakes_and_others_do_not(photo, family):
    fakes = [
        manipulations.manipulate(photo, np.random.default_rng(s), (family,))[0] for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(fakes[0], fakes[1])
    assert (fakes[0] != fakes[2]).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_fake_is_an_8_bit_picture_that_differs_visibly(photo, family):
    before, rng = photo.copy(), np.random.default_rng(0)
    for _ in range(10):
        fake, name = manipulations.manipulate(photo, rng, (family,))
        assert fake.dtype == np.uint8
        assert fake.shape == photo.shape
        assert manipulations.change(photo, fake) >= manipulations.MIN_CHANGE
        assert name == family
    np.testing.assert_array_equal(photo, before)


@pytest.mark.parametrize("size", [16, 65, 128])
def test_every_family_works_at_any_size(size):
    photo = np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.uint8)
    rng = np.random.default_rng(1)
    for family in FAMILIES:
        assert manipulations.manipulate(photo, rng, (family,))[0].shape == (size, size, 3)


def test_local_families_leave_most_of_the_background_alone(photo):
    rng = np.random.default_rng(0)
    corner = (slice(0, 6), slice(0, 6))
    for family in ("warped", "resampled", "smoothed"):
        fake, _ = manipulations.manipulate(photo, rng, (family,))
        assert np.abs(fake[corner].astype(int) - photo[corner]).max() <= 2


def test_families_are_drawn_from_those_asked_for(photo):
    rng = np.random.default_rng(0)
    names = {manipulations.manipulate(photo, rng, ("warped", "smoothed"))[1] for _ in range(30)}
    assert names == {"warped", "smoothed"}


def test_faint_patterns_stay_within_their_levels():
    rng = np.random.default_rng(0)
    peaks = [np.abs(manipulations.faint_pattern(32, rng)).max() for _ in range(100)]
    assert max(peaks) <= manipulations.FAINT_LEVELS
    assert max(peaks) > 6.4  # stronger than the protection that must stay real


def test_augmentation_is_seeded_and_changes_the_photo_without_hiding_it(photo):
    once, again = (manipulations.augment(photo, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    rng = np.random.default_rng(0)
    likeness = []
    for _ in range(30):
        augmented = manipulations.augment(photo, rng)
        assert (augmented != photo).any()
        candidates = (augmented, augmented[:, ::-1])
        likeness.append(max(np.corrcoef(c.ravel(), photo.ravel())[0, 1] for c in candidates))
    assert np.median(likeness) > 0.9


def test_a_pair_is_the_photo_and_its_fake_under_the_same_kind_of_augmentation(photo, monkeypatch):
    seen = []

    def note(picture, rng):
        seen.append(picture)
        return picture

    monkeypatch.setattr(manipulations, "augment", note)
    pairing = pairs.Pairing(("broken",))
    example = {"images": photo, "attributes": np.ones(2, np.float32)}
    pair = pairing(example, np.random.default_rng(0))
    assert pair["images"].shape == (2, 64, 64, 3)
    np.testing.assert_array_equal(pair["images"], np.stack(seen))
    np.testing.assert_array_equal(seen[0], photo)
    assert manipulations.change(photo, seen[1]) > manipulations.MIN_CHANGE
    np.testing.assert_array_equal(pair["attributes"], example["attributes"])


@pytest.mark.usefixtures("without_type_checks")
def test_ready_made_fakes_take_their_share(photo, monkeypatch):
    monkeypatch.setattr(manipulations, "augment", lambda picture, rng: picture)
    black = [Face(np.zeros((90, 80, 3), np.uint8), np.zeros(0, np.float32), "fake")]
    rng = np.random.default_rng(0)
    pairing = pairs.Pairing(("smoothed",), black, made_share=0.25)
    drawn = [pairing({"images": photo}, rng)["images"][1].max() == 0 for _ in range(200)]
    assert 0.65 < np.mean(drawn) < 0.85


def test_an_evaluation_set_has_every_family_and_noise_of_every_face(photo):
    face = Face(photo, np.array([1.0, 0.0], np.float32), "a")
    evaluation_sets = [
        pairs.make_evaluation_set(
            "x", [face, face], ("warped", "broken"), size=32, crop=None, seed=1
        )
        for _ in range(2)
    ]
    evaluation_set = evaluation_sets[0]
    assert evaluation_set.reals.shape == (2, 32, 32, 3)
    assert {k: v.shape for k, v in evaluation_set.fakes.items()} == {
        "warped": (2, 32, 32, 3),
        "broken": (2, 32, 32, 3),
    }
    for name, noisy in evaluation_set.disturbed.items():
        difference = np.abs(noisy.astype(int) - evaluation_set.reals)
        assert 0 < difference.max() <= 6, name
        assert difference.mean() > 3, name
    np.testing.assert_array_equal(
        evaluation_set.fakes["broken"], evaluation_sets[1].fakes["broken"]
    )


@pytest.mark.usefixtures("without_type_checks")
def test_unusable_requests_are_refused(photo):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"unknown families \['swapped'\]"):
        manipulations.manipulate(photo, rng, ("swapped",))
    with pytest.raises(ValueError, match="expected uint8"):
        manipulations.manipulate(photo.astype(np.float32), rng)
    with pytest.raises(ValueError, match="expected uint8"):
        manipulations.manipulate(photo[:40], rng)
    with pytest.raises(ValueError, match="at least one"):
        pairs.make_evaluation_set("empty", [], FAMILIES, size=32, crop=None, seed=0)
