"""Table 4: what is judged real: x, x+P(x), G(x+P(x)): python -m experiments.table4"""

import pathlib
from typing import Any

from dfd_jax.evaluation.report.formatting import Cell, Row, Table, number
from dfd_jax.runtime.config import Config
from experiments import bars, compared, paper, result, rows
from experiments.pages import Bar
from experiments.result import Result
from experiments.rows import NOTHING, Entry
from experiments.setting import open_setting

INPUTS = ("x", "x+P(x)", "G(x)", "G(x+P(x))")


def make(config: Config, workdir: pathlib.Path, console: Any) -> Result:
    """The share judged real of each kind of picture, by generator and detector."""
    settings = [open_setting(config, workdir, console, name) for name in config.generators]
    lines, figures, lost = [], {}, []
    for setting in settings:
        own = Entry(compared.MAIN, perturber=config.perturbers[setting.generator])
        without, protected = (rows.cell(rows.measure(setting, e)) for e in (NOTHING, own))
        shares = {
            name: (
                protected["detectors"][name]["R"],
                protected["detectors"][name]["R_protected"],
                without["detectors"][name]["q"],
                protected["detectors"][name]["q"],
            )
            for name in config.detectors
        }
        figures[setting.generator] = {
            n: dict(zip(INPUTS, s, strict=True)) for n, s in shares.items()
        }
        lost += [s[0] - s[1] for s in shares.values()]
        for i, kind in enumerate(INPUTS):
            cells = [Cell(setting.generator), Cell(kind)]
            for name, known in shares.items():
                theirs = paper.TABLE4.get(setting.generator, {}).get(name)
                beside = (theirs[0], theirs[1], None, theirs[2])[i] if theirs else None
                cells.append(result.with_paper(number(known[i]), beside))
            lines.append(Row(tuple(cells), kind == INPUTS[-1], starts_group=not i))
    labels = tuple(result.detector_label(config, name) for name in config.detectors)
    table = Table("share judged real", ("generator", "pictures", *labels), tuple(lines), keys=2)
    sentence = (
        f"Protecting a photo costs at most {number(max(lost))} of the share judged real, in "
        f"{len(lost)} pairs of generator and detector."
    )
    title = "Table 4: what detectors judge real (in brackets the paper's)"
    pairs = [
        Bar(f"{generator}, {name}", [bars.exact(of[kind]) for kind in INPUTS[2:]])
        for generator, by_detector in figures.items()
        for name, of in by_detector.items()
    ]
    shown = {"shares": figures}
    return Result(title, sentence, [table], settings, shown, pairs, INPUTS[2:], "judged real")


if __name__ == "__main__":
    result.run("table4", make)
