"""From an evaluation to the tables and sentences of its reports.

Every report shows the same `Table`s, so a number looks alike in a terminal, in HTML and in
Markdown. Nothing here computes a result beyond a column's mean and worst.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from dfd_jax.evaluation.report.formatting import MISSING, Table, Worse, number, percent, psnr
from dfd_jax.evaluation.results import (
    NAN,
    POOLED,
    PROTECTED,
    UNPROTECTED,
    Cell,
    ChannelResult,
    ClipVerdict,
    CropSizeResult,
    Evaluation,
    PooledFigures,
    Verdict,
    combine,
)

T = TypeVar("T", bound=PooledFigures)
VERDICT_HEADERS = ("R", "R'", "q", "prec.", "rec.", "F1", "floor…cap")
MEAN, WORST = "mean", "worst"  # lines below the channels
R_TOLERANCE = 0.02  # R' may lie this far below R before it is flagged: the project's own target
LEGEND = (
    "L2: mean squared difference between the fake made from the protected photo and the fake made "
    "from the original, on [-1, 1]. % dis: share of fakes with L2 ≥ 0.05 (disrupted).",
    "Real is positive. R: share of real photos judged real (= recall). R': the same photos after "
    "protection, still judged real. q: share of fakes judged real; lower is better.",
    "precision = R/(R+q). F1 can only lie between its floor (every fake passes) and its cap (none "
    "does); the detector's R alone fixes both.",
    "masked: over the pixels that the generator changed (more than 0.5 on [-1, 1], all channels "
    "together); what it copies from the photo dilutes the plain L2.",
    "PSNR (dB), SSIM, L∞ (8-bit levels): the protected photo against the original.",
    "* detector in P's training loop.   ! worse than no protection "
    f"(R': more than {R_TOLERANCE} below R).",
)
LPIPS_LEGEND = (
    "LPIPS-like: the protected photo against the original as zoo:resnet50 sees them, without "
    "learned weights; 0 is alike. Not comparable with published LPIPS, nor for a P that was "
    "trained against zoo:resnet50."
)


def legend(evaluation: Evaluation) -> tuple[str, ...]:
    """How to read the tables, a line for each group of columns that there is."""
    return (*LEGEND, LPIPS_LEGEND) if _has_lpips(evaluation) else LEGEND


def _has_lpips(evaluation: Evaluation) -> bool:
    return not all(math.isnan(row.lpips) for row in evaluation.rows)


def detectors(evaluation: Evaluation) -> dict[str, str]:
    """Detectors' names → how they are printed: those in the training loop first, with a star."""
    listed = sorted(evaluation.detectors, key=lambda detector: not detector.in_the_loop)
    return {d.name: d.name + " *" * d.in_the_loop for d in listed}


def less_is_worse(value: float, unprotected: float) -> str:
    """A figure of which more is better, flagged if it is below that without protection."""
    return Worse(number(value)) if value < unprotected - 1e-9 else number(value)


def more_is_worse(value: float, unprotected: float) -> str:
    """A figure of which less is better, flagged if it is above that without protection."""
    return Worse(number(value)) if value > unprotected + 1e-9 else number(value)


def kept_real(r_protected: float, r: float) -> str:
    """R', flagged if it is too far below R."""
    return less_is_worse(r_protected, r - R_TOLERANCE)


def headline(evaluation: Evaluation) -> str:
    """One sentence: what P does to the first generator and the first detector in the loop."""
    row, generator = evaluation.row(PROTECTED), evaluation.generators[0].name
    cell, without = row.cell(generator), evaluation.row(UNPROTECTED).cell(generator)
    passing = ""
    for name in [*detectors(evaluation)][:1]:
        q, before = percent(cell.detectors[name].q), percent(without.detectors[name].q)
        passing = f" and {name} now lets {q} % of them pass as real instead of {before} %"
    visible = "" if psnr(row) == MISSING else f", at {psnr(row)} dB"
    return f"P breaks {percent(cell.disrupted)} % of the {generator} fakes{passing}{visible}."


