"""The long tables of the HTML report: every figure of one row."""

import dataclasses

from dfd_jax.evaluation.report import tables
from dfd_jax.evaluation.report.formatting import Line, Table, interval, number, percent
from dfd_jax.evaluation.results import POOLED, UNPROTECTED, Evaluation, Row


def distances(row: Row) -> Table:
    """Everything about the distortion of a row's fakes."""
    headers = ("generator", "condition", "fakes", "L2", "95 %", "median", "% dis", "95 %")
    headers += ("masked L2", "masked % dis", "empty masks")
    lines = [
        Line(
            (
                cell.generator,
                cell.condition,
                number(cell.n, 0),
                number(cell.l2, 3),
                interval(cell.l2_interval, lambda bound: number(bound, 3)),
                number(cell.l2_median, 3),
                percent(cell.disrupted),
                interval(cell.disrupted_interval, percent),
                number(cell.masked_l2, 3),
                percent(cell.masked_disrupted),
                number(cell.empty_masks, 0),
            ),
            is_strong=cell.condition == POOLED,
        )
        for cell in row.cells
    ]
    return Table("Distortion", headers, lines, keys=2)


def verdicts(evaluation: Evaluation, row: Row) -> Table:
    """Everything that detectors say of a row's photos and fakes."""
    headers = ("generator", "condition", "detector", "R", "R'", "q", "95 %", "prec.", "rec.")
    headers += ("F1", "floor", "cap", "AUC", "TP", "FN", "FP", "TN")
    unprotected, lines = evaluation.row(UNPROTECTED), []
    for cell in row.cells:
        base = unprotected.cell(cell.generator, cell.condition)
        for i, (name, label) in enumerate(tables.detectors(evaluation).items()):
            found = cell.detectors[name]
            *start, q, precision, recall, f1, _ = tables.verdict_cells(found, base.detectors[name])
            counts = dataclasses.astuple(found.counts) if found.counts else (None,) * 4
            cells = (
                *(cell.generator, cell.condition, label, *start, q, interval(found.q_interval)),
                *(precision, recall, f1, number(found.floor), number(found.cap)),
                tables.less_is_worse(found.auc, base.detectors[name].auc),
                *(number(count, 0) for count in counts),
            )
            lines.append(Line(cells, cell.condition == POOLED, starts_group=i == 0))
    return Table("Verdicts", headers, lines, keys=3)
