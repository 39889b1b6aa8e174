"""Table 7: a P trained under one condition, tested under others: python -m experiments.table7"""

import pathlib
from typing import Any

from dfd_jax.evaluation.report.formatting import Cell, Row, Table, number
from dfd_jax.runtime.config import Config
from experiments import bars, paper, result, rows
from experiments.result import Result
from experiments.rows import NOTHING, Entry
from experiments.setting import open_setting
from experiments.training import trained

DETECTOR = "xception"


def make(config: Config, workdir: pathlib.Path, console: Any) -> Result:
    """F1 by Xception on StarGAN's fakes: a row for each P, a column for each condition."""
    setting = open_setting(config, workdir, console, "stargan")
    entries = [NOTHING]
    for condition in paper.TABLE7:
        path = trained(
            config,
            workdir,
            console,
            f"stargan_{condition}",
            detectors=tuple(config.in_the_loop),
            condition=condition,
        )
        entries.append(Entry(condition, perturber=path))
    any_of = "any (shipped)"
    entries.append(Entry(any_of, perturber=config.perturbers["stargan"]))
    measured = [rows.measure(setting, entry) for entry in entries]
    f1, disrupted = (
        {row["row"]: {c: of(rows.cell(row, c)) for c in paper.TABLE7} for row in measured}
        for of in (lambda cell: cell["detectors"][DETECTOR]["f1"], lambda cell: cell["disrupted"])
    )
    lines = []
    for row, of in f1.items():
        theirs = paper.TABLE7_NONE if row == NOTHING.name else paper.TABLE7.get(row, {})
        cells = [Cell(row)]
        cells += [result.with_paper(number(of[c]), theirs.get(c)) for c in of]
        cells += [Cell(number(100 * disrupted[row][c], 0)) for c in of]
        lines.append(Row(tuple(cells), row == any_of))
    headers = ("P trained for", *(f"F1 {c}" for c in paper.TABLE7))
    headers += tuple(f"% dis {c}" for c in paper.TABLE7)
    better = sum(f1[r][c] > f1[NOTHING.name][c] for r in paper.TABLE7 for c in paper.TABLE7)
    sentence = (
        f"{better} of 9 pairs of conditions are above no protection with a P that knew one "
        "condition."
    )
    title = "Table 7: from one condition to another (in brackets the paper's)"
    tables = [Table("StarGAN: F1 by Xception", headers, tuple(lines))]
    tables += [result.details(setting, measured), result.costs(setting, measured)]
    figures = {"f1": f1, "disrupted": disrupted}
    pairs = [
        bars.compared(f"{row}, for {c}", measured, (NOTHING.name, row), DETECTOR, c)
        for row in f1
        if row != NOTHING.name
        for c in paper.TABLE7
    ]
    return Result(title, sentence, tables, [setting], figures, pairs, ("no P", "with P"), "F1")


if __name__ == "__main__":
    result.run("table7", make)
