"""How numbers are written, and the tables that hold them, the same in every kind of report.

A missing value (NaN or None) is shown as a dash.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

from dfd_jax.evaluation.results import Cost

MISSING = "\N{EN DASH}"


class Worse(str):
    """A formatted value that is worse than without protection, marked by an exclamation mark."""

    __slots__ = ()

    def __new__(cls, text: str) -> "Worse":
        """`text` with its mark."""
        return super().__new__(cls, f"{text}!")


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a table. `is_strong`: what the report is about; `starts_group`: a rule above."""

    cells: Sequence[str]
    is_strong: bool = False
    starts_group: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of cells by their headers; missing cells are empty.

    The first `keys` columns name the line and are left-aligned. `strong` is the key of the lines
    that the report is about. A rule separates lines that differ in a key other than the last, and
    stands above the key `rule_above`.
    """

    title: str
    rows: Sequence[Mapping[str, str]]
    keys: int = 1
    strong: str | None = None
    rule_above: str | None = None

    @property
    def headers(self) -> list[str]:
        """The headers of all rows, in the order of their first appearance."""
        return list(dict.fromkeys(header for row in self.rows for header in row))

    @property
    def lines(self) -> list[Line]:
        """The rows with a cell for every header."""
        headers, lines, above = self.headers, [], []
        for row in self.rows:
            *group, last = list(row.values())[: self.keys]
            starts_group = group != above or last == self.rule_above
            cells = [row.get(header, "") for header in headers]
            lines.append(Line(cells, self.strong in (*group, last), starts_group))
            above = group
        return lines


def number(value: float | None, digits: int = 2) -> str:
    """`value` with fixed decimals; tiny ones in powers of ten, infinite as ∞, missing as –."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value and abs(value) < 0.5 * 10**-digits:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """A share (0 … 1) in percent, whole; 0 and 100 only where they are exact."""
    if share is None or math.isnan(share):
        return MISSING
    whole = f"{100 * share:.0f}"
    if whole in ("0", "100") and share not in (0, 1):
        # Two decimals tell 1 in 10,000 apart; below that the nearest inner value is the honest one.
        return f"{min(max(100 * share, 0.01), 99.99):.2f}".rstrip("0")
    return whole


def psnr(cost: Cost) -> str:
    """PSNR in dB; infinite where no photo was changed."""
    is_unchanged = math.isnan(cost.psnr) and cost.linf_255 == 0
    return "∞" if is_unchanged else number(cost.psnr, 1)


def interval(bounds: tuple[float, float], form: Callable[[float], str] = number) -> str:
    """ "[low, high]", or nothing where there is no interval."""
    if any(math.isnan(bound) for bound in bounds):
        return ""
    return f"[{form(bounds[0])}, {form(bounds[1])}]"
