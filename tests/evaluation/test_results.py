"""Evaluations on disk: what is written is read back as it was, and what is wrong is named."""

import json
import math
import pathlib

import evaluations
import pytest

from dfd_jax.evaluation import results
from dfd_jax.evaluation.results import Evaluation, Row

PUBLISHED = pathlib.Path(__file__).parents[2] / "experiments" / "results"


@pytest.mark.parametrize("name", ["quickstart", "stargan_photos", "disrupter_fomm"])
def test_a_published_evaluation_is_read_and_written_without_loss(name: str) -> None:
    text = (PUBLISHED / f"{name}.json").read_text(encoding="utf-8")
    again = json.loads(results.to_json(results.from_json(text, Evaluation)))
    old = json.loads(text)
    assert old.items() <= again.items() or name == "stargan_photos"  # older: it has no LPIPS
    assert again["rows"][0]["cells"][0]["l2"] == old["rows"][0]["cells"][0]["l2"]


def test_figures_that_json_cannot_hold_are_null() -> None:
    row = evaluations.evaluated_row("P", math.nan, 0.5, (0.1, 0.2))
    text = results.to_json({"rows": [row, {"psnr": math.inf}]})
    assert json.loads(text)["rows"][0]["cells"][0]["l2"] is None
    assert json.loads(text)["rows"][1]["psnr"] is None
    assert math.isnan(results.from_json(json.dumps(json.loads(text)["rows"][0]), Row).cell().l2)


def test_what_is_missing_or_of_another_type_is_named() -> None:
    content = evaluations.plain()
    del content["speed"]
    content["rows"][1]["cells"][0]["l2"] = "small"
    with pytest.raises(ValueError, match=r"Evaluation: .*rows\[1\].cells\[0\].l2.*\$.speed"):
        evaluations.typed(content)
    with pytest.raises(ValueError, match=r"run python -m dfd_jax\.evaluate again"):
        results.from_json('{"rows": [', Evaluation)


def test_a_cell_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="row 'P' has no cell for fomm, all"):
        evaluations.example().row("P").cell("fomm")
