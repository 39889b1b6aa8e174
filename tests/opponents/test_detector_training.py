"""A detector's training step, verdict calibration and metrics."""

import jax
import numpy as np
import pytest

from dfd_jax import models
from dfd_jax.data.pairs import EvaluationSet
from dfd_jax.models.frozen import Card
from dfd_jax.opponents import detector_evaluation, detector_training


def pairs_of(rng, count):
    """An easy task: dark reals, bright fakes."""
    reals = rng.integers(0, 128, (count, 16, 16, 3))
    return np.stack([reals, reals + 100], axis=1).astype(np.uint8)


def evaluation_set_of(rng, count=40):
    reals, fakes = np.moveaxis(pairs_of(rng, count), 1, 0)
    return EvaluationSet("easy", reals, np.zeros((count, 5)), {"none": reals}, {"b": fakes})


@pytest.fixture(scope="module")
def small():
    """A ResNet with a single block: quick to compile, and all that these tests need."""
    hyper = {"width": 4, "stage_sizes": (1,)}
    return models.build(Card("resnet18", hyper, 16, real_index=0))


@pytest.fixture(scope="module")
def trained(small):
    """A tiny ResNet after sixty steps on the easy task: (network, state, losses)."""
    net = small
    tx = detector_training.make_optimizer(3e-3, 60, warmup=5, clip=1.0, weight_decay=0.01)
    step = detector_training.make_train_step(net, tx, smoothing=0.02, averaging=0.9)
    state, rng, losses = detector_training.create_state(net, tx), np.random.default_rng(0), []
    for _ in range(60):
        state, metrics = step(state, pairs_of(rng, 8))
        losses.append(float(metrics["loss"]))
    return net, state, losses


def test_training_learns_an_easy_task_and_the_averaged_weights_with_it(trained):
    net, state, losses = trained
    evaluation_set = evaluation_set_of(np.random.default_rng(1))
    averaged = net.with_variables(state.averaged)
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert detector_evaluation.selection_score(averaged, [evaluation_set])["auc"] > 0.95
    assert int(state.step) == 60


def test_the_averages_follow_the_weights_and_the_statistics(trained):
    net, state, _ = trained
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), state.averaged, net.variables)
    assert moved["params"]["fc"]["bias"]
    assert moved["batch_stats"]["bn1"]["mean"]
    behind = jax.tree.map(lambda a, b: bool((a != b).any()), state.averaged, state.variables)
    assert behind["params"]["fc"]["kernel"]


def test_the_positive_class_is_the_first_of_each_pair(trained):
    net, state, _ = trained
    evaluation_set = evaluation_set_of(np.random.default_rng(2))
    averaged = net.with_variables(state.averaged)
    reals, fakes = (
        detector_training.score(averaged, x)
        for x in (evaluation_set.reals, evaluation_set.fakes["b"])
    )
    assert reals.mean() > fakes.mean()


def test_scores_do_not_depend_on_the_batch_size(small, photos):
    np.testing.assert_allclose(
        detector_training.score(small, photos, batch_size=3),
        detector_training.score(small, photos, 8),
        atol=1e-5,
    )
    assert detector_training.score(small, photos[:0]).shape == (0,)


@pytest.mark.parametrize("pass_rate", [0.5, 0.9, 0.97, 1.0])
def test_calibration_lets_the_asked_share_of_reals_pass(pass_rate):
    logits = np.random.default_rng(0).normal(-2, 3, 64)
    shift = detector_training.shift_needed(logits, pass_rate)
    passing = (logits + shift > 0).mean()
    assert passing >= pass_rate
    assert passing < pass_rate + 0.05  # and no more fakes with them than need be


def test_calibration_turns_against_reals_where_all_pass_easily():
    assert detector_training.shift_needed(np.full(10, 3.0), 0.97) == pytest.approx(-2.95)
    with pytest.raises(ValueError, match="pass_rate"):
        detector_training.shift_needed(np.zeros(3), 0.0)


@pytest.mark.parametrize("model", ["resnet18", "xception", "efficientnet", "multi_attentional"])
def test_a_shift_moves_every_verdict_by_itself(tiny, photos, model):
    net = tiny(model, size=32)
    moved = detector_training.shifted(net, 1.5)
    difference = detector_training.score(moved, photos) - detector_training.score(net, photos)
    np.testing.assert_allclose(difference, 1.5, atol=1e-5)


def test_a_network_without_a_known_head_cannot_be_shifted(small):
    params = {k: v for k, v in small.variables["params"].items() if k != "fc"}
    headless = small.with_variables({**small.variables, "params": params})
    with pytest.raises(ValueError, match="no last layer"):
        detector_training.shifted(headless, 1.0)


def test_calibrated_detectors_pass_the_reals_of_every_evaluation_set(trained):
    net, state, _ = trained
    sceptical = detector_training.shifted(net.with_variables(state.averaged), -20.0)
    evaluation_sets = [evaluation_set_of(np.random.default_rng(s)) for s in (1, 2)]
    assert detector_evaluation.evaluate(sceptical, evaluation_sets[0])["R"] == 0.0
    calibrated, shift = detector_evaluation.calibrated(sceptical, evaluation_sets, 0.95)
    assert shift > 0
    for evaluation_set in evaluation_sets:
        assert detector_evaluation.evaluate(calibrated, evaluation_set)["R"] >= 0.95


def test_metrics_count_every_photo_and_fake(small, photos):
    evaluation_set = EvaluationSet(
        "x", photos, np.zeros((8, 5)), {"n": photos}, {"a": photos, "b": photos[:4]}
    )
    measured = detector_evaluation.evaluate(small, evaluation_set)
    counts = measured["counts"]
    assert counts["tp"] + counts["fn"] == 8
    assert counts["fp"] + counts["tn"] == 12
    assert measured["R"] == measured["R_disturbed"]["n"] == measured["q_by_family"]["a"]
    assert measured["accuracy"] == pytest.approx((measured["R"] + 1 - measured["q"]) / 2, abs=1e-3)


def test_metrics_on_a_generator_cover_its_conditions(tiny, small, photos):
    generator = tiny("stargan")
    attributes = np.zeros((8, 5), np.float32)
    measured = detector_evaluation.evaluate_on_generator(
        small, generator, EvaluationSet("x", photos, attributes, {}, {})
    )
    assert tuple(measured["q_by_condition"]) == generator.test_conditions
    assert measured["counts"]["fp"] + measured["counts"]["tn"] == 40
    assert measured["q"] == pytest.approx(
        np.mean(list(measured["q_by_condition"].values())), abs=1e-3
    )
