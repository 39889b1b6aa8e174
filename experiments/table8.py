"""Table 8: distortion by attacks and by P, for each generator: python -m experiments.table8"""

from dfd_jax.evaluation.report.formatting import Table, percent
from dfd_jax.evaluation.results import Row, row_named
from experiments.charts import Bar, Chart
from experiments.tables import command, paper, rows
from experiments.tables.command import Result
from experiments.tables.inputs import TableRun


def make(run: TableRun) -> Result:
    """L2 and share disrupted of every row and generator."""
    inputs = run.all_inputs()
    by_generator = {each.generator: rows.measure_all(each) for each in inputs}
    said = []
    for generator, measured in by_generator.items():
        p, pgd = (row_named(measured, name).cell() for name in (rows.MAIN, "PGD"))
        said.append(
            f"{generator}: P disrupts {percent(p.disrupted)} % ({percent(p.masked_disrupted)} % "
            f"masked), PGD {percent(pgd.disrupted)} % ({percent(pgd.masked_disrupted)} %)"
        )
    bars = [
        Bar(f"{generator}: {row.name}", [command.disrupted(row)])
        for generator, measured in by_generator.items()
        for row in measured
    ]
    return Result(
        "Table 8: distortion of the fakes (in brackets the paper's)",
        "; ".join(said) + ".",
        [
            _table(by_generator),
            *(command.costs(each, by_generator[each.generator]) for each in inputs),
        ],
        inputs,
        {"rows": by_generator},
        Chart(bars, (), "disrupted"),
    )


def _table(by_generator: dict[str, list[Row]]) -> Table:
    by_name = {
        g: {row.name: row.cell() for row in measured} for g, measured in by_generator.items()
    }
    lines = []
    for name in dict.fromkeys(name for cells in by_name.values() for name in cells):
        shown = {"row": name}
        for generator, cells in by_name.items():
            theirs = paper.TABLE8.get(name, {}).get(generator)
            shown |= command.distortion_cells(generator, cells.get(name), theirs)
        lines.append(shown)
    return Table("L2 and share disrupted, all conditions", lines, strong=rows.MAIN)


if __name__ == "__main__":
    command.run("table8", make)