def every(evaluation: Evaluation) -> list[Table]:
    """The tables of a report, in their order."""
    parts = (summary, conditions, clips, crop_sizes, channels)
    return [table for part in parts for table in part(evaluation)]


def summary(evaluation: Evaluation) -> list[Table]:
    """Per generator: every detector and row, pooled over the conditions."""
    return [
        Table(
            f"{generator.name}: all conditions together",
            list(_summary_rows(evaluation, generator.name)),
            keys=2,
            strong=PROTECTED,
        )
        for generator in evaluation.generators
    ]


def _summary_rows(evaluation: Evaluation, generator: str) -> Iterator[dict[str, str]]:
    base = evaluation.row(UNPROTECTED).cell(generator)
    labels = detectors(evaluation)
    for name in labels or [""]:
        for row in evaluation.rows:
            cell = row.cell(generator)
            verdict: dict[str, str] = dict.fromkeys(VERDICT_HEADERS, MISSING)
            if name:
                verdict = verdict_cells(cell.detectors[name], base.detectors[name])
            cells = {
                "detector": labels.get(name, MISSING),
                "row": row.name,
                "L2": number(cell.l2, 3),
                "% dis": percent(cell.disrupted),
                **verdict,
                "PSNR": psnr(row),
                "SSIM": number(row.ssim, 3),
                "L∞": number(row.linf_255, 1),
            }
            if _has_lpips(evaluation):
                cells["LPIPS-like"] = number(row.lpips, 4)
            yield cells


def verdict_cells(verdict: Verdict, base: Verdict) -> dict[str, str]:
    """What a detector says, flagged where it is worse than without protection."""
    cells = (
        number(verdict.R),
        kept_real(verdict.R_protected, verdict.R),
        more_is_worse(verdict.q, base.q),
        less_is_worse(verdict.precision, base.precision),
        number(verdict.recall),
        less_is_worse(verdict.f1, base.f1),
        floor_and_cap(verdict),
    )
    return dict(zip(VERDICT_HEADERS, cells, strict=True))


def floor_and_cap(verdict: Verdict) -> str:
    """Between which values F1 can lie."""
    return f"{number(verdict.floor)}…{number(verdict.cap)}"


def table1(evaluation: Evaluation) -> list[Table]:
    """Per generator, in the layout of the paper's Table 1: condition and row by detector."""
    labels = detectors(evaluation)
    tables = []
    for generator in evaluation.generators if labels else ():
        rows = []
        cells = evaluation.row(PROTECTED).cells
        known = [cell.condition for cell in cells if cell.generator == generator.name]
        for condition in (name for name in known if name != POOLED):
            for row in evaluation.rows:
                verdicts = row.cell(generator.name, condition).detectors
                values = {
                    f"{label} {measure}": number(getattr(verdicts[name], measure))
                    for name, label in labels.items()
                    for measure in ("precision", "recall", "f1")
                }
                rows.append({"condition": condition, "row": row.name, **values})
        title = f"{generator.name}: precision, recall and F1 under each condition"
        tables.append(Table(title, rows, keys=2, strong=PROTECTED))
    return tables


def conditions(evaluation: Evaluation) -> list[Table]:
    """Per generator: P under every condition; q as "without → with protection"."""

    def values(cell: Cell) -> dict[str, str]:
        return {
            "condition": cell.condition,
            "fakes": number(cell.n, 0),
            "L2": number(cell.l2, 3),
            "% dis": percent(cell.disrupted),
            "masked L2": number(cell.masked_l2, 3),
            "masked % dis": percent(cell.masked_disrupted),
        }

    return _by_condition(evaluation, "P under each condition", values, lambda cell: cell.detectors)


def clips(evaluation: Evaluation) -> list[Table]:
    """Per generator that animates: whole clips under P; empty if none does."""

    def values(cell: Cell) -> dict[str, str]:
        assert cell.clips is not None
        return {
            "motion": cell.condition,
            "clips": number(cell.clips.n, 0),
            "frames": number(cell.clips.frames, 0),
            "% dis": percent(cell.clips.disrupted),
        }

    title = "whole clips (mean L2, verdict on the mean log-odds of the frames)"
    return _by_condition(
        evaluation, title, values, lambda cell: cell.clips and cell.clips.detectors
    )


