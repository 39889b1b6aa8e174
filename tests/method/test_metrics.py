"""The protocol's definitions, checked against the paper's own figures where it prints them."""

import numpy as np
import pytest

from dfd_jax.method import metrics
from dfd_jax.method.metrics import Counts


def counts_of(recall, pass_rate, n=1000):
    tp, fp = round(recall * n), round(pass_rate * n)
    return Counts(tp, n - tp, fp, n - fp)


@pytest.mark.parametrize(("q", "precision"), [(0.95, 0.51), (0.88, 0.53), (0.11, 0.90)])
def test_precision_follows_from_recall_and_pass_rate_as_in_table_1(q, precision):
    assert round(counts_of(0.99, q).precision, 2) == precision


def test_f1_floor_and_cap_are_those_of_a_detector_with_recall_0_6():
    counts = counts_of(0.60, 0.0)
    assert round(counts.f1_floor, 3) == 0.462
    assert round(counts.f1_cap, 3) == 0.750
    assert counts.f1 == counts.f1_cap
    assert counts_of(0.60, 1.0).f1 == pytest.approx(counts.f1_floor)


def test_rates_do_not_depend_on_how_many_fakes_there_are():
    few, many = Counts(9, 1, 2, 8), Counts(9, 1, 20, 80)
    assert few.f1 == many.f1
    assert few.precision == many.precision


def test_real_is_the_positive_class():
    counts = metrics.counts(np.asarray([0.9, 0.4]), np.asarray([0.8, 0.2, 0.5]))
    assert counts == Counts(tp=1, fn=1, fp=1, tn=2)


def test_l2_is_a_mean_square_and_0_05_is_disrupted():
    a = np.zeros((2, 4, 4, 3), np.float32)
    b = np.stack([np.full((4, 4, 3), np.sqrt(0.05) + 1e-6), np.full((4, 4, 3), 0.22)])
    distances = metrics.l2(a, b)
    np.testing.assert_allclose(distances, [0.05, 0.0484], atol=1e-5)
    np.testing.assert_array_equal(metrics.is_disrupted(distances), [True, False])


def test_the_masked_l2_looks_only_where_the_generator_worked():
    photos, clean = np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 3))
    clean[0, :2] = 0.3  # summed over channels 0.9, above the threshold
    fakes = clean.copy()
    fakes[0, 0] += 1.0  # half of the changed pixels
    fakes[1] += 1.0  # the generator changed nothing here
    values, empty = metrics.masked_l2(fakes, clean, photos)
    np.testing.assert_allclose(values, [0.5, 0.0])
    np.testing.assert_array_equal(empty, [False, True])


def test_auc_counts_pairs_and_halves_ties():
    reals, fakes = np.asarray([0.9, 0.5, 0.4]), np.asarray([0.5, 0.1])
    wins = [1, 1, 0.5, 1, 0, 1]
    assert metrics.auc(reals, fakes) == pytest.approx(np.mean(wins))
    assert np.isnan(metrics.auc(reals, np.asarray([])))


def test_psnr_of_a_full_budget_is_32_6_db():
    a = np.full((8, 8, 3), 100, np.uint8)
    assert metrics.psnr(a, a + 6) == pytest.approx(32.57, abs=0.01)
    assert metrics.psnr(a, a) == float("inf")


def test_ssim_is_one_for_equal_images_and_falls_with_noise():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    near = np.clip(a + rng.normal(0, 5, a.shape), 0, 255).astype(np.uint8)
    far = np.clip(a + rng.normal(0, 60, a.shape), 0, 255).astype(np.uint8)
    assert metrics.ssim(a, a) == pytest.approx(1.0)
    assert 1 > metrics.ssim(a, near) > metrics.ssim(a, far)


def test_the_bootstrap_covers_the_mean_and_is_seeded():
    values = np.random.default_rng(0).random(63)
    low, high = metrics.bootstrap(values)
    assert low < values.mean() < high
    assert (low, high) == metrics.bootstrap(values)
    assert metrics.bootstrap(np.ones(10)) == (1.0, 1.0)
