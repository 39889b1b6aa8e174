"""What a part of the benchmark shows: one table and one picture, printed and as files."""

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from experiments.timing import Times

ROW, BAR, LEFT, WIDTH, RIGHT = 26, 9, 250, 360, 130  # of the picture, in pixels
COLOURS = ("#2f6f9f", "#c9772b")


class Bar(NamedTuple):
    """A line of the picture: one or two measured values, drawn from zero."""

    label: str
    values: Sequence[Times]


class Page(NamedTuple):
    """A part's results for people."""

    title: str
    note: str  # what the figures mean and how they were made
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    bars: Sequence[Bar] = ()
    legend: Sequence[str] = ()  # what a bar's values are
    unit: str = ""


def as_table(page: Page) -> Table:
    """The table for a terminal."""
    table = Table(title=page.title)
    for number, heading in enumerate(page.headings):
        table.add_column(heading, justify="right" if number else "left")
    for line in page.lines:
        table.add_row(*line)
    return table


def show(page: Page, console: Console) -> None:
    """Print the table and its note."""
    console.print(as_table(page))
    console.print(page.note, highlight=False)


def markdown(page: Page, setting: dict[str, Any], picture: str | None) -> str:
    """The same as a file, with what the figures depend on."""
    clock = "wall clock" if setting["clock"] == "wall" else "processor time on one core"
    versions = f"JAX {setting['jax']}"
    if setting["torch"]:
        versions += f", PyTorch {setting['torch']}"
    about = (
        f"{versions}, {setting['threads']} cores of an {setting['processor']}, {clock}, load "
        f"{setting['load']}, commit {setting['commit']}."
    )
    lines = [
        f"# {page.title}",
        page.note,
        f"{about}\n\n`{setting['command']}`",
        "\n".join(
            [
                "| " + " | ".join(page.headings) + " |",
                "| --- |" + " ---: |" * (len(page.headings) - 1),
                *("| " + " | ".join(line) + " |" for line in page.lines),
            ]
        ),
    ]
    return "\n\n".join(lines + [f"![{page.title}]({picture})"] * bool(picture)) + "\n"


def drawing(page: Page) -> str:
    """The bars as SVG: medians, and a line from the least to the largest value."""
    largest = max(value["max"] for bar in page.bars for value in bar.values) or 1.0
    height = ROW * (len(page.bars) + 1) + 12
    parts = [_text(LEFT, 16, page.title, "start"), *_legend(page)]
    for number, bar in enumerate(page.bars):
        top = 30 + ROW * number
        parts.append(_text(LEFT - 8, top + BAR + 3, bar.label, "end"))
        for i, value in enumerate(bar.values):
            y, scale = top + i * BAR, WIDTH / largest
            width = value["median"] * scale
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 1}" '
                f'fill="{COLOURS[i]}"/><path stroke="#222" d="M{LEFT + value["min"] * scale:.1f} '
                f'{y + BAR / 2 - 0.5}H{LEFT + value["max"] * scale:.1f}"/>'
            )
            end = LEFT + value["max"] * scale + 5
            parts.append(_text(end, y + BAR - 1, f"{value['median']:.3g}", "start", 9))
    total = LEFT + WIDTH + RIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height + 12}" '
        f'width="{total}" font-family="sans-serif"><rect width="100%" height="100%" '
        f'fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _legend(page: Page) -> list[str]:
    found = [_text(8, 16, page.unit, "start")]
    for i, name in enumerate(page.legend):
        x = 60 + 80 * i
        found.append(f'<rect x="{x}" y="8" width="9" height="9" fill="{COLOURS[i]}"/>')
        found.append(_text(x + 13, 16, name, "start"))
    return found


def _text(x: float, y: float, text: str, anchor: str, size: int = 11) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}">'
        f"{html.escape(text)}</text>"
    )


def spread(found: Times, digits: int = 1) -> str:
    """Median (min … max)."""
    return f"{found['median']:.{digits}f} ({found['min']:.{digits}f} … {found['max']:.{digits}f})"


def per_second(found: Times) -> Times:
    """Milliseconds a photo as photos a second."""
    rates = {"median": found["median"], "min": found["max"], "max": found["min"]}
    return {name: 1000 / value for name, value in rates.items()}


def verdict(is_met: bool) -> str:
    """Whether a target was reached."""
    return "yes" if is_met else "no"
