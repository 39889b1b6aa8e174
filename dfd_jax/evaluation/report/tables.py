"""From an evaluation (the JSON of dfd_jax.evaluate) to the tables and sentences of its reports.

Every renderer shows the same `Table`s, so a number looks alike in a terminal, in HTML and in
Markdown. A missing value (absent, null, NaN) is shown as a dash. Nothing here computes a result
beyond a column's mean and worst: it words and flags them.
"""

import dataclasses
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from dfd_jax.evaluation.report import formatting
from dfd_jax.evaluation.report.formatting import (
    MISSING,
    R_TOLERANCE,
    Cell,
    Row,
    Table,
    is_known,
    number,
    percent,
    psnr,
)

UNPROTECTED = "no protection"  # the row that every other row is compared with
PROTECTED = "P"
POOLED = "all"  # the condition that pools all others

# How each measure is compared with the unprotected row: +1 where more is better, -1 where less is.
BETTER = {"q": -1, "precision": 1, "f1": 1, "auc": 1}


def legend(evaluation: Mapping[str, Any]) -> tuple[str, ...]:
    """How to read the tables, a line for each group of columns that there is."""
    return (*formatting.LEGEND, *(formatting.LPIPS[1:] if _has_lpips(evaluation) else ()))


def _has_lpips(evaluation: Mapping[str, Any]) -> bool:
    return any("lpips" in row for row in rows(evaluation))


