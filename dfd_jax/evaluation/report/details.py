"""The long tables of the HTML report: every figure of one row."""

import dataclasses

from dfd_jax.evaluation.report import tables
from dfd_jax.evaluation.report.formatting import Table, interval, number, percent
from dfd_jax.evaluation.results import POOLED, UNPROTECTED, Evaluation, Row


def distances(row: Row) -> Table:
    """Everything about the distortion of a row's fakes."""
    rows = [
        {
            "generator": cell.generator,
            "condition": cell.condition,
            "fakes": number(cell.n, 0),
            "L2": number(cell.l2, 3),
            "L2 95 %": interval(cell.l2_interval, lambda bound: number(bound, 3)),
            "median L2": number(cell.l2_median, 3),
            "% dis": percent(cell.disrupted),
            "% dis 95 %": interval(cell.disrupted_interval, percent),
            "masked L2": number(cell.masked_l2, 3),
            "masked % dis": percent(cell.masked_disrupted),
            "empty masks": number(cell.empty_masks, 0),
        }
        for cell in row.cells
    ]
    return Table("Distortion", rows, keys=2, strong=POOLED)


def verdicts(evaluation: Evaluation, row: Row) -> Table:
    """Everything that detectors say of a row's photos and fakes."""
    unprotected, rows = evaluation.row(UNPROTECTED), []
    for cell in row.cells:
        base = unprotected.cell(cell.generator, cell.condition).detectors
        for name, label in tables.detectors(evaluation).items():
            verdict = cell.detectors[name]
            counts = dataclasses.astuple(verdict.counts) if verdict.counts else (None,) * 4
            flagged = tables.verdict_cells(verdict, base[name])
            cells = {
                "generator": cell.generator,
                "condition": cell.condition,
                "detector": label,
                **{header: flagged[header] for header in ("R", "R'", "q")},
                "q 95 %": interval(verdict.q_interval),
                **{header: flagged[header] for header in ("prec.", "rec.", "F1")},
                "floor": number(verdict.floor),
                "cap": number(verdict.cap),
                "AUC": tables.less_is_worse(verdict.auc, base[name].auc),
            }
            counted = zip(("TP", "FN", "FP", "TN"), counts, strict=True)
            rows.append(cells | {header: number(count, 0) for header, count in counted})
    return Table("Verdicts", rows, keys=3, strong=POOLED)
