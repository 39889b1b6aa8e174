"""From an evaluation (the JSON of dfd_jax.evaluate) to the tables and sentences of its reports.

Every renderer shows the same `Table`s, so a number looks alike in a terminal, in HTML and in
Markdown. A missing value (absent, null, NaN) is shown as a dash. Nothing here computes a result: it
only words and flags them.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

MISSING = "\N{EN DASH}"
UNPROTECTED = "no protection"  # the row that every other row is compared with
PROTECTED = "P"
POOLED = "all"  # the condition that pools all others
R_TOLERANCE = 0.02  # R' may lie this far below R before it is flagged: the project's own target

LEGEND = (
    "L2: mean squared difference between the fake made from the protected photo and the fake made "
    "from the original, on [-1, 1]. % dis: share of fakes with L2 ≥ 0.05 (disrupted).",
    "Real is positive. R: share of real photos judged real (= recall). R': the same photos after "
    "protection, still judged real. q: share of fakes judged real; lower is better.",
    "precision = R/(R+q). F1 can only lie between its floor (every fake passes) and its cap (none "
    "does); the detector's R alone fixes both.",
    "PSNR (dB), SSIM, L∞ (8-bit levels): the protected photo against the original.",
    "* detector in P's training loop.   ! worse than no protection "
    f"(R': more than {R_TOLERANCE} below R).",
)

# How each measure is compared with the unprotected row: +1 where more is better, -1 where less is.
BETTER = {"q": -1, "precision": 1, "f1": 1, "auc": 1}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One formatted value; `is_worse` if it is worse than without protection."""

    text: str
    is_worse: bool = False

    def __str__(self) -> str:
        return f"{self.text}!" if self.is_worse else self.text


@dataclasses.dataclass(frozen=True)
class Row:
    """A line. `is_strong`: the result the report is about; `starts_group`: a rule goes above."""

    cells: tuple[Cell, ...]
    is_strong: bool = False
    starts_group: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Headers and rows; the first `keys` columns name the row and are left-aligned."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[Row, ...]
    keys: int = 1


def is_known(value: Any) -> TypeGuard[float]:
    """Whether `value` is a number (not null, not NaN, not a truth value)."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and not math.isnan(value)


def number(value: Any, digits: int = 2) -> str:
    """`value` with fixed decimals; tiny ones in powers of ten, infinite as ∞, missing as –."""
    if not is_known(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value and abs(value) < 0.5 * 10**-digits:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.{digits}f}"


def percent(share: Any) -> str:
    """A share (0 … 1) in percent, whole; 0 and 100 are only said when they are exact."""
    if not is_known(share):
        return MISSING
    whole = f"{100 * share:.0f}"
    if whole in ("0", "100") and share not in (0, 1):
        # Two decimals tell 1 in 10,000 apart; below that the nearest inner value is the honest one.
        return f"{min(max(100 * share, 0.01), 99.99):.2f}".rstrip("0")
    return whole


def psnr(row: Mapping[str, Any]) -> str:
    """PSNR in dB; the JSON's null means infinite where the photo is unchanged."""
    if row.get("psnr") is None and row.get("linf_255") == 0:
        return "∞"
    return number(row.get("psnr"), 1)


def interval(bounds: Any, form: Any = number) -> str:
    """ "[low, high]", or nothing where there is no interval."""
    if not bounds or len(bounds) != 2 or not all(is_known(b) for b in bounds):
        return ""
    return f"[{form(bounds[0])}, {form(bounds[1])}]"


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
    return [
        Table(
            f"{generator}: all conditions together",
            SUMMARY_HEADERS,
            tuple(_summary_rows(evaluation, generator)),
            keys=2,
        )
        for generator in generators(evaluation)
    ]


def _summary_rows(evaluation: Mapping[str, Any], generator: str) -> Iterator[Row]:
    base = cell_of(row_named(evaluation, UNPROTECTED), generator, POOLED)
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
    headers = ("condition", "photos", "L2", "% dis", *(f"q {label}" for label in labels.values()))
    tables = []
    for generator in generators(evaluation):
        lines = []
        for cell in row_named(evaluation, PROTECTED).get("cells") or []:
            if str(cell.get("generator")) != generator:
                continue
            base = cell_of(row_named(evaluation, UNPROTECTED), generator, cell.get("condition"))
            pooled = cell.get("condition") == POOLED
            values = (
                Cell(str(cell.get("condition"))),
                Cell(number(cell.get("n"), 0)),
                Cell(number(cell.get("l2"), 3)),
                Cell(percent(cell.get("disrupted"))),
                *(_change(verdicts(base, name), verdicts(cell, name)) for name in labels),
            )
            lines.append(Row(values, is_strong=pooled, starts_group=pooled))
        if lines:
            tables.append(Table(f"{generator}: P under each condition", headers, tuple(lines)))
    return tables


def _change(without: Mapping[str, Any], found: Mapping[str, Any]) -> Cell:
    cell = judged("q", found, without)
    return Cell(f"{number(without.get('q'))} → {cell.text}", cell.is_worse)


def regions(evaluation: Mapping[str, Any]) -> list[Table]:
    """P through files whose region is 1, 2, 4 times the network's input; empty if not measured."""
    lines = tuple(
        Row(
            (
                Cell(f"{number(r.get('side'), 0)} px ({number(r.get('scale'), 1)} x)"),
                Cell(number(r.get("l2"), 3)),
                Cell(percent(r.get("disrupted"))),
                Cell(number(r.get("linf_255"), 1)),
                Cell(psnr(r)),
            )
        )
        for r in evaluation.get("regions") or []
    )
    headers = ("region in the file", "L2", "% dis", "L∞", "PSNR")
    return [Table("Larger photos", headers, lines)] if lines else []


def channels(evaluation: Mapping[str, Any]) -> list[Table]:
    """P after what happens to a photo on its way to the attacker; empty if not measured."""
    labels = detectors(evaluation)
    names = generators(evaluation)
    # A channel row pools everything, so it compares with an unprotected cell only if there is one.
    base = row_named(evaluation, UNPROTECTED) if len(names) == 1 else {}
    without = {d: verdicts(cell_of(base, names[0], POOLED), d) if base else {} for d in labels}
    lines = []
    for channel in evaluation.get("channels") or []:
        qs, kept = channel.get("q") or {}, channel.get("R_protected") or {}
        values = (
            Cell(str(channel.get("channel"))),
            Cell(number(channel.get("l2"), 3)),
            Cell(percent(channel.get("disrupted"))),
            *(judged("q", {"q": qs.get(d)}, without[d]) for d in labels),
            *(
                judged("R_protected", {"R_protected": kept.get(d), "R": without[d].get("R")}, {})
                for d in labels
            ),
        )
        lines.append(Row(values))
    headers = ("channel", "L2", "% dis", *(f"q {x}" for x in labels.values()))
    headers += tuple(f"R' {x}" for x in labels.values())
    return [Table("On the way to the attacker", headers, tuple(lines))] if lines else []


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