def rows(evaluation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The evaluation's rows (kinds of protection), in their order."""
    return list(evaluation.get("rows") or [])


def row_named(evaluation: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The row called `name`, or an empty one."""
    return next((r for r in rows(evaluation) if r.get("row") == name), {})


def cell_of(row: Mapping[str, Any], generator: Any, condition: Any) -> Mapping[str, Any]:
    """A row's results for one generator and condition, or an empty mapping."""
    for cell in row.get("cells") or []:
        if (cell.get("generator"), cell.get("condition")) == (generator, condition):
            return cell
    return {}


def verdicts(cell: Mapping[str, Any], detector: str) -> Mapping[str, Any]:
    """A cell's results for one detector, or an empty mapping."""
    return (cell.get("detectors") or {}).get(detector) or {}


def generators(evaluation: Mapping[str, Any]) -> list[str]:
    """Names of the generators that have results, in the order of their appearance."""
    cells = (c for row in rows(evaluation) for c in row.get("cells") or [])
    return list(dict.fromkeys(str(c.get("generator")) for c in cells))


def detectors(evaluation: Mapping[str, Any]) -> dict[str, str]:
    """Detectors' names → how they are printed: those in the training loop first, with a star."""
    listed = sorted(evaluation.get("detectors") or [], key=lambda d: not d.get("in_the_loop"))
    return {d["name"]: d["name"] + (" *" if d.get("in_the_loop") else "") for d in listed}


def is_worse(measure: str, value: Any, unprotected: Any) -> bool:
    """Whether `value` of a measure in BETTER is worse than without protection."""
    if not (is_known(value) and is_known(unprotected)):
        return False
    return BETTER[measure] * (value - unprotected) < -1e-9


def judged(measure: str, found: Mapping[str, Any], without: Mapping[str, Any]) -> Cell:
    """One of a detector's measures as a cell, flagged against the unprotected row's."""
    value = found.get(measure)
    if measure == "R_protected":
        r = found.get("R")
        lost = is_known(value) and is_known(r) and value < r - R_TOLERANCE - 1e-9
        return Cell(number(value), lost)
    if measure not in BETTER:
        return Cell(number(value))
    return Cell(number(value), is_worse(measure, value, without.get(measure)))


def headline(evaluation: Mapping[str, Any]) -> str:
    """One sentence: what the run shows, for the first generator and the detector in the loop."""
    row = row_named(evaluation, PROTECTED)
    names = generators(evaluation)
    cell = cell_of(row, names[0], POOLED) if names else {}
    if not is_known(cell.get("disrupted")):
        return "This run has no pooled result for P."
    parts = [f"P breaks {percent(cell['disrupted'])} % of the {names[0]} fakes"]
    without = cell_of(row_named(evaluation, UNPROTECTED), names[0], POOLED)
    parts += _passing(evaluation, cell, without)
    visible = f", at {psnr(row)} dB" if psnr(row) != MISSING else ""
    return " and ".join(parts) + visible + "."


def _passing(
    evaluation: Mapping[str, Any], cell: Mapping[str, Any], without: Mapping[str, Any]
) -> list[str]:
    for name in detectors(evaluation):
        q, q_before = (verdicts(c, name).get("q") for c in (cell, without))
        if not is_known(q):
            continue
        if not is_known(q_before):
            return [f"{name} lets {percent(q)} % of them pass as real"]
        return [
            f"{name} now lets {percent(q)} % of them pass as real instead of {percent(q_before)} %"
        ]
    return []


SUMMARY_HEADERS = ("detector", "row", "L2", "% dis", "R", "R'", "q", "prec.", "rec.", "F1")
SUMMARY_HEADERS += ("floor…cap", "PSNR", "SSIM", "L∞")


def summary(evaluation: Mapping[str, Any]) -> list[Table]:
    """Per generator: every detector and row, pooled over the conditions."""
    headers = (*SUMMARY_HEADERS, *(formatting.LPIPS[:1] if _has_lpips(evaluation) else ()))
    return [
        Table(
            f"{generator}: all conditions together",
            headers,
            tuple(_summary_rows(evaluation, generator)),
            keys=2,
        )
        for generator in generators(evaluation)
    ]


def _summary_rows(evaluation: Mapping[str, Any], generator: str) -> Iterator[Row]:
    base = cell_of(row_named(evaluation, UNPROTECTED), generator, POOLED)
    extra = ("lpips",) if _has_lpips(evaluation) else ()
    for name, label in (detectors(evaluation) or {MISSING: MISSING}).items():
        for i, row in enumerate(rows(evaluation)):
            cell = cell_of(row, generator, POOLED)
            found, without = verdicts(cell, name), verdicts(base, name)
            measures = ("R", "R_protected", "q", "precision", "recall", "f1")
            yield Row(
                (
                    Cell(label),
                    Cell(str(row.get("row"))),
                    Cell(number(cell.get("l2"), 3)),
                    Cell(percent(cell.get("disrupted"))),
                    *(judged(m, found, without) for m in measures),
                    Cell(f"{number(found.get('floor'))}…{number(found.get('cap'))}"),
                    Cell(psnr(row)),
                    Cell(number(row.get("ssim"), 3)),
                    Cell(number(row.get("linf_255"), 1)),
                    *(Cell(number(row.get(key), 4)) for key in extra),
                ),
                is_strong=row.get("row") == PROTECTED,
                starts_group=i == 0,
            )


def table1(evaluation: Mapping[str, Any]) -> list[Table]:
    """Per generator, in the layout of the paper's Table 1: condition and row by detector."""
    labels = detectors(evaluation)
    measures = ("precision", "recall", "f1")
    headers = ("condition", "row", *(f"{d} {m}" for d in labels.values() for m in measures))
    tables = []
    for generator in generators(evaluation) if labels else []:
        lines = []
        names = [c["condition"] for c in row_named(evaluation, PROTECTED).get("cells") or []]
        for condition in dict.fromkeys(name for name in names if name != POOLED):
            for i, row in enumerate(rows(evaluation)):
                cell = cell_of(row, generator, condition)
                found = [verdicts(cell, name).get(m) for name in labels for m in measures]
                cells = (Cell(str(condition)), Cell(str(row.get("row"))))
                values = tuple(Cell(number(value)) for value in found)
                strong = row.get("row") == PROTECTED
                lines.append(Row((*cells, *values), is_strong=strong, starts_group=i == 0))
        title = f"{generator}: precision, recall and F1 under each condition"
        tables.append(Table(title, headers, tuple(lines), keys=2))
    return tables


def conditions(evaluation: Mapping[str, Any]) -> list[Table]:
    """Per generator: P under every condition; q as "without → with protection"."""
    labels = detectors(evaluation)
    headers = ("condition", "fakes", "L2", "% dis", "masked L2", "masked % dis")
    headers += tuple(f"q {label}" for label in labels.values())
    tables = []
    for generator in generators(evaluation):
        lines = []
        for cell, base in _protected_cells(evaluation, generator):
            pooled = cell.get("condition") == POOLED
            values = (
                Cell(str(cell.get("condition"))),
                Cell(number(cell.get("n"), 0)),
                Cell(number(cell.get("l2"), 3)),
                Cell(percent(cell.get("disrupted"))),
                Cell(number(cell.get("masked_l2"), 3)),
                Cell(percent(cell.get("masked_disrupted"))),
                *(_change(verdicts(base, name), verdicts(cell, name)) for name in labels),
            )
            lines.append(Row(values, is_strong=pooled, starts_group=pooled))
        if lines:
            tables.append(Table(f"{generator}: P under each condition", headers, tuple(lines)))
    return tables


def clips(evaluation: Mapping[str, Any]) -> list[Table]:
    """Per generator that animates: whole clips under P; empty if none does."""
    labels = detectors(evaluation)
    headers = ("motion", "clips", "frames", "% dis", *(f"q {label}" for label in labels.values()))
    tables = []
    for generator in generators(evaluation):
        lines = []
        for cell, base in _protected_cells(evaluation, generator):
            whole, before = cell.get("clips"), base.get("clips") or {}
            if not whole:
                continue
            pooled = cell.get("condition") == POOLED
            values = (
                Cell(str(cell.get("condition"))),
                Cell(number(whole.get("n"), 0)),
                Cell(number(whole.get("frames"), 0)),
                Cell(percent(whole.get("disrupted"))),
                *(_change(verdicts(before, name), verdicts(whole, name)) for name in labels),
            )
            lines.append(Row(values, is_strong=pooled, starts_group=pooled))
        if lines:
            title = (
                f"{generator}: whole clips (mean L2, verdict on the mean log-odds of the frames)"
            )
            tables.append(Table(title, headers, tuple(lines)))
    return tables


def _protected_cells(
    evaluation: Mapping[str, Any], generator: str
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """P's cells of one generator, each with the unprotected cell of the same condition."""
    unprotected = row_named(evaluation, UNPROTECTED)
    for cell in row_named(evaluation, PROTECTED).get("cells") or []:
        if str(cell.get("generator")) == generator:
            yield cell, cell_of(unprotected, generator, cell.get("condition"))


def _change(without: Mapping[str, Any], found: Mapping[str, Any]) -> Cell:
    cell = judged("q", found, without)
    return Cell(f"{number(without.get('q'))} → {cell.text}", cell.is_worse)


def regions(evaluation: Mapping[str, Any]) -> list[Table]:
    """P through files whose region is 1, 2, 4 times the network's input; empty if not measured."""
    headers = ("region in the file", "L2", "% dis", "L∞", "PSNR")
    return [
        Table(f"{generator}: larger photos", headers, tuple(map(_region_row, lines)))
        for generator, lines in _by_generator(evaluation, "regions").items()
    ]


def _region_row(region: Mapping[str, Any]) -> Row:
    return Row(
        (
            Cell(f"{number(region.get('side'), 0)} px ({number(region.get('scale'), 1)} x)"),
            Cell(number(region.get("l2"), 3)),
            Cell(percent(region.get("disrupted"))),
            Cell(number(region.get("linf_255"), 1)),
            Cell(psnr(region)),
        )
    )


def channels(evaluation: Mapping[str, Any]) -> list[Table]:
    """P after what happens to a photo on its way to the attacker; empty if not measured.

    The last two rows are the mean over the channels and the worst of each column.
    """
    labels = detectors(evaluation)
    headers = ("channel", "L2", "% dis", *(f"q {x}" for x in labels.values()))
    headers += tuple(f"R' {x}" for x in labels.values())
    found = []
    for generator, lines in _by_generator(evaluation, "channels").items():
        base = cell_of(row_named(evaluation, UNPROTECTED), generator, POOLED)
        without = {d: verdicts(base, d) for d in labels}
        rows = [_channel_row(line, without) for line in [*lines, *_mean_and_worst(lines)]]
        if len(lines) > 1:
            rows[-2] = dataclasses.replace(rows[-2], starts_group=True)
        found.append(Table(f"{generator}: on the way to the attacker", headers, tuple(rows)))
    return found


def _channel_row(channel: Mapping[str, Any], without: Mapping[str, Mapping[str, Any]]) -> Row:
    qs, kept = channel.get("q") or {}, channel.get("R_protected") or {}
    return Row(
        (
            Cell(str(channel.get("channel"))),
            Cell(number(channel.get("l2"), 3)),
            Cell(percent(channel.get("disrupted"))),
            *(judged("q", {"q": qs.get(d)}, base) for d, base in without.items()),
            *(
                judged("R_protected", {"R_protected": kept.get(d), "R": base.get("R")}, {})
                for d, base in without.items()
            ),
        )
    )


def _mean_and_worst(lines: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Two more rows; none for a single channel. More is worse for q, less for all else."""
    if len(lines) < 2:
        return []

    def pick(choose: Any, values: list[Any]) -> float | None:
        known = [value for value in values if is_known(value)]
        return float(choose(known)) if known else None

    def summary_of(name: str, of_shares: Any, of_q: Any) -> Mapping[str, Any]:
        row: dict[str, Any] = {"channel": name}
        for key in ("l2", "disrupted"):
            row[key] = pick(of_shares, [line.get(key) for line in lines])
        for key, choose in (("q", of_q), ("R_protected", of_shares)):
            names = dict.fromkeys(d for line in lines for d in line.get(key) or {})
            row[key] = {d: pick(choose, [(x.get(key) or {}).get(d) for x in lines]) for d in names}
        return row

    return [summary_of("mean", statistics.fmean, statistics.fmean), summary_of("worst", min, max)]


def _by_generator(
    evaluation: Mapping[str, Any], section: str
) -> dict[str, list[Mapping[str, Any]]]:
    """The entries of a section by the generator they are about, in the order of appearance."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for entry in evaluation.get(section) or []:
        found.setdefault(str(entry.get("generator")), []).append(entry)
    return found


def speed(evaluation: Mapping[str, Any]) -> str:
    """Cost of protecting one photo, in a line; empty if not measured."""
    found = evaluation.get("speed") or {}
    parts = []
    if is_known(found.get("batch_1_ms")):
        parts.append(f"{number(found['batch_1_ms'], 1)} ms per photo, one at a time")
    if is_known(found.get("best_batch_ms")):
        batch = number(found.get("best_batch"), 0)
        parts.append(f"{number(found['best_batch_ms'], 1)} ms per photo in batches of {batch}")
    where = evaluation.get("device")
    return f"{'; '.join(parts)}{f' ({where})' if where else ''}" if parts else ""
