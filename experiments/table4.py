"""Table 4: what is judged real: x, x+P(x), G(x+P(x)): python -m experiments.table4"""

from dfd_jax.evaluation.report.formatting import Table, number
from experiments.charts import Bar, Chart, exact
from experiments.tables import command, paper, rows
from experiments.tables.command import Result
from experiments.tables.inputs import TableRun

PICTURES = ("x", "x+P(x)", "G(x)", "G(x+P(x))")


def make(run: TableRun) -> Result:
    """The share judged real of each kind of picture, by generator and detector."""
    config, inputs = run.config, run.all_inputs()
    lines, figures, lost = [], {}, []
    for each in inputs:
        own = rows.Protection(rows.MAIN, perturber=config.perturbers[each.generator])
        without, protected = (
            rows.measure(each, protection).cell().detectors for protection in (rows.NOTHING, own)
        )
        shares = {
            name: dict(zip(PICTURES, (p.R, p.R_protected, without[name].q, p.q), strict=True))
            for name, p in protected.items()
        }
        figures[each.generator] = shares
        lost += [of["x"] - of["x+P(x)"] for of in shares.values()]
        for i, kind in enumerate(PICTURES):
            cells = {"generator": each.generator, "pictures": kind}
            for name, of in shares.items():
                theirs = paper.TABLE4.get(each.generator, {}).get(name)
                beside = (theirs[0], theirs[1], None, theirs[2])[i] if theirs else None
                label = command.detector_label(config, name)
                cells[label] = command.with_paper(number(of[kind]), beside)
            lines.append(cells)
    bars = [
        Bar(f"{generator}, {name}", [exact(of[kind]) for kind in PICTURES[2:]])
        for generator, by_detector in figures.items()
        for name, of in by_detector.items()
    ]
    return Result(
        "Table 4: what detectors judge real (in brackets the paper's)",
        f"Protecting a photo costs at most {number(max(lost))} of the share judged real, in "
        f"{len(lost)} pairs of generator and detector.",
        [Table("share judged real", lines, keys=2, strong=PICTURES[-1])],
        inputs,
        {"shares": figures},
        Chart(bars, PICTURES[2:], "judged real"),
    )


if __name__ == "__main__":
    command.run("table4", make)
