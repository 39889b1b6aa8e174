"""The bars of a table's picture: a figure of one row, or of two rows to compare."""

from collections.abc import Sequence
from typing import Any

from experiments.pages import Bar
from experiments.result import f1_interval
from experiments.rows import Row, cell
from experiments.timing import Times


def f1(row: Row, detector: str, condition: str = "all") -> Times:
    """F1 by a detector, with its 95 % interval."""
    found = cell(row, condition)["detectors"][detector]
    low, high = f1_interval(found)
    return {"median": found["f1"], "min": low, "max": high}


def disrupted(row: Row) -> Times:
    """The share of fakes that are disrupted, with its 95 % interval."""
    found = cell(row)
    low, high = found["disrupted_interval"]
    return {"median": found["disrupted"], "min": low, "max": high}


def exact(value: float) -> Times:
    """A figure without an interval."""
    return {"median": value, "min": value, "max": value}


def named(rows: Sequence[Row], name: str) -> Row:
    """The row of that name."""
    return next(row for row in rows if row["row"] == name)


def compared(
    label: str, rows: Sequence[Row], names: tuple[str, str], detector: str, condition: str = "all"
) -> Bar:
    """F1 of two rows."""
    values: list[Any] = [f1(named(rows, name), detector, condition) for name in names]
    return Bar(label, values)
