"""Table 1: StarGAN under each condition, by each detector: python -m experiments.table1"""

import pathlib
from typing import Any

from dfd_jax.evaluation.report.formatting import Cell, Row, Table, number
from dfd_jax.runtime.config import Config
from experiments import bars, compared, paper, result, rows
from experiments.result import Result
from experiments.setting import open_setting


def make(config: Config, workdir: pathlib.Path, console: Any) -> Result:
    """Precision, recall and F1 of every row, condition and detector."""
    setting = open_setting(config, workdir, console, "stargan")
    found = compared.measured(setting)
    held = compared.claims(setting, found, tuple(config.detectors))
    p = rows.cell(next(row for row in found if row["row"] == compared.MAIN))
    best = ", ".join(f"{n} {number(p['detectors'][n]['f1'])}" for n in config.detectors)
    apart = sum(held.values())
    sentence = (
        f"F1 with P, pooled over conditions: {best}. P's F1 is above PGD's, intervals apart, and "
        f"PGD's above none for {apart} of {len(held)} detectors."
    )
    tables = [_table(setting, found), result.details(setting, found), result.costs(setting, found)]
    figures = {"claims": held, "rows": found}
    title = "Table 1: StarGAN, five conditions (in brackets the paper's)"
    pairs = [
        bars.compared(f"{condition}, {name}", found, ("PGD", compared.MAIN), name, condition)
        for condition in setting.conditions[setting.generator]
        for name in config.detectors
    ]
    return Result(title, sentence, tables, [setting], figures, pairs, ("PGD", "P"), "F1")


def _table(setting: Any, found: list[rows.Row]) -> Table:
    names = [n for n in setting.config.detectors if n != "multi_attentional"]  # the paper's three
    labels = [result.detector_label(setting.config, n) for n in names]
    headers = ("condition", "row")
    headers += tuple(f"{x} {m}" for x in labels for m in ("prec.", "rec.", "F1"))
    lines = []
    for condition in setting.conditions[setting.generator]:
        for i, row in enumerate(found):
            cells = [Cell(condition), Cell(row["row"])]
            for name in names:
                verdict = rows.cell(row, condition)["detectors"][name]
                theirs = _theirs(condition, name, row["row"])
                for k, measure in enumerate(("precision", "recall", "f1")):
                    ours = number(verdict[measure])
                    cells.append(result.with_paper(ours, theirs[k] if theirs else None))
            lines.append(Row(tuple(cells), row["row"] == compared.MAIN, starts_group=not i))
    return Table("stargan: precision, recall, F1", headers, tuple(lines), keys=2)


def _theirs(condition: str, detector: str, row: str) -> tuple[float, float, float] | None:
    which = paper.BY_ROW.get(row)
    if which is None or condition not in paper.TABLE1:
        return None
    return paper.TABLE1[condition].get(detector, (None,) * 3)[which]


if __name__ == "__main__":
    result.run("table1", make)
