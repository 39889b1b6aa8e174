"""The paper's tables as commands: rows are measured once, the paper's figures stand beside ours."""

import dataclasses
import io

import pytest
import tiny_runs as runs
from experiments_rows import fake_row
from rich.console import Console

from configs import experiments as configs_experiments
from dfd_jax import models
from dfd_jax.evaluation import results
from dfd_jax.evaluation.report import text_report
from dfd_jax.models.frozen import Card
from experiments import charts, table1, table2, table4, table6
from experiments.tables import command, paper, rows
from experiments.tables.inputs import TableRun
from experiments.tables.rows import NOISE, NOTHING, Protection


@pytest.fixture(scope="module")
def config(tiny_zoo, tmp_path_factory):
    """configs/experiments.py with the networks and photos of the tests."""
    found = configs_experiments.get_config()
    folder = tmp_path_factory.mktemp("experiments")
    found.data.kind, found.data.root = "folder", str(runs.photo_folder(folder / "photos"))
    found.data.size = found.crop_side = 16
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
def run(config, tmp_path_factory):
    return TableRun(config, tmp_path_factory.mktemp("work"), console())


@pytest.fixture(scope="module")
def inputs(run):
    return run.inputs("stargan")


def test_a_row_is_measured_once_and_then_read(inputs, monkeypatch):
    aware = rows.attack_protections(2)[-1]
    first = {each.name: rows.measure(inputs, each) for each in (NOTHING, NOISE, aware)}
    assert first["no protection"].linf_255 == 0
    assert first["random noise"].linf_255 == first["PGD + detectors"].linf_255 == 6
    assert [cell.condition for cell in first["random noise"].cells] == ["Male", "Young", "all"]
    monkeypatch.setattr(rows, "_measured", None)
    for each in (NOISE, aware):
        assert rows.measure(inputs, each) == first[each.name]
    unprotected = rows.measure(inputs, NOTHING)  # its PSNR is NaN, which equals nothing
    assert results.to_json(unprotected) == results.to_json(first["no protection"])
    renamed = rows.measure(inputs, NOISE._replace(name="noise"))
    assert renamed == dataclasses.replace(first["random noise"], name="noise")
    with pytest.raises(TypeError, match="NoneType"):  # another attack is another row
        rows.measure(inputs, Protection("PGD", aware.attack._replace(steps=3)))


def test_detectors_change_what_an_attack_finds(inputs):
    plain, aware = (rows.measure(inputs, each) for each in rows.attack_protections(2)[-2:])
    assert plain.cells != aware.cells


def test_the_same_photos_in_larger_files_are_other_inputs(run, inputs):
    larger = run.inputs("stargan", crop_side=24)
    assert larger.digest != inputs.digest
    assert {box.side for box in larger.reference.photos.boxes} == {24}


def test_a_generator_that_the_config_lacks_is_named(run):
    with pytest.raises(ValueError, match=r"'fomm'; the config has \['stargan'\]"):
        run.inputs("fomm")


@pytest.mark.slow
def test_table_4_and_6_from_start_to_files(run):
    for table in (table4, table6):
        found = table.make(run)
        about = {"crop_side": 16, "photos": 4, "source": "", "seed": 0, **ABOUT}
        text = command.markdown(found, about, "t.svg")
        assert found.sentence in text
        assert "](t.svg)" in text
        assert "Detectors that P knew: stargan: xception." in text
        assert charts.drawing("", found.chart).count("<rect") > len(found.chart.bars)
        assert results.to_json(found.figures)
        for shown in found.tables:
            assert all(len(line.cells) == len(shown.headers) for line in shown.lines), shown.title
    assert "0.326" in text  # the paper's L2


ABOUT = {"commit": "abc", "detectors_known": {"stargan": ["xception"]}}


class FakeInputs:  # as much of Inputs as a table reads
    config = configs_experiments.get_config()
    generator = "stargan"
    conditions = tuple(paper.TABLE1)


@pytest.mark.usefixtures("without_type_checks")
def test_the_papers_figures_stand_beside_ours():
    found = [fake_row("no protection", 0.9), fake_row("PGD", 0.5), fake_row("P", 0.1)]
    first = text_report.markdown_of(table1._table(FakeInputs, found))
    line = next(x for x in first.splitlines() if "Blond" in x and "| P |" in x)
    assert "0.91 (0.98) | 1.00 (0.99) | 0.95 (0.99)" in line
    second = text_report.markdown_of(table2._table(FakeInputs.config, {"stargan": found}))
    assert "0.95 (0.92)" in second


@pytest.mark.usefixtures("without_type_checks")
def test_a_claim_holds_only_with_intervals_apart():
    apart = [fake_row("no protection", 0.9), fake_row("PGD", 0.5), fake_row("P", 0.1)]
    assert rows.claims(apart, ("xception",)) == {"xception": True}
    close = [fake_row("no protection", 0.9), fake_row("PGD", 0.11), fake_row("P", 0.1)]
    assert rows.claims(close, ("xception",)) == {"xception": False}
    wrong = [fake_row("no protection", 0.3), fake_row("PGD", 0.5), fake_row("P", 0.1)]
    assert rows.claims(wrong, ("xception",)) == {"xception": False}


def test_what_can_be_gained_is_gained_when_no_fake_passes():
    def verdict(q):
        return fake_row("P", q).cell().detectors["xception"]

    assert verdict(0.0).relative_f1 == pytest.approx(1.0)
    assert verdict(1.0).relative_f1 == pytest.approx(0.0)
    low, high = verdict(0.5).f1_interval
    assert low == pytest.approx(2 / 2.51)
    assert high == pytest.approx(2 / 2.49)


def test_a_chart_puts_two_rows_side_by_side_with_their_intervals():
    found = [fake_row("PGD", 0.5), fake_row("P", 0.1)]
    bar = command.f1_bar("Male, xception", found, ("PGD", "P"), "xception", "Male")
    assert [value["median"] for value in bar.values] == pytest.approx([2 / 2.5, 2 / 2.1])
    assert bar.values[1]["min"] == pytest.approx(2 / 2.11)
    assert bar.values[1]["max"] == pytest.approx(2 / 2.09)
    assert command.disrupted(found[0]) == {"median": 1.0, "min": 0.9, "max": 1.0}


@pytest.mark.usefixtures("without_type_checks")
def test_every_table_of_details_has_a_line_for_each_detector_and_row():
    found = [fake_row("no protection", 0.9), fake_row("P", 0.1)]
    assert len(command.details(FakeInputs, found).lines) == 8
    assert len(command.costs(FakeInputs, found).lines) == 2
