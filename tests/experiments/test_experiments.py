"""The paper's tables as commands: rows are measured once, the paper's figures stand beside ours."""

import io
import json

import pytest
import tiny_runs as runs
from rich.console import Console

from configs import experiments as configs_experiments
from dfd_jax import models
from dfd_jax.evaluation.report import text_report
from dfd_jax.models.frozen import Card
from experiments import bars, compared, pages, paper, result, rows, table1, table2, table4, table6
from experiments.rows import NOISE, NOTHING, Entry
from experiments.setting import open_setting


@pytest.fixture(scope="module")
def config(tiny_zoo, tmp_path_factory):
    """configs/experiments.py with the networks and photos of the tests."""
    found = configs_experiments.get_config()
    folder = tmp_path_factory.mktemp("experiments")
    found.data.kind, found.data.root = "folder", str(runs.photo_folder(folder / "photos"))
    found.data.size = found.region = 16
    found.photos, found.batch_size, found.attack_steps = 4, 4, 2
    found.in_the_loop = ("resnet18",)
    with found.unlocked():
        found.generators = {"stargan": str(tiny_zoo["stargan"])}
        found.detectors = {"resnet18": str(tiny_zoo["resnet18"])}
        found.conditions = {"stargan": ("Male", "Young")}
        found.perturbers = dict.fromkeys(("stargan", "ensemble"), str(_perturber(folder)))
    return found


def _perturber(folder):
    card = Card("unet", {"width": 4, "depth": 2}, 16, budget={"eps_255": 6.375, "bound": "tanh"})
    net = models.build(card)
    models.save(folder / "perturber.safetensors", net.variables, card)
    return folder / "perturber.safetensors"


def console():
    return Console(file=io.StringIO(), width=120)


@pytest.fixture(scope="module")
def setting(config, tmp_path_factory):
    return open_setting(config, tmp_path_factory.mktemp("work"), console(), "stargan")


def test_a_row_is_measured_once_and_then_read(setting, monkeypatch):
    aware = rows.attack_entries(2)[-1]
    first = {entry.name: rows.measure(setting, entry) for entry in (NOTHING, NOISE, aware)}
    assert first["no protection"]["linf_255"] == 0
    assert first["random noise"]["linf_255"] == first["PGD + detectors"]["linf_255"] == 6
    conditions = [cell["condition"] for cell in first["random noise"]["cells"]]
    assert conditions == ["Male", "Young", "all"]
    monkeypatch.setattr(rows, "_measured", None)
    for entry in (NOTHING, NOISE, aware):
        assert rows.measure(setting, entry) == first[entry.name]
    renamed = rows.measure(setting, NOISE._replace(name="noise"))
    assert renamed == {**first["random noise"], "row": "noise"}
    with pytest.raises(TypeError, match="NoneType"):  # another attack is another row
        rows.measure(setting, Entry("PGD", aware.plan._replace(steps=3)))


def test_detectors_change_what_an_attack_finds(setting):
    plain, aware = (rows.measure(setting, e) for e in rows.attack_entries(2)[-2:])
    assert plain["cells"] != aware["cells"]


def test_the_same_photos_in_larger_files_are_another_setting(config, setting, tmp_path):
    larger = open_setting(config, tmp_path, console(), "stargan", region=24)
    assert larger.digest != setting.digest
    assert {box.side for box in larger.subject.boxes} == {24}


def test_a_generator_that_the_config_lacks_is_named(config, tmp_path):
    with pytest.raises(ValueError, match=r"'fomm'; the config has \['stargan'\]"):
        open_setting(config, tmp_path, console(), "fomm")


@pytest.mark.slow
def test_table_4_and_6_from_start_to_files(config, setting):
    for table in (table4, table6):
        found = table.make(config, setting.workdir, console())
        about = {"region": 16, "photos": 4, "source": "", "seed": 0, **ABOUT}
        text = result.markdown(found, about, "t.svg")
        assert found.sentence in text
        assert "](t.svg)" in text
        assert "Detectors that P knew: stargan: xception." in text
        assert pages.drawing(result._page(found)).count("<rect") > len(found.bars)
        assert json.dumps(found.figures)
        for shown in found.tables:
            assert all(len(row.cells) == len(shown.headers) for row in shown.rows), shown.title
    assert "0.326" in text  # the paper's L2


