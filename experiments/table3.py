"""Table 3: the multi-attentional detector: python -m experiments.table3"""

import pathlib
from typing import Any

from dfd_jax.evaluation.report.formatting import Cell, Row, Table, number
from dfd_jax.runtime.config import Config
from experiments import bars, compared, paper, result, rows
from experiments.pages import Bar
from experiments.result import Result
from experiments.setting import open_setting
from experiments.training import trained

DETECTOR = "multi_attentional"
KNOWN = "P, trained with it"


def make(config: Config, workdir: pathlib.Path, console: Any) -> Result:
    """Precision, recall and F1 by this detector, which the shipped single P never met."""
    settings = [open_setting(config, workdir, console, name) for name in paper.TABLE3]
    found, lines, said = {}, [], []
    for setting in settings:
        name = f"{setting.generator}_{DETECTOR}"
        own = trained(
            config, workdir, console, name, generator=setting.generator, detectors=(DETECTOR,)
        )
        measured = compared.measured(setting)
        measured.append(rows.measure(setting, rows.Entry(KNOWN, perturber=own)))
        found[setting.generator] = measured
        for i, row in enumerate(measured):
            verdict = rows.cell(row)["detectors"][DETECTOR]
            theirs = _theirs(setting.generator, row["row"])
            cells = [Cell(setting.generator), Cell(row["row"])]
            for k, measure in enumerate(("precision", "recall", "f1")):
                ours = number(verdict[measure])
                cells.append(result.with_paper(ours, theirs[k] if theirs else None))
            cells += [Cell(number(verdict["R_protected"])), Cell(number(verdict["q"]))]
            cells += [Cell(f"{number(verdict['floor'])}…{number(verdict['cap'])}")]
            lines.append(Row(tuple(cells), row["row"] == KNOWN, starts_group=not i))
        f1 = {r["row"]: rows.cell(r)["detectors"][DETECTOR]["f1"] for r in measured}
        said.append(
            f"{setting.generator}: F1 {number(f1['no protection'])} without protection, "
            f"{number(f1['PGD'])} with PGD, {number(f1[KNOWN])} with a P that was trained with it"
        )
    headers = ("generator", "row", "precision", "recall", "F1", "R'", "q", "floor…cap")
    tables = [Table("by the multi-attentional detector", headers, tuple(lines), keys=2)]
    title = "Table 3: the multi-attentional detector (in brackets the paper's)"
    each = [
        Bar(f"{generator}: {row['row']}", [bars.f1(row, DETECTOR)])
        for generator, measured in found.items()
        for row in measured
    ]
    said = "; ".join(said) + "."
    return Result(title, said, tables, settings, {"rows": found}, each, (), "F1")


def _theirs(generator: str, row: str) -> tuple[float, float, float] | None:
    which = {**paper.BY_ROW, "P": None, KNOWN: 2}.get(row)
    return None if which is None else paper.TABLE3[generator][which]


if __name__ == "__main__":
    result.run("table3", make)
