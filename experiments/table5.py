"""Table 5: a P trained with one detector, tested by others: python -m experiments.table5"""

from dfd_jax.evaluation.report.formatting import Table, Worse, number
from experiments.charts import Chart
from experiments.tables import command, paper, rows
from experiments.tables.command import Result
from experiments.tables.inputs import TableRun
from experiments.tables.perturbers import trained

GENERATOR = "ganimation"


def make(run: TableRun) -> Result:
    """F1 on GANimation's fakes: a row for each P, a column for each detector that tests."""
    config, inputs = run.config, run.inputs(GENERATOR)
    paths = {
        name: trained(run, f"{GENERATOR}_{name}", generator=GENERATOR, detectors=(name,))
        for name in paper.TABLE5
    }
    paths[rows.ENSEMBLE] = config.perturbers["ensemble"]
    protections = [rows.Protection(name, perturber=path) for name, path in paths.items()]
    measured = [rows.measure(inputs, each) for each in (rows.NOTHING, *protections)]
    f1 = {
        row.name: {name: row.cell().detectors[name].f1 for name in config.detectors}
        for row in measured
    }
    before = f1[rows.NOTHING.name]
    worse = {row: [name for name in before if f1[row][name] < before[name]] for row in paths}
    lines = []
    for row, of in f1.items():
        theirs = paper.TABLE5_NONE if row == rows.NOTHING.name else paper.TABLE5.get(row, {})
        cells = {"P trained with": row}
        for name in of:
            text = command.with_paper(number(of[name]), theirs.get(name))
            cells[f"tested by {name}"] = Worse(text) if name in worse.get(row, ()) else text
        lines.append(cells)
    lost = sum(len(worse[row]) for row in paper.TABLE5)
    sentence = (
        f"Below no protection (marked !): {lost} of {len(paper.TABLE5) * len(before)} pairs with a "
        f"P that knew one detector, {len(worse[rows.ENSEMBLE])} of {len(before)} with the "
        "ensemble's P."
    )
    tables = [Table("GANimation: F1", lines, strong=rows.ENSEMBLE)]
    tables += [command.details(inputs, measured), command.costs(inputs, measured)]
    bars = [
        command.f1_bar(f"{row}, by {name}", measured, (rows.NOTHING.name, row), name)
        for row in worse
        for name in config.detectors
    ]
    title = "Table 5: from one detector to another (in brackets the paper's)"
    chart = Chart(bars, ("no P", "with P"), "F1")
    return Result(title, sentence, tables, [inputs], {"f1": f1, "worse": worse}, chart)


if __name__ == "__main__":
    command.run("table5", make)
