"""Table 2: every generator by every detector, random conditions: python -m experiments.table2"""

import pathlib
from typing import Any

from dfd_jax.evaluation.report.formatting import Cell, Row, Table, number
from dfd_jax.runtime.config import Config
from experiments import bars, compared, paper, result, rows
from experiments.result import Result
from experiments.setting import Setting, open_setting


def make(config: Config, workdir: pathlib.Path, console: Any) -> Result:
    """F1 of every generator, row and detector, pooled over the generator's conditions."""
    settings = [open_setting(config, workdir, console, name) for name in config.generators]
    found = {s.generator: compared.measured(s) for s in settings}
    detectors = tuple(config.detectors)
    held = {s.generator: compared.claims(s, found[s.generator], detectors) for s in settings}
    count = sum(len(of) for of in held.values())
    apart = sum(sum(of.values()) for of in held.values())
    sentence = (
        f"P's F1 is above PGD's, their intervals apart, and PGD's above none in {apart} of {count} "
        "pairs of generator and detector."
    )
    tables = [_table(settings, found)]
    for setting in settings:
        tables += [result.details(setting, found[setting.generator])]
        tables += [result.costs(setting, found[setting.generator])]
    figures = {"claims": held, "rows": found}
    title = "Table 2: generators by detectors (in brackets the paper's)"
    pairs = [
        bars.compared(f"{generator}, {name}", measured, ("PGD", compared.MAIN), name)
        for generator, measured in found.items()
        for name in detectors
    ]
    return Result(title, sentence, tables, settings, figures, pairs, ("PGD", "P"), "F1")


def _table(settings: list[Setting], found: dict[str, list[rows.Row]]) -> Table:
    config = settings[0].config
    names = list(config.detectors)
    labels = [result.detector_label(config, name) for name in names]
    headers = ("generator", "row", *(f"{x} {m}" for x in labels for m in ("prec.", "rec.", "F1")))
    lines = []
    for generator, measured in found.items():
        for i, row in enumerate(measured):
            cells = [Cell(generator), Cell(row["row"])]
            for name in names:
                verdict = rows.cell(row)["detectors"][name]
                cells += [Cell(number(verdict["precision"])), Cell(number(verdict["recall"]))]
                theirs = _theirs(generator, name, row["row"])
                cells.append(result.with_paper(number(verdict["f1"]), theirs))
            lines.append(Row(tuple(cells), row["row"] == compared.MAIN, starts_group=not i))
    return Table("precision, recall, F1, all conditions", headers, tuple(lines), keys=2)


def _theirs(generator: str, detector: str, row: str) -> float | None:
    which = paper.BY_ROW.get(row)
    known = paper.TABLE2.get(generator, {}).get(detector)
    return None if which is None or known is None else known[which]


if __name__ == "__main__":
    result.run("table2", make)
