"""Table 5: a P trained with one detector, tested by others: python -m experiments.table5"""

import pathlib
from typing import Any

from dfd_jax.evaluation.report.formatting import Cell, Row, Table, number
from dfd_jax.runtime.config import Config
from experiments import bars, compared, paper, result, rows
from experiments.result import Result
from experiments.rows import NOTHING, Entry
from experiments.setting import open_setting
from experiments.training import trained

GENERATOR = "ganimation"


def make(config: Config, workdir: pathlib.Path, console: Any) -> Result:
    """F1 on GANimation's fakes: a row for each P, a column for each detector that tests."""
    setting = open_setting(config, workdir, console, GENERATOR)
    entries = [NOTHING]
    for name in paper.TABLE5:
        path = trained(
            config, workdir, console, f"{GENERATOR}_{name}", generator=GENERATOR, detectors=(name,)
        )
        entries.append(Entry(name, perturber=path))
    entries.append(Entry(compared.ENSEMBLE, perturber=config.perturbers["ensemble"]))
    measured = [rows.measure(setting, entry) for entry in entries]
    f1 = {
        row["row"]: {n: rows.cell(row)["detectors"][n]["f1"] for n in config.detectors}
        for row in measured
    }
    before = f1[NOTHING.name]
    worse = {
        row: [n for n in of if of[n] < before[n]] for row, of in f1.items() if row != NOTHING.name
    }
    lines = []
    for row, of in f1.items():
        theirs = paper.TABLE5_NONE if row == NOTHING.name else paper.TABLE5.get(row, {})
        cells = [Cell(row)]
        for name in of:
            text = result.with_paper(number(of[name]), theirs.get(name)).text
            cells.append(Cell(text, name in worse.get(row, [])))
        lines.append(Row(tuple(cells), row == compared.ENSEMBLE))
    headers = ("P trained with", *(f"tested by {name}" for name in config.detectors))
    lost = sum(len(of) for row, of in worse.items() if row != compared.ENSEMBLE)
    sentence = (
        f"Below no protection (marked !): {lost} of {len(paper.TABLE5) * len(before)} pairs with a "
        f"P that knew one detector, {len(worse[compared.ENSEMBLE])} of {len(before)} with the "
        "ensemble's P."
    )
    table = Table("GANimation: F1", headers, tuple(lines))
    title = "Table 5: from one detector to another (in brackets the paper's)"
    tables = [table, result.details(setting, measured), result.costs(setting, measured)]
    pairs = [
        bars.compared(f"{row}, by {name}", measured, (NOTHING.name, row), name)
        for row in worse
        for name in config.detectors
    ]
    figures = {"f1": f1, "worse": worse}
    return Result(title, sentence, tables, [setting], figures, pairs, ("no P", "with P"), "F1")


if __name__ == "__main__":
    result.run("table5", make)
