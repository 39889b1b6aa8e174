"""Table 1: StarGAN under each condition, by each detector: python -m experiments.table1"""

from dfd_jax.evaluation.report.formatting import Table, number
from dfd_jax.evaluation.results import Row, row_named
from experiments.charts import Chart
from experiments.tables import command, paper, rows
from experiments.tables.command import Result
from experiments.tables.inputs import Inputs, TableRun


def make(run: TableRun) -> Result:
    """Precision, recall and F1 of every row, condition and detector."""
    inputs, detectors = run.inputs("stargan"), tuple(run.config.detectors)
    measured = rows.measure_all(inputs)
    held = rows.claims(measured, detectors)
    p = row_named(measured, rows.MAIN).cell().detectors
    sentence = (
        f"F1 with P, pooled over conditions: {', '.join(f'{n} {number(p[n].f1)}' for n in p)}. P's "
        f"F1 is above PGD's, intervals apart, and PGD's above none for {sum(held.values())} of "
        f"{len(held)} detectors."
    )
    bars = [
        command.f1_bar(f"{condition}, {name}", measured, ("PGD", rows.MAIN), name, condition)
        for condition in inputs.conditions
        for name in detectors
    ]
    return Result(
        "Table 1: StarGAN, five conditions (in brackets the paper's)",
        sentence,
        [
            _table(inputs, measured),
            command.details(inputs, measured),
            command.costs(inputs, measured),
        ],
        [inputs],
        {"claims": held, "rows": measured},
        Chart(bars, ("PGD", "P"), "F1"),
    )


def _table(inputs: Inputs, measured: list[Row]) -> Table:
    names = [n for n in inputs.config.detectors if n != "multi_attentional"]  # the paper's three
    labels = {name: command.detector_label(inputs.config, name) for name in names}
    cells = []
    for condition in inputs.conditions:
        for row in measured:
            shown, which = {"condition": condition, "row": row.name}, paper.BY_ROW.get(row.name)
            for name, label in labels.items():
                theirs = paper.TABLE1.get(condition, {}).get(name)
                theirs = theirs[which] if theirs and which is not None else None
                verdict = row.cell(condition=condition).detectors[name]
                shown |= command.detection_cells(label, verdict, theirs)
            cells.append(shown)
    return Table("stargan: precision, recall, F1", cells, keys=2, strong=rows.MAIN)


if __name__ == "__main__":
    command.run("table1", make)
