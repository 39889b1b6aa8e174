"""Table 2: every generator by every detector, random conditions: python -m experiments.table2"""

from dfd_jax.evaluation.report.formatting import Table
from dfd_jax.evaluation.results import Row
from dfd_jax.runtime.config import Config
from experiments.charts import Chart
from experiments.tables import command, paper, rows
from experiments.tables.command import Result
from experiments.tables.inputs import TableRun


def make(run: TableRun) -> Result:
    """F1 of every generator, row and detector, pooled over the generator's conditions."""
    inputs, detectors = run.all_inputs(), tuple(run.config.detectors)
    by_generator = {each.generator: rows.measure_all(each) for each in inputs}
    held = {
        generator: rows.claims(measured, detectors) for generator, measured in by_generator.items()
    }
    apart = [is_apart for of in held.values() for is_apart in of.values()]
    sentence = (
        f"P's F1 is above PGD's, their intervals apart, and PGD's above none in {sum(apart)} of "
        f"{len(apart)} pairs of generator and detector."
    )
    tables = [_table(run.config, by_generator)]
    for each in inputs:
        measured = by_generator[each.generator]
        tables += [command.details(each, measured), command.costs(each, measured)]
    bars = [
        command.f1_bar(f"{generator}, {name}", measured, ("PGD", rows.MAIN), name)
        for generator, measured in by_generator.items()
        for name in detectors
    ]
    title = "Table 2: generators by detectors (in brackets the paper's)"
    figures = {"claims": held, "rows": by_generator}
    return Result(title, sentence, tables, inputs, figures, Chart(bars, ("PGD", "P"), "F1"))


def _table(config: Config, by_generator: dict[str, list[Row]]) -> Table:
    lines = []
    for generator, measured in by_generator.items():
        for row in measured:
            cells, which = {"generator": generator, "row": row.name}, paper.BY_ROW.get(row.name)
            for name in config.detectors:
                theirs = paper.TABLE2.get(generator, {}).get(name)
                f1 = theirs[which] if theirs and which is not None else None
                label, verdict = command.detector_label(config, name), row.cell().detectors[name]
                cells |= command.detection_cells(label, verdict, (None, None, f1))
            lines.append(cells)
    return Table("precision, recall, F1, all conditions", lines, keys=2, strong=rows.MAIN)


if __name__ == "__main__":
    command.run("table2", make)
