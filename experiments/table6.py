"""Table 6: a P trained against one generator, tested on others: python -m experiments.table6"""

from typing import Any

from dfd_jax.evaluation.report.formatting import Table, percent
from experiments.charts import Bar, Chart, exact
from experiments.tables import command, paper, rows
from experiments.tables.command import Result
from experiments.tables.inputs import TableRun

KEPT = ("n", "l2", "disrupted", "masked_l2", "masked_disrupted")


def make(run: TableRun) -> Result:
    """L2 and share disrupted: a row for each P, columns for each generator."""
    config, inputs = run.config, run.all_inputs()
    figures: dict[str, Any] = {}
    lines = []
    for name in (*config.generators, "ensemble"):
        label = rows.ENSEMBLE if name == "ensemble" else name
        cells, figures[label] = {"P trained against": label}, {}
        for each in inputs:
            protection = rows.Protection(label, perturber=config.perturbers[name])
            cell = rows.measure(each, protection).cell()
            figures[label][each.generator] = {key: getattr(cell, key) for key in KEPT}
            theirs = paper.TABLE6.get(name, {}).get(each.generator)
            cells |= command.distortion_cells(each.generator, cell, theirs)
        lines.append(cells)
    shown = ", ".join(
        f"{g} {percent(of['disrupted'])} % ({percent(of['masked_disrupted'])} % masked)"
        for g, of in figures[rows.ENSEMBLE].items()
    )
    bars = [
        Bar(f"P for {row}, on {generator}", [exact(measured["disrupted"])])
        for row, of in figures.items()
        for generator, measured in of.items()
    ]
    return Result(
        "Table 6: from one generator to another (in brackets the paper's)",
        f"The ensemble's P disrupts: {shown}.",
        [Table("L2 and share disrupted", lines, strong=rows.ENSEMBLE)],
        inputs,
        {"cells": figures},
        Chart(bars, (), "disrupted"),
    )


if __name__ == "__main__":
    command.run("table6", make)
