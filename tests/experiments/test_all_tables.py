"""Every table of the paper, made from given rows: its columns, chart and JSON fit together."""

import importlib
import json
from types import SimpleNamespace

import pytest
from experiments_rows import fake_row

from configs import experiments as configs_experiments
from dfd_jax.evaluation import results
from experiments import charts
from experiments.tables import command, paper, rows

CONDITIONS = tuple(paper.TABLE1)


@pytest.fixture
def run(monkeypatch):
    """A table's run in which nothing is trained or measured: P is better than all else."""
    config = configs_experiments.get_config()
    measure = lambda inputs, each: fake_row(each.name, 0.1 if each.perturber else 0.9)  # noqa: E731
    monkeypatch.setattr(rows, "measure", measure)
    monkeypatch.setattr(rows, "trained", lambda *_, **__: "trained")

    def inputs(generator):
        return SimpleNamespace(generator=generator, config=config, conditions=CONDITIONS)

    return SimpleNamespace(
        config=config, inputs=inputs, all_inputs=lambda: list(map(inputs, config.generators))
    )


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("number", range(1, 9))
def test_a_table_fits_together(number, run, monkeypatch):
    module = importlib.import_module(f"experiments.table{number}")
    if hasattr(module, "trained"):
        monkeypatch.setattr(module, "trained", lambda *_, **__: "trained")
    found = module.make(run)
    for table in found.tables:
        assert {len(line.cells) for line in table.lines} == {len(table.headers)}, table.title
    about = {"crop_side": 64, "photos": 4, "source": "", "seed": 0, "commit": "abc"}
    text = command.markdown(found, about | {"detectors_known": {}}, "t.svg")
    assert found.title in text
    assert found.sentence in text
    assert charts.drawing(found.title, found.chart).count("<path") == sum(
        len(bar.values) for bar in found.chart.bars
    )
    assert json.loads(results.to_json(found.figures))
