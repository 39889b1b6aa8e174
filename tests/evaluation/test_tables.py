"""How single values are written; test_text_report.py looks at them in their tables."""

import math
from typing import Any

import pytest

from dfd_jax.evaluation.report import formatting


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0"), (1.0, "100"), (0.984, "98"), (0.9984, "99.84"), (0.002, "0.2"), (1e-7, "0.01")],
)
def test_a_share_is_never_rounded_up_to_all_or_down_to_none(share: float, said: str) -> None:
    assert formatting.percent(share) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (math.nan, "–"), (math.inf, "∞"), (5e-5, "5e-5"), (0, "0.000")],  # noqa: RUF001
)
def test_numbers_that_are_missing_infinite_or_tiny(value: Any, said: str) -> None:
    assert formatting.number(value, 3) == said
