"""How numbers are worded, and the tables that hold them, the same in every kind of report.

A missing value (absent, null, NaN) is shown as a dash.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeGuard

MISSING = "\N{EN DASH}"
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

LPIPS = (  # the column of rows that have the key `lpips`, and how to read it
    "LPIPS-like",
    "LPIPS-like: the protected photo against the original as zoo:resnet50 sees them, without "
    "learned weights; 0 is alike. Not comparable with published LPIPS, nor for a P that was "
    "trained against zoo:resnet50.",
)


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
