"""Table 7: a P trained under one condition, tested under others: python -m experiments.table7"""

from dfd_jax.evaluation.report.formatting import Table, number
from experiments.charts import Chart
from experiments.tables import command, paper, rows
from experiments.tables.command import Result
from experiments.tables.inputs import TableRun
from experiments.tables.perturbers import trained

DETECTOR = "xception"
ANY = "any (shipped)"


def make(run: TableRun) -> Result:
    """F1 by Xception on StarGAN's fakes: a row for each P, a column for each condition."""
    config, inputs, nothing = run.config, run.inputs("stargan"), rows.NOTHING.name
    known = tuple(config.in_the_loop)
    paths = {c: trained(run, f"stargan_{c}", detectors=known, condition=c) for c in paper.TABLE7}
    paths[ANY] = config.perturbers["stargan"]
    protections = [rows.Protection(name, perturber=path) for name, path in paths.items()]
    measured = [rows.measure(inputs, each) for each in (rows.NOTHING, *protections)]
    cells = {row.name: {c: row.cell(condition=c) for c in paper.TABLE7} for row in measured}
    f1 = {row: {c: of[c].detectors[DETECTOR].f1 for c in of} for row, of in cells.items()}
    disrupted = {row: {c: of[c].disrupted for c in of} for row, of in cells.items()}
    lines = []
    for row, of in f1.items():
        theirs = paper.TABLE7_NONE if row == nothing else paper.TABLE7.get(row, {})
        shown = {f"F1 {c}": command.with_paper(number(of[c]), theirs.get(c)) for c in of}
        shown |= {f"% dis {c}": number(100 * disrupted[row][c], 0) for c in of}
        lines.append({"P trained for": row, **shown})
    better = sum(f1[r][c] > f1[nothing][c] for r in paper.TABLE7 for c in paper.TABLE7)
    tables = [Table("StarGAN: F1 by Xception", lines, strong=ANY)]
    tables += [command.details(inputs, measured), command.costs(inputs, measured)]
    bars = [
        command.f1_bar(f"{row}, for {c}", measured, (nothing, row), DETECTOR, c)
        for row in paths
        for c in paper.TABLE7
    ]
    return Result(
        "Table 7: from one condition to another (in brackets the paper's)",
        f"{better} of 9 pairs of conditions are above no protection with a P that knew one "
        "condition.",
        tables,
        [inputs],
        {"f1": f1, "disrupted": disrupted},
        Chart(bars, ("no P", "with P"), "F1"),
    )


if __name__ == "__main__":
    command.run("table7", make)
