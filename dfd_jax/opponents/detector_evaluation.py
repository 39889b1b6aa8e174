"""How good a detector is: its marks on exams of real photos and fakes, for the card and a table."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from dfd_jax.data.pairs import Exam
from dfd_jax.method import metrics
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator
from dfd_jax.opponents import detector_data, detector_training

Marks = dict[str, Any]


def marks(net: FrozenDetector, exam: Exam) -> Marks:
    """R, AUC and accuracy on its own kind of fakes; q per family; R under noise; the counts.

    `accuracy` weighs reals and fakes equally. Rates are shares in [0, 1], rounded to 4 digits.
    """
    reals = detector_training.score(net, exam.reals)
    by_family = {
        family: detector_training.score(net, fakes) for family, fakes in exam.fakes.items()
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
            for name, photos in exam.disturbed.items()
        },
    }


def marks_on_generator(net: FrozenDetector, generator: FrozenGenerator, exam: Exam) -> Marks:
    """q, AUC and counts on a generator's fakes of the exam's photos: per condition, and pooled."""
    reals = detector_training.score(net, exam.reals)
    scores = {}
    for name in generator.test_conditions:
        rng = jax.random.key(0)  # named targets do not draw
        fakes = detector_data.generate(generator, exam.reals, exam.attributes, name, rng)
        scores[name] = detector_training.score(net, fakes)
    pooled = np.concatenate(list(scores.values()))
    return {
        "q": _passing(pooled),
        "auc": round(metrics.auc(reals, pooled), 4),
        "counts": metrics.counts(_odds(reals), _odds(pooled))._asdict(),
        "q_by_condition": {name: _passing(values) for name, values in scores.items()},
    }


def selection_score(net: FrozenDetector, exams: Sequence[Exam]) -> dict[str, float]:
    """What the best step is chosen by: the AUC of each exam, and the mean, over calm reals."""
    values = {}
    for exam in exams:
        reals = detector_training.score(net, _all_reals(exam))
        fakes = detector_training.score(net, np.concatenate(list(exam.fakes.values())))
        values[f"auc_{exam.name}"] = metrics.auc(reals, fakes)
    return {"auc": float(np.mean(list(values.values()))), **values}


def calibrated(
    net: FrozenDetector, exams: Sequence[Exam], pass_rate: float
) -> tuple[FrozenDetector, float]:
    """The detector with its verdict moved so that just `pass_rate` of each exam's reals pass.

    Disturbed reals count as reals; of several exams the one that needs the most decides. Also
    returns the shift in log-odds.
    """
    shift = max(
        detector_training.shift_needed(detector_training.score(net, _all_reals(exam)), pass_rate)
        for exam in exams
    )
    return detector_training.shifted(net, shift), shift


def print_marks(console: Console, name: str, tests: dict[str, Marks]) -> None:
    """The test split's marks, one column for each kind of photos."""
    table = Table(title=f"{name} on the test split", title_justify="left")
    table.add_column("")
    for kind in tests:
        table.add_column(kind, justify="right")
    for label, values in _rows(list(tests.values())):
        table.add_row(label, *(f"{v:.3f}" if isinstance(v, float) else str(v) for v in values))
    console.print(table)


def _rows(tests: list[Marks]) -> list[tuple[str, list[Any]]]:
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


def _all_reals(exam: Exam) -> np.ndarray:
    return np.concatenate([exam.reals, *exam.disturbed.values()])


def _passing(logits: np.ndarray) -> float:
    return round(float((logits > 0).mean()), 4)


def _odds(logits: np.ndarray) -> np.ndarray:
    """Probabilities of REAL, without overflow."""
    return 0.5 * (1 + np.tanh(logits / 2))
