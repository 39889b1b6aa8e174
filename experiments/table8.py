"""Table 8: distortion by attacks and by P, for each generator: python -m experiments.table8"""

import pathlib
from typing import Any

from dfd_jax.evaluation.report.formatting import MISSING, Cell, Row, Table, number, percent
from dfd_jax.runtime.config import Config
from experiments import bars, compared, paper, result, rows
from experiments.pages import Bar
from experiments.result import Result
from experiments.setting import open_setting


def make(config: Config, workdir: pathlib.Path, console: Any) -> Result:
    """L2 and share disrupted of every row and generator."""
    settings = [open_setting(config, workdir, console, name) for name in config.generators]
    found = {s.generator: compared.measured(s) for s in settings}
    said = []
    for generator, measured in found.items():
        by_name = {row["row"]: rows.cell(row) for row in measured}
        p, pgd = by_name[compared.MAIN], by_name["PGD"]
        said.append(
            f"{generator}: P disrupts {percent(p['disrupted'])} % "
            f"({percent(p['masked_disrupted'])} % masked), PGD {percent(pgd['disrupted'])} % "
            f"({percent(pgd['masked_disrupted'])} %)"
        )
    tables = [_table(found), *(result.costs(s, found[s.generator]) for s in settings)]
    figures = {"rows": found}
    title = "Table 8: distortion of the fakes (in brackets the paper's)"
    each = [
        Bar(f"{generator}: {row['row']}", [bars.disrupted(row)])
        for generator, measured in found.items()
        for row in measured
    ]
    said = "; ".join(said) + "."
    return Result(title, said, tables, settings, figures, each, (), "disrupted")


def _table(found: dict[str, list[rows.Row]]) -> Table:
    headers = ("row",)
    for generator in found:
        headers += (f"{generator} L2", f"{generator} % dis", f"{generator} masked % dis")
    names = dict.fromkeys(row["row"] for measured in found.values() for row in measured)
    lines = []
    for name in names:
        cells = [Cell(name)]
        for generator, measured in found.items():
            row = next((r for r in measured if r["row"] == name), None)
            if row is None:
                cells += [Cell(MISSING)] * 3
                continue
            cell, theirs = rows.cell(row), paper.TABLE8.get(name, {}).get(generator)
            beside = (f" ({theirs[0]:.3f})", f" ({percent(theirs[1])})") if theirs else ("", "")
            cells.append(Cell(number(cell["l2"], 3) + beside[0]))
            cells.append(Cell(percent(cell["disrupted"]) + beside[1]))
            cells.append(Cell(percent(cell["masked_disrupted"])))
        lines.append(Row(tuple(cells), name == compared.MAIN))
    return Table("L2 and share disrupted, all conditions", headers, tuple(lines))


if __name__ == "__main__":
    result.run("table8", make)
