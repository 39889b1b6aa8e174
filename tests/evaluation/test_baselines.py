"""Attacks in an evaluation: made for each photo, written to files like P, shown in the tables."""

import dataclasses
import io
import json

import evaluations
import numpy as np
import pytest
import tiny_runs as runs
from rich.console import Console

from dfd_jax import evaluate, train
from dfd_jax.data.images import Box
from dfd_jax.evaluation import files
from dfd_jax.evaluation.report import text_report
from dfd_jax.method import budget


@pytest.fixture(scope="module")
def finished(tiny_zoo, tmp_path_factory):
    """The workdir of a short run, and the config it was made with."""
    photos = runs.photo_folder(tmp_path_factory.mktemp("faces"))
    workdir = tmp_path_factory.mktemp("attacked")
    config = runs.tiny_config(tiny_zoo, photos, steps=1)
    config.evaluate.update(attacks=("FGSM", "PGD"), crop_sides=(), channels=False, photos=4)
    config.evaluate.conditions = ("Male", "Young")
    assert train.train(config, workdir, Console(file=io.StringIO()))
    return workdir


def test_an_evaluation_has_a_row_for_each_attack_between_noise_and_p(finished):
    console = Console(record=True, width=120, file=io.StringIO())
    evaluated = evaluate.evaluate_run(finished, console)
    assert [row.name for row in evaluated.rows][2:] == ["FGSM", "PGD", "P"]
    results = json.loads((finished / "evaluation.json").read_text())
    rows = {row["row"]: row for row in results["rows"]}
    assert list(rows) == ["no protection", "random noise", "FGSM", "PGD", "P"]
    assert rows["PGD"]["linf_255"] == 6
    assert [c["condition"] for c in rows["PGD"]["cells"]] == ["Male", "Young", "all"]
    male, young, both = (c["l2"] for c in rows["PGD"]["cells"])
    assert both == pytest.approx((male + young) / 2)
    assert both > 2 * rows["random noise"]["cells"][-1]["l2"]
    assert both > rows["FGSM"]["cells"][-1]["l2"]
    assert rows["PGD"]["cells"][-1]["n"] == 8
    assert 30 < rows["PGD"]["psnr"] < 36
    assert "PGD" in console.export_text()
    assert "PGD" in (finished / "report.html").read_text()


def test_an_unknown_attack_is_refused_by_name(finished):
    config = json.loads((finished / "config.json").read_text())
    config["evaluate"]["attacks"] = ["PDG"]
    other = finished / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps(config))
    (other / "perturber.safetensors").write_bytes((finished / "perturber.safetensors").read_bytes())
    with pytest.raises(ValueError, match="unknown attacks PDG; there are FGSM, I-FGSM, PGD"):
        evaluate.evaluate_run(other, Console(file=io.StringIO()))


@pytest.mark.parametrize("side", [24, 10])
def test_an_addition_keeps_its_bound_in_a_region_of_another_size(photos, side):
    photo = np.pad(photos[0], ((4, 8), (4, 8), (0, 0)))
    deltas = np.where(np.arange(48 * 16).reshape(1, 16, 16, 3) % 7 < 3, 0.05, -0.05)
    box = Box(2, 3, side)
    changed = files.addition(deltas.astype(np.float32), budget.Budget())(photo, box, 0)
    moved = np.abs(changed.astype(int) - photo)
    assert 1 <= moved.max() <= 6
    assert not moved[:3].any()
    assert not moved[:, 2 + side :].any()


def test_a_table_with_an_attack_still_prints():
    example = evaluations.example()
    row = evaluations.evaluated_row("MI-FGSM", 0.31, 1.0, (0.5, 0.5))
    *others, protected = example.rows
    example = dataclasses.replace(example, rows=(*others, row, protected))
    console = Console(record=True, width=110, file=io.StringIO())
    text_report.print_evaluation(example, console)
    lines = [line.split() for line in console.export_text().splitlines() if "MI-FGSM" in line]
    assert any("0.310" in line and "100" in line for line in lines)