ABOUT = {"commit": "abc", "detectors_known": {"stargan": ["xception"]}}


def fake_row(name, q, l2=0.1):
    verdict = {"R": 1.0, "R_protected": 1.0, "q": q, "q_interval": [q - 0.01, q + 0.01]}
    verdict |= {"precision": 1 / (1 + q), "recall": 1.0, "f1": 2 / (2 + q), "floor": 2 / 3}
    verdict |= {"cap": 1.0}
    cell = {"n": 8, "l2": l2, "disrupted": 1.0, "disrupted_interval": [0.9, 1.0]}
    cell |= {"masked_l2": l2, "masked_disrupted": 1.0}
    names = ("xception", "resnet18", "resnet50", "multi_attentional")
    cell["detectors"] = dict.fromkeys(names, verdict)
    known = [{"condition": c, **cell} for c in (*paper.TABLE1, "all")]
    return {"row": name, "cells": known, "psnr": 35.0, "ssim": 1.0, "lpips": 0.0, "linf_255": 6}


class FakeSetting:  # as much of a Setting as a table reads
    config = configs_experiments.get_config()
    generator = "stargan"
    conditions = dict(stargan=tuple(paper.TABLE1))  # noqa: C408, RUF012


@pytest.mark.usefixtures("without_type_checks")
def test_the_papers_figures_stand_beside_ours():
    found = [fake_row("no protection", 0.9), fake_row("PGD", 0.5), fake_row("P", 0.1)]
    first = text_report.markdown_of(table1._table(FakeSetting, found))
    line = next(x for x in first.splitlines() if "Blond" in x and "| P |" in x)
    assert "0.91 (0.98) | 1.00 (0.99) | 0.95 (0.99)" in line
    second = text_report.markdown_of(table2._table([FakeSetting], {"stargan": found}))
    assert "0.95 (0.92)" in second


@pytest.mark.usefixtures("without_type_checks")
def test_a_claim_holds_only_with_intervals_apart():
    apart = [fake_row("no protection", 0.9), fake_row("PGD", 0.5), fake_row("P", 0.1)]
    assert compared.claims(FakeSetting, apart, ("xception",)) == {"xception": True}
    close = [fake_row("no protection", 0.9), fake_row("PGD", 0.11), fake_row("P", 0.1)]
    assert compared.claims(FakeSetting, close, ("xception",)) == {"xception": False}
    wrong = [fake_row("no protection", 0.3), fake_row("PGD", 0.5), fake_row("P", 0.1)]
    assert compared.claims(FakeSetting, wrong, ("xception",)) == {"xception": False}


def test_what_can_be_gained_is_gained_when_nothing_passes():
    verdict = fake_row("P", 0.0)["cells"][0]["detectors"]["xception"]
    assert result.relative(verdict) == pytest.approx(1.0)
    verdict = fake_row("P", 1.0)["cells"][0]["detectors"]["xception"]
    assert result.relative(verdict) == pytest.approx(0.0)
    low, high = result.f1_interval(fake_row("P", 0.5)["cells"][0]["detectors"]["xception"])
    assert low == pytest.approx(2 / 2.51)
    assert high == pytest.approx(2 / 2.49)


def test_a_picture_puts_two_rows_side_by_side_with_their_intervals():
    found = [fake_row("PGD", 0.5), fake_row("P", 0.1)]
    bar = bars.compared("Male, xception", found, ("PGD", "P"), "xception", "Male")
    assert [value["median"] for value in bar.values] == pytest.approx([2 / 2.5, 2 / 2.1])
    assert bar.values[1]["min"] == pytest.approx(2 / 2.11)
    assert bar.values[1]["max"] == pytest.approx(2 / 2.09)
    assert bars.disrupted(found[0]) == {"median": 1.0, "min": 0.9, "max": 1.0}


@pytest.mark.usefixtures("without_type_checks")
def test_every_table_of_details_has_a_line_for_each_detector_and_row():
    found = [fake_row("no protection", 0.9), fake_row("P", 0.1)]
    assert len(result.details(FakeSetting, found).rows) == 8
    assert len(result.costs(FakeSetting, found).rows) == 2
