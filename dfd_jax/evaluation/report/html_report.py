"""One self-contained HTML file per run: the sentence, the tables, the pictures, where it came from.

No script, no font, no file from elsewhere: it opens offline and years later. Everything is escaped.
"""

import base64
import html
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dfd_jax.evaluation.report import tables
from dfd_jax.evaluation.report.formatting import Cell, Row, Table, interval, number, percent
from dfd_jax.runtime.files import replace_file

BOOKKEEPING = {"step", "time", "seconds", "eta", "epoch"}  # of metrics.jsonl, not worth a curve
CURVE_POINTS = 300  # more than a small curve has pixels
WIDTH, HEIGHT = 260, 110  # of a curve, in pixels

STYLE = """
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1b1f27; --soft: #626b7a;
  --line: #e1e5eb; --accent: #1f5fd0; --good: #e9f0fd; --bad: #b3261e; --bad-back: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --back: #111318; --card: #1a1d24; --text: #e7eaf0;
  --soft: #98a2b3; --line: #2c313b; --accent: #82aaff; --good: #1d283e; --bad: #ff9d95;
  --bad-back: #3a1f1f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem clamp(.8rem, 3vw, 2.5rem) 4rem; max-width: 1240px;
  background: var(--back); color: var(--text); font: 15px/1.55 system-ui, sans-serif; }
header p.kind { margin: 0; color: var(--soft); }
h1 { margin: .2rem 0 1.4rem; font-size: clamp(1.35rem, 3vw, 1.95rem); line-height: 1.25;
  max-width: 34em; text-wrap: balance; }
h2 { margin: 0 0 .8rem; font-size: 1.12rem; } h3 { margin: 1.2rem 0 .4rem; font-size: .95rem; }
section { margin: 1.1rem 0; padding: 1.2rem 1.3rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 12px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: .8rem; }
.tile { padding: .9rem 1.1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; }
.tile b { display: block; font-size: 1.55rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin-bottom: .9rem; font-size: .88rem; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th, td { padding: .34rem .62rem; text-align: right; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; } .key { text-align: left; }
tr.group td { border-top: 2px solid var(--line); } tr.strong td { font-weight: 650;
  background: var(--good); } tr td.worse { color: var(--bad); background: var(--bad-back); }
.legend { margin: 0; padding-left: 1.1rem; color: var(--soft); font-size: .87rem; }
img.grid { display: block; max-width: 100%; height: auto; border-radius: 8px; }
.curves { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); }
figure { margin: 0; } figcaption { font-size: .85rem; } figcaption span { color: var(--soft); }
svg { width: 100%; height: auto; } svg path { fill: none; stroke: var(--accent); stroke-width: 1.6;
  stroke-linejoin: round; } svg line { stroke: var(--line); }
svg text { fill: var(--soft); font-size: 10px; }
details { margin: .4rem 0; } summary { cursor: pointer; font-weight: 600; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 1.1rem; }
.two section { margin: 0; } .two ul { margin: 0; padding-left: 1.1rem; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .25rem 1.2rem;
  margin: 0; font-size: .88rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 560px) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
"""


