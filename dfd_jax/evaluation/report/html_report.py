"""One self-contained HTML file per run: the headline, the tables, the pictures, the provenance.

No script, no font, no file from elsewhere: it opens offline. The template escapes everything.
"""

import base64
import dataclasses
import math
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jinja2

from dfd_jax.evaluation.report import details, tables
from dfd_jax.evaluation.report.formatting import Worse, number, percent, psnr
from dfd_jax.evaluation.results import PROTECTED, UNPROTECTED, Evaluation
from dfd_jax.runtime.files import replace_file

BOOKKEEPING = {"step", "time", "seconds", "eta", "epoch"}  # of metrics.jsonl, not worth a curve
CURVE_POINTS = 300  # more than a small curve has pixels
LEFT, RIGHT, TOP, BOTTOM = 42, 256, 8, 94  # of the curves in the template's drawings, in pixels


def write_html(
    path: str | os.PathLike[str],
    evaluation: Evaluation,
    pictures: Sequence[str | os.PathLike[str]] = (),
    history: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write the report of an evaluation; the file is replaced as a whole.

    `pictures` are PNG and GIF files to embed, `history` the records of metrics.jsonl (every numeric
    entry that has two values or more becomes a curve over "step"). OSError if a picture cannot be
    read.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dfd_jax.evaluation", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["worse"] = lambda cell: isinstance(cell, Worse)
    text = environment.get_template("report.html.jinja").render(
        evaluation=evaluation,
        facts=_facts(evaluation),
        headline=tables.headline(evaluation),
        tiles=_tiles(evaluation),
        tables=tables.every(evaluation),
        speed=tables.speed(evaluation),
        legend=tables.legend(evaluation),
        pictures=[_embedded(pathlib.Path(picture)) for picture in pictures],
        curves=list(_curves(history or ())),
        details=[
            (
                row.name,
                row.name == PROTECTED,
                (details.distances(row), details.verdicts(evaluation, row)),
            )
            for row in evaluation.rows
        ],
        provenance=_provenance(evaluation),
    )
    replace_file(pathlib.Path(path), text)


def _facts(evaluation: Evaluation) -> str:
    photos = evaluation.photos
    return " · ".join(
        (
            f"{evaluation.perturber.model}, step {number(evaluation.step, 0)}",
            f"{photos.count} photos ({photos.source}, {photos.split})",
            evaluation.device,
            evaluation.created,
        )
    )


def _tiles(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """The figures to see first, and what they are."""
    row, generator = evaluation.row(PROTECTED), evaluation.generators[0].name
    cell, before = row.cell(generator), evaluation.row(UNPROTECTED).cell(generator)
    yield f"{percent(cell.disrupted)} %", f"of fakes disrupted, L2 {number(cell.l2, 3)}"
    for name, label in tables.detectors(evaluation).items():
        verdict = cell.detectors[name]
        kept = f"R' {number(verdict.R_protected)}, R {number(verdict.R)}"
        change = f"{percent(before.detectors[name].q)} → {percent(verdict.q)} %"
        yield change, f"of fakes judged real by {label} ({kept})"
    yield f"{psnr(row)} dB", f"PSNR, L∞ {number(row.linf_255, 1)} levels"
    yield f"{number(evaluation.speed.batch_1_ms, 1)} ms", "to protect one photo"


def _embedded(path: pathlib.Path) -> tuple[str, str]:
    data = base64.b64encode(path.read_bytes()).decode()
    return path.stem, f"data:image/{path.suffix[1:]};base64,{data}"


class Curve(NamedTuple):
    """A small line chart, by the values and steps at its ends."""

    name: str
    path: str  # of SVG
    last: float
    high: str
    low: str
    first_step: str
    last_step: str


def _curves(history: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    names = dict.fromkeys(name for record in history for name in record if name not in BOOKKEEPING)
    for name in names:
        points = [
            (float(record.get("step", i)), float(record[name]))
            for i, record in enumerate(history)
            if _is_finite(record.get(name))
        ]
        if len(points) > 1:
            stride = math.ceil(len(points) / CURVE_POINTS)
            yield _curve(name, points[:-1:stride] + points[-1:])


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _curve(name: str, points: list[tuple[float, float]]) -> Curve:
    xs, ys = zip(*points, strict=True)
    low, high = min(ys), max(ys)

    def place(x: float, y: float) -> str:
        along = (x - xs[0]) / ((xs[-1] - xs[0]) or 1)
        up = (y - low) / (high - low) if high > low else 0.5
        return f"{LEFT + along * (RIGHT - LEFT):.1f},{BOTTOM - up * (BOTTOM - TOP):.1f}"

    return Curve(
        name,
        "M" + "L".join(place(x, y) for x, y in points),
        ys[-1],
        f"{high + 0.0:.3g}",
        f"{low + 0.0:.3g}" if high > low else "",
        f"{xs[0]:g}",
        f"{xs[-1]:g}",
    )


def _provenance(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Names and values of everything that the figures depend on."""
    names = ("created", "commit", "command", "device", "seed", "step")
    facts = [(name, getattr(evaluation, name)) for name in names]
    parts = {"perturber": evaluation.perturber, "photos": evaluation.photos}
    parts |= {f"generator {each.name}": each for each in evaluation.generators}
    parts |= {f"detector {each.name}": each for each in evaluation.detectors}
    for label, part in parts.items():
        fields = dataclasses.asdict(part).items()
        facts += [(f"{label} {name}", value) for name, value in fields if name != "name"]
    return [(name, _plain(value)) for name, value in facts]


def _plain(value: Any) -> str:
    """Nested settings in one line, truth values as words, the rest as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return tables.MISSING if value is None else str(value)
