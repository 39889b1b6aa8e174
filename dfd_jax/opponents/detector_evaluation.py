"""Metrics of a detector on sets of real photos and fakes, for its card and a table."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from dfd_jax.data.pairs import EvaluationSet
from dfd_jax.method import metrics
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator
from dfd_jax.opponents import detector_data, detector_training

Metrics = dict[str, Any]


def evaluate(net: FrozenDetector, evaluation_set: EvaluationSet) -> Metrics:
    """R, AUC, accuracy, q and counts over all fakes of the set; q per family; R under noise.

    `accuracy` weighs reals and fakes equally. Rates are shares in [0, 1], rounded to 4 digits.
    """
    reals = detector_training.score(net, evaluation_set.reals)
    by_family = {
        family: detector_training.score(net, fakes)
        for family, fakes in evaluation_set.fakes.items()
    }
    fakes = np.concatenate(list(by_family.values()))
    counts = metrics.counts(_odds(reals), _odds(fakes))
    return {
        "R": round(counts.recall, 4),
        "auc": round(metrics.auc(reals, fakes), 4),
        "accuracy": round((counts.recall + 1 - counts.pass_rate) / 2, 4),
        "q": round(counts.pass_rate, 4),
        "counts": counts._asdict(),
        "q_by_family": {family: _passing(scores) for family, scores in by_family.items()},
        "R_disturbed": {
            name: _passing(detector_training.score(net, photos))
            for name, photos in evaluation_set.disturbed.items()
        },
    }


def evaluate_on_generator(
    net: FrozenDetector, generator: FrozenGenerator, evaluation_set: EvaluationSet
) -> Metrics:
    """q, AUC and counts on a generator's fakes of the photos: pooled, and q per condition."""
    reals = detector_training.score(net, evaluation_set.reals)
    scores = {}
    for name in generator.test_conditions:
        rng = jax.random.key(0)  # not used: the targets are named
        fakes = detector_data.generate(
            generator, evaluation_set.reals, evaluation_set.attributes, name, rng
        )
        scores[name] = detector_training.score(net, fakes)
    pooled = np.concatenate(list(scores.values()))
    return {
        "q": _passing(pooled),
        "auc": round(metrics.auc(reals, pooled), 4),
        "counts": metrics.counts(_odds(reals), _odds(pooled))._asdict(),
        "q_by_condition": {name: _passing(values) for name, values in scores.items()},
    }


def selection_score(
    net: FrozenDetector, evaluation_sets: Sequence[EvaluationSet]
) -> dict[str, float]:
    """What the best step is chosen by: "auc", the mean of the AUC on each set, and these."""
    values = {}
    for evaluation_set in evaluation_sets:
        reals = detector_training.score(net, _all_reals(evaluation_set))
        fakes = detector_training.score(net, np.concatenate(list(evaluation_set.fakes.values())))
        values[f"auc_{evaluation_set.name}"] = metrics.auc(reals, fakes)
    return {"auc": float(np.mean(list(values.values()))), **values}


def calibrated(
    net: FrozenDetector, evaluation_sets: Sequence[EvaluationSet], pass_rate: float
) -> tuple[FrozenDetector, float]:
    """The detector with its bias shifted so that `pass_rate` of the reals of each set pass.

    Disturbed reals count as reals. The largest shift that a set needs is taken; it is returned too,
    in log-odds.
    """
    shift = max(
        detector_training.shift_needed(
            detector_training.score(net, _all_reals(evaluation_set)), pass_rate
        )
        for evaluation_set in evaluation_sets
    )
    return detector_training.shifted(net, shift), shift


def print_metrics(console: Console, name: str, tests: dict[str, Metrics]) -> None:
    """Print the metrics on the test split, a column for each kind of photos."""
    table = Table(title=f"{name} on the test split", title_justify="left")
    table.add_column("")
    for kind in tests:
        table.add_column(kind, justify="right")
    for label, values in _rows(list(tests.values())):
        table.add_row(label, *(f"{v:.3f}" if isinstance(v, float) else str(v) for v in values))
    console.print(table)


def _rows(tests: list[Metrics]) -> list[tuple[str, list[Any]]]:
    rows = [
        ("real photos", [t["counts"]["tp"] + t["counts"]["fn"] for t in tests]),
        ("R: reals judged real", [t["R"] for t in tests]),
        ("AUC", [t["auc"] for t in tests]),
        ("accuracy", [t["accuracy"] for t in tests]),
        ("q: fakes judged real", [t["q"] for t in tests]),
    ]
    for group, label in (("q_by_family", "  q {}"), ("R_disturbed", "R under {}, 6 levels")):
        rows += [(label.format(k), [t[group][k] for t in tests]) for k in tests[0][group]]
    for path in tests[0]["generators"]:
        unseen = [t["generators"][path] for t in tests]
        rows.append((f"q on {path}", [u["q"] for u in unseen]))
        rows.append((f"AUC on {path}", [u["auc"] for u in unseen]))
        conditions = unseen[0]["q_by_condition"]
        rows += [(f"  q {c}", [u["q_by_condition"][c] for u in unseen]) for c in conditions]
    return rows


def _all_reals(evaluation_set: EvaluationSet) -> np.ndarray:
    return np.concatenate([evaluation_set.reals, *evaluation_set.disturbed.values()])


def _passing(logits: np.ndarray) -> float:
    return round(float((logits > 0).mean()), 4)


def _odds(logits: np.ndarray) -> np.ndarray:
    """Probabilities of REAL, without overflow."""
    return 0.5 * (1 + np.tanh(logits / 2))
