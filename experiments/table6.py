"""Table 6: a P trained against one generator, tested on others: python -m experiments.table6"""

import pathlib
from typing import Any

from dfd_jax.evaluation.report.formatting import Cell, Row, Table, number, percent
from dfd_jax.runtime.config import Config
from experiments import bars, compared, paper, rows
from experiments.pages import Bar
from experiments.result import Result, run
from experiments.rows import Entry
from experiments.setting import open_setting


def make(config: Config, workdir: pathlib.Path, console: Any) -> Result:
    """L2 and share disrupted: a row for each P, columns for each generator."""
    settings = [open_setting(config, workdir, console, name) for name in config.generators]
    names = {name: config.perturbers[name] for name in (*config.generators, "ensemble")}
    figures: dict[str, Any] = {}
    lines = []
    for name, path in names.items():
        label = compared.ENSEMBLE if name == "ensemble" else name
        cells, figures[label] = [Cell(label)], {}
        for setting in settings:
            cell = rows.cell(rows.measure(setting, Entry(label, perturber=path)))
            kept = ("n", "l2", "disrupted", "masked_l2", "masked_disrupted")
            figures[label][setting.generator] = {k: cell[k] for k in kept}
            theirs = paper.TABLE6.get(name, {}).get(setting.generator)
            beside = (f" ({theirs[0]:.3f})", f" ({percent(theirs[1])})") if theirs else ("", "")
            cells.append(Cell(number(cell["l2"], 3) + beside[0]))
            cells.append(Cell(percent(cell["disrupted"]) + beside[1]))
            cells.append(Cell(percent(cell["masked_disrupted"])))
        lines.append(Row(tuple(cells), name == "ensemble"))
    headers = ("P trained against",)
    for name in config.generators:
        headers += (f"{name} L2", f"{name} % dis", f"{name} masked % dis")
    shown = ", ".join(
        f"{g} {percent(of['disrupted'])} % ({percent(of['masked_disrupted'])} % masked)"
        for g, of in figures[compared.ENSEMBLE].items()
    )
    sentence = f"The ensemble's P disrupts: {shown}."
    table = Table("L2 and share disrupted", headers, tuple(lines))
    title = "Table 6: from one generator to another (in brackets the paper's)"
    each = [
        Bar(f"P for {row}, on {generator}", [bars.exact(found["disrupted"])])
        for row, of in figures.items()
        for generator, found in of.items()
    ]
    return Result(title, sentence, [table], settings, {"cells": figures}, each, (), "disrupted")


if __name__ == "__main__":
    run("table6", make)
