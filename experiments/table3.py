"""Table 3: the multi-attentional detector: python -m experiments.table3"""

from dfd_jax.evaluation.report import tables
from dfd_jax.evaluation.report.formatting import Table, number
from dfd_jax.evaluation.results import row_named
from experiments.charts import Bar, Chart
from experiments.tables import command, paper, rows
from experiments.tables.command import Result
from experiments.tables.inputs import TableRun
from experiments.tables.perturbers import trained

DETECTOR = "multi_attentional"
KNOWN = "P, trained with it"
OF_THE_PAPER = {**paper.BY_ROW, rows.MAIN: None, KNOWN: 2}


def make(run: TableRun) -> Result:
    """Precision, recall and F1 by this detector, which the shipped single P never met."""
    inputs = [run.inputs(name) for name in paper.TABLE3]
    by_generator, lines, said = {}, [], []
    for each in inputs:
        generator = each.generator
        own = trained(run, f"{generator}_{DETECTOR}", generator=generator, detectors=(DETECTOR,))
        measured = rows.measure_all(each)
        measured.append(rows.measure(each, rows.Protection(KNOWN, perturber=own)))
        by_generator[generator] = measured
        for row in measured:
            verdict, which = row.cell().detectors[DETECTOR], OF_THE_PAPER.get(row.name)
            theirs = (None,) * 3 if which is None else paper.TABLE3[generator][which]
            cells = {
                "generator": generator,
                "row": row.name,
                "precision": command.with_paper(number(verdict.precision), theirs[0]),
                "recall": command.with_paper(number(verdict.recall), theirs[1]),
                "F1": command.with_paper(number(verdict.f1), theirs[2]),
                "R'": number(verdict.R_protected),
                "q": number(verdict.q),
                "floor…cap": tables.floor_and_cap(verdict),
            }
            lines.append(cells)
        nothing, pgd, p = (
            number(row_named(measured, name).cell().detectors[DETECTOR].f1)
            for name in (rows.NOTHING.name, "PGD", KNOWN)
        )
        said.append(
            f"{generator}: F1 {nothing} without protection, {pgd} with PGD, {p} with a P that was "
            "trained with it"
        )
    bars = [
        Bar(f"{generator}: {row.name}", [command.f1_of(row, DETECTOR)])
        for generator, measured in by_generator.items()
        for row in measured
    ]
    return Result(
        "Table 3: the multi-attentional detector (in brackets the paper's)",
        "; ".join(said) + ".",
        [Table("by the multi-attentional detector", lines, keys=2, strong=KNOWN)],
        inputs,
        {"rows": by_generator},
        Chart(bars, (), "F1"),
    )


if __name__ == "__main__":
    command.run("table3", make)