def write_html(
    path: str | os.PathLike[str],
    evaluation: Mapping[str, Any],
    pictures: Sequence[str | os.PathLike[str]] = (),
    history: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write the report of an evaluation; the file is replaced as a whole.

    `pictures` are PNG and GIF files to embed, `history` the lines of metrics.jsonl (every numeric
    entry that has two values or more becomes a curve over "step"). OSError if a picture cannot be
    read.
    """
    name = str(_known((evaluation.get("perturber") or {}).get("model")))
    body = "".join(
        (
            _header(evaluation, name),
            _tiles(evaluation),
            _results(evaluation),
            _pictures(pictures),
            _curves(history or []),
            _details(evaluation),
            _promises(evaluation),
            _provenance(evaluation),
        )
    )
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation: {_text(name)}</title><style>{STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )
    replace_file(path, text)


def _text(value: Any) -> str:
    """`value` as HTML text: missing as –, everything else escaped."""
    return html.escape(str(_known(value)))


def _known(value: Any) -> Any:
    is_missing = value is None or (isinstance(value, float) and math.isnan(value))
    return tables.MISSING if is_missing else value


def _section(title: str, content: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{content}</section>" if content else ""


def _header(evaluation: Mapping[str, Any], name: str) -> str:
    photos = evaluation.get("photos") or {}
    source, split = (_known(photos.get(key)) for key in ("source", "split"))
    facts = [f"{name}, step {number(evaluation.get('step'), 0)}"]
    facts += [f"{number(photos.get('count'), 0)} photos ({source}, {split})"]
    facts += [str(_known(evaluation.get(key))) for key in ("device", "created")]
    line = " · ".join(facts)
    return (
        f'<header><p class="kind">{_text(line)}</p>'
        f"<h1>{_text(tables.headline(evaluation))}</h1></header>"
    )


def _tiles(evaluation: Mapping[str, Any]) -> str:
    row = tables.row_named(evaluation, tables.PROTECTED)
    names = tables.generators(evaluation)
    cell = tables.cell_of(row, names[0], tables.POOLED) if names else {}
    base = tables.row_named(evaluation, tables.UNPROTECTED)
    before = tables.cell_of(base, names[0], tables.POOLED) if names else {}
    tiles = [
        (
            f"{percent(cell.get('disrupted'))} %",
            f"of fakes disrupted, L2 {number(cell.get('l2'), 3)}",
        )
    ]
    for name, label in tables.detectors(evaluation).items():
        found, without = tables.verdicts(cell, name), tables.verdicts(before, name)
        change = f"{percent(without.get('q'))} → {percent(found.get('q'))} %"
        kept = f"R' {number(found.get('R_protected'))}, R {number(found.get('R'))}"
        tiles.append((change, f"of fakes judged real by {label} ({kept})"))
    tiles.append((f"{tables.psnr(row)} dB", f"PSNR, L∞ {number(row.get('linf_255'), 1)} levels"))
    fast = (evaluation.get("speed") or {}).get("batch_1_ms")
    if tables.is_known(fast):
        tiles.append((f"{number(fast, 1)} ms", "to protect one photo"))
    boxes = (f'<div class="tile"><b>{_text(b)}</b><span>{_text(s)}</span></div>' for b, s in tiles)
    return f'<div class="tiles">{"".join(boxes)}</div>'


def _results(evaluation: Mapping[str, Any]) -> str:
    groups = (tables.summary, tables.conditions, tables.clips, tables.regions, tables.channels)
    drawn = "".join(_table(table) for group in groups for table in group(evaluation))
    fast = tables.speed(evaluation)
    drawn += f"<h3>Speed</h3><p>{_text(fast)}</p>" if fast else ""
    legend = "".join(f"<li>{_text(line)}</li>" for line in tables.legend(evaluation))
    return _section("Results", f'{drawn}<h3>How to read this</h3><ul class="legend">{legend}</ul>')


def _table(table: Table, with_title: bool = True) -> str:
    head = "".join(
        f'<th scope="col"{_key(i, table)}>{_text(name)}</th>'
        for i, name in enumerate(table.headers)
    )
    lines = []
    for row in table.rows:
        kinds = [
            n for n, is_on in (("strong", row.is_strong), ("group", row.starts_group)) if is_on
        ]
        cells = "".join(_cell(cell, i, table) for i, cell in enumerate(row.cells))
        lines.append(f'<tr class="{" ".join(kinds)}">{cells}</tr>')
    title = f"<h3>{_text(table.title)}</h3>" if with_title else ""
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'{title}<div class="scroll"><table>{body}</table></div>'


def _key(index: int, table: Table) -> str:
    return ' class="key"' if index < table.keys else ""


def _cell(cell: Cell, index: int, table: Table) -> str:
    if cell.is_worse:
        return f'<td class="worse" title="worse than no protection">{_text(cell)}</td>'
    return f"<td{_key(index, table)}>{_text(cell)}</td>"


def _pictures(paths: Sequence[str | os.PathLike[str]]) -> str:
    alt = "Photos, protected photos, the perturbation, and the fakes made from both"
    shown = []
    for path in map(pathlib.Path, paths):
        data = f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"
        shown.append(
            f'<p class="legend">{_text(path.stem)}</p><img class="grid" alt="{alt}" src="{data}">'
        )
    return _section("Pictures", "".join(shown)) if shown else ""


def _curves(history: Sequence[Mapping[str, Any]]) -> str:
    names = dict.fromkeys(name for line in history for name in line if name not in BOOKKEEPING)
    drawn = []
    for name in names:
        points = [
            (float(line.get("step", i)), float(line[name]))
            for i, line in enumerate(history)
            if tables.is_known(line.get(name)) and math.isfinite(line[name])
        ]
        if len(points) > 1:
            drawn.append(_curve(name, points))
    return _section("Training", f'<div class="curves">{"".join(drawn)}</div>' if drawn else "")


def _curve(name: str, points: list[tuple[float, float]]) -> str:
    """A small line chart: highest and lowest value at the left, first and last step below."""
    stride = math.ceil(len(points) / CURVE_POINTS)
    shown = points[:-1:stride] + points[-1:]
    xs, ys = zip(*shown, strict=True)
    low, high = min(ys), max(ys)
    left, right, top, bottom = 42, WIDTH - 4, 8, HEIGHT - 16

    def place(x: float, y: float) -> str:
        along = (x - xs[0]) / ((xs[-1] - xs[0]) or 1)
        up = (y - low) / (high - low) if high > low else 0.5
        return f"{left + along * (right - left):.1f},{bottom - up * (bottom - top):.1f}"

    path = "M" + "L".join(place(x, y) for x, y in shown)
    marks = (
        (left - 4, top + 4, "end", f"{high + 0.0:.3g}"),
        (left - 4, bottom, "end", f"{low + 0.0:.3g}" if high > low else ""),
        (left, HEIGHT - 3, "start", f"{xs[0]:g}"),
        (right, HEIGHT - 3, "end", f"step {xs[-1]:g}"),
    )
    texts = "".join(f'<text x="{x}" y="{y}" text-anchor="{a}">{t}</text>' for x, y, a, t in marks)
    frame = f'<line x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>'
    return (
        f"<figure><figcaption>{_text(name)} <span>last {ys[-1]:.4g}</span></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(name)} over steps">'
        f'{frame}<path d="{path}"/>{texts}</svg></figure>'
    )


def _details(evaluation: Mapping[str, Any]) -> str:
    drawn = []
    for row in tables.rows(evaluation):
        shown = " open" if row.get("row") == tables.PROTECTED else ""
        content = _table(_distances(row), with_title=False)
        content += _table(_verdicts(evaluation, row), with_title=False)
        drawn.append(
            f"<details{shown}><summary>{_text(row.get('row'))}</summary>{content}</details>"
        )
    note = '<p class="legend">In brackets: 95 % bootstrap intervals over the photos.</p>'
    return _section("Every condition and detector", note + "".join(drawn) if drawn else "")


def _distances(row: Mapping[str, Any]) -> Table:
    headers = ("generator", "condition", "fakes", "L2", "95 %", "median", "% dis", "95 %")
    headers += ("masked L2", "masked % dis", "empty masks")
    lines = [
        Row(
            (
                Cell(str(c.get("generator"))),
                Cell(str(c.get("condition"))),
                Cell(number(c.get("n"), 0)),
                Cell(number(c.get("l2"), 3)),
                Cell(interval(c.get("l2_interval"), lambda v: number(v, 3))),
                Cell(number(c.get("l2_median"), 3)),
                Cell(percent(c.get("disrupted"))),
                Cell(interval(c.get("disrupted_interval"), percent)),
                Cell(number(c.get("masked_l2"), 3)),
                Cell(percent(c.get("masked_disrupted"))),
                Cell(number(c.get("empty_masks"), 0)),
            ),
            is_strong=c.get("condition") == tables.POOLED,
        )
        for c in row.get("cells") or []
    ]
    return Table("Distortion", headers, tuple(lines), keys=2)


def _verdicts(evaluation: Mapping[str, Any], row: Mapping[str, Any]) -> Table:
    headers = ("generator", "condition", "detector", "R", "R'", "q", "95 %", "prec.", "rec.")
    headers += ("F1", "floor", "cap", "AUC", "TP", "FN", "FP", "TN")
    return Table("Verdicts", headers, tuple(_verdict_rows(evaluation, row)), keys=3)


def _verdict_rows(evaluation: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[Row]:
    unprotected = tables.row_named(evaluation, tables.UNPROTECTED)
    for cell in row.get("cells") or []:
        where = (cell.get("generator"), cell.get("condition"))
        base = tables.cell_of(unprotected, *where)
        for i, (name, label) in enumerate(tables.detectors(evaluation).items()):
            found, without = tables.verdicts(cell, name), tables.verdicts(base, name)
            counts = found.get("counts") or {}
            yield Row(
                (
                    *(Cell(str(part)) for part in (*where, label)),
                    *(tables.judged(m, found, without) for m in ("R", "R_protected", "q")),
                    Cell(interval(found.get("q_interval"))),
                    *(
                        tables.judged(m, found, without)
                        for m in ("precision", "recall", "f1", "floor", "cap", "auc")
                    ),
                    *(Cell(number(counts.get(n), 0)) for n in ("tp", "fn", "fp", "tn")),
                ),
                is_strong=where[1] == tables.POOLED,
                starts_group=i == 0,
            )


def _promises(evaluation: Mapping[str, Any]) -> str:
    lists = (
        ("Protects against", evaluation.get("protects_against") or []),
        ("Not tested against", evaluation.get("not_tested_against") or []),
    )
    return f'<div class="two">{"".join(_section(t, _bullets(items)) for t, items in lists)}</div>'


def _bullets(items: Iterable[Any]) -> str:
    lines = "".join(f"<li>{_text(item)}</li>" for item in items)
    return f"<ul>{lines}</ul>" if lines else "<p>Nothing stated.</p>"


def _provenance(evaluation: Mapping[str, Any]) -> str:
    keys = ("created", "commit", "command", "device", "seed", "step")
    facts = [(key, evaluation.get(key)) for key in keys]
    for name in ("perturber", "photos"):
        facts += [(f"{name} {k}", v) for k, v in (evaluation.get(name) or {}).items()]
    for kind in ("generators", "detectors"):
        for item in evaluation.get(kind) or []:
            label = f"{kind[:-1]} {item.get('name')}"
            facts += [(f"{label} {k}", v) for k, v in item.items() if k != "name"]
    lines = "".join(f"<dt>{_text(k)}</dt><dd>{_text(_plain(v))}</dd>" for k, v in facts)
    return _section("Where these numbers come from", f"<dl>{lines}</dl>")


def _plain(value: Any) -> Any:
    """Nested settings in one line, truth values as words, the rest as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_known(_plain(v))}" for key, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(str(_known(_plain(v))) for v in value)
    return value
