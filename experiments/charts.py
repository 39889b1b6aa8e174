"""Bar charts as SVG: measured values with their spread, drawn from zero."""

import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

ROW, BAR, LEFT, WIDTH, RIGHT = 26, 9, 250, 360, 130  # in pixels
COLOURS = ("#2f6f9f", "#c9772b")
Spread = dict[str, float]  # median, min and max


def spread_of(values: Iterable[float]) -> Spread:
    """Median, least and largest of several measurements."""
    known = list(values)
    return {"median": float(np.median(known)), "min": min(known), "max": max(known)}


def exact(value: float) -> Spread:
    """A figure without a spread."""
    return {"median": value, "min": value, "max": value}


class Bar(NamedTuple):
    """A line of the chart: one or two measured values."""

    label: str
    values: Sequence[Spread]


class Chart(NamedTuple):
    """Bars, what their values are, and in which unit."""

    bars: Sequence[Bar]
    legend: Sequence[str] = ()
    unit: str = ""


def drawing(title: str, chart: Chart) -> str:
    """The chart as SVG: medians, and a line from the least to the largest value."""
    largest = max(value["max"] for bar in chart.bars for value in bar.values) or 1.0
    scale, height = WIDTH / largest, ROW * (len(chart.bars) + 1) + 24
    parts = [_text(LEFT, 16, title), _text(8, 16, chart.unit)]
    for i, name in enumerate(chart.legend):
        x = 60 + 80 * i
        parts.append(f'<rect x="{x}" y="8" width="9" height="9" fill="{COLOURS[i]}"/>')
        parts.append(_text(x + 13, 16, name))
    for number, bar in enumerate(chart.bars):
        top = 30 + ROW * number
        parts.append(_text(LEFT - 8, top + BAR + 3, bar.label, "end"))
        for i, value in enumerate(bar.values):
            y, low, high = top + i * BAR, *(LEFT + value[key] * scale for key in ("min", "max"))
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{value["median"] * scale:.1f}" '
                f'height="{BAR - 1}" fill="{COLOURS[i]}"/>'
                f'<path stroke="#222" d="M{low:.1f} {y + BAR / 2 - 0.5}H{high:.1f}"/>'
            )
            parts.append(_text(high + 5, y + BAR - 1, f"{value['median']:.3g}", size=9))
    total = LEFT + WIDTH + RIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" '
        f'width="{total}" font-family="sans-serif"><rect width="100%" height="100%" '
        f'fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 11) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}">'
        f"{html.escape(text)}</text>"
    )