def _by_condition(
    evaluation: Evaluation,
    title: str,
    values: Callable[[Cell], dict[str, str]],
    verdicts: Callable[[Cell], dict[str, Verdict] | dict[str, ClipVerdict] | None],
) -> list[Table]:
    """A line for each condition: `values`, and each detector's q without and with protection."""
    labels, unprotected = detectors(evaluation), evaluation.row(UNPROTECTED)
    tables = []
    for generator in evaluation.generators:
        rows = []
        for cell in evaluation.row(PROTECTED).cells:
            after = verdicts(cell)
            before = verdicts(unprotected.cell(cell.generator, cell.condition))
            if cell.generator == generator.name and after is not None and before is not None:
                q = {f"q {labels[n]}": _change(before[n].q, after[n].q) for n in labels}
                rows.append(values(cell) | q)
        if rows:
            heading = f"{generator.name}: {title}"
            tables.append(Table(heading, rows, strong=POOLED, rule_above=POOLED))
    return tables


def _change(before: float, after: float) -> str:
    text = f"{number(before)} → {number(after)}"
    return Worse(text) if isinstance(more_is_worse(after, before), Worse) else text


def crop_sizes(evaluation: Evaluation) -> list[Table]:
    """P where the face in the file is 1, 2, 4 times the network's input; empty if not measured."""

    def values(result: CropSizeResult) -> dict[str, str]:
        return {
            "face in the file": f"{result.side} px ({number(result.scale, 1)} x)",
            "L2": number(result.l2, 3),
            "% dis": percent(result.disrupted),
            "L∞": number(result.linf_255, 1),
            "PSNR": psnr(result),
        }

    return [
        Table(f"{generator}: larger photos", list(map(values, results)))
        for generator, results in _by_generator(evaluation.crop_sizes).items()
    ]


def channels(evaluation: Evaluation) -> list[Table]:
    """P after what happens to a photo when it is published; empty if not measured.

    The last two lines are the mean over the channels and the worst of each column.
    """
    labels, tables = detectors(evaluation), []
    for generator, results in _by_generator(evaluation.channels).items():
        base = evaluation.row(UNPROTECTED).cell(generator).detectors
        rows = [
            {
                "channel": result.channel,
                "L2": number(result.l2, 3),
                "% dis": percent(result.disrupted),
                **{f"q {labels[n]}": more_is_worse(result.q[n], base[n].q) for n in labels},
                **{f"R' {labels[n]}": kept_real(result.R_protected[n], base[n].R) for n in labels},
            }
            for result in (*results, *_mean_and_worst(results))
        ]
        title = f"{generator}: after each channel"
        tables.append(Table(title, rows, rule_above=MEAN))
    return tables


def _mean_and_worst(results: Sequence[ChannelResult]) -> list[ChannelResult]:
    """Two more lines; none for a single channel. More is worse for q, less for all else."""
    if len(results) < 2:
        return []

    def line(name: str, of_shares: Callable, of_q: Callable) -> ChannelResult:
        combined = combine(results, _of_known(of_shares), _of_known(of_q))
        return ChannelResult(channel=name, **combined)

    return [line(MEAN, statistics.fmean, statistics.fmean), line(WORST, min, max)]


def _of_known(choose: Callable) -> Callable[[list[float]], float]:
    def chosen(values: list[float]) -> float:
        known = [value for value in values if not math.isnan(value)]
        return float(choose(known)) if known else NAN

    return chosen


def _by_generator(results: Iterable[T]) -> dict[str, list[T]]:
    """The results by the generator they are about, in the order of appearance."""
    grouped: dict[str, list[T]] = {}
    for result in results:
        grouped.setdefault(result.generator, []).append(result)
    return grouped


def speed(evaluation: Evaluation) -> str:
    """What protecting one photo takes, in a line."""
    speed = evaluation.speed
    return (
        f"{number(speed.batch_1_ms, 1)} ms per photo, one at a time; "
        f"{number(speed.best_batch_ms, 1)} ms per photo in batches of {speed.best_batch} "
        f"({evaluation.device})"
    )
