"""What every table does before and after its own part: flags, shared columns and tables, files."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from absl import flags

from dfd_jax.evaluation import results
from dfd_jax.evaluation.report import picture_grid, tables, text_report
from dfd_jax.evaluation.report.formatting import Line, Table, interval, number, percent, psnr
from dfd_jax.evaluation.results import POOLED, Cell, Row, Verdict, row_named
from dfd_jax.runtime import command_line
from dfd_jax.runtime.config import Config
from dfd_jax.runtime.files import replace_file
from experiments import charts
from experiments.charts import Bar, Chart, Spread
from experiments.tables.inputs import Inputs, TableRun, described
from experiments.tables.rows import MAIN

RESULTS = pathlib.Path(__file__).parents[1] / "results"
CONFIG = "configs/experiments.py"


class Result(NamedTuple):
    """A finished table: what is printed, and what it was measured on."""

    title: str
    sentence: str  # what it shows, in one honest sentence
    tables: Sequence[Table]
    inputs: list[Inputs]
    figures: dict[Any, Any]  # for the JSON
    chart: Chart


def run(name: str, make: Callable[[TableRun], Result]) -> None:
    """Make a table as a command: print it, and write NAME.json, .md and .svg in --out."""
    flags.DEFINE_string("out", str(RESULTS), "Folder of the results.")

    def main() -> None:
        config, console = flags.FLAGS.config, command_line.console()
        found = make(TableRun(config, command_line.workdir(), console))
        about = described(config, found.inputs)
        console.print(f"\n{found.title}", style="bold", highlight=False)
        for table in found.tables:
            text_report.print_table(table, console)
        console.print(f"\n{found.sentence}", highlight=False)
        folder = pathlib.Path(flags.FLAGS.out)
        data = {"table": name, **about, "sentence": found.sentence, "figures": found.figures}
        replace_file(folder / f"{name}.json", results.to_json(data))
        title = found.title.partition(" (in brackets")[0]  # the paper's figures are not drawn
        replace_file(folder / f"{name}.svg", charts.drawing(title, found.chart))
        replace_file(folder / f"{name}.md", markdown(found, about, f"{name}.svg"))
        console.print(f"wrote {folder / name}.json, .md and .svg", highlight=False)

    command_line.run(main, with_config=True, default=CONFIG)


def run_figure(name: str, make: Callable[[TableRun], picture_grid.Panels]) -> None:
    """Make a figure as a command: NAME.png in the results, or in the workdir if photographs of
    real people are in it.
    """

    def main() -> None:
        config, console = flags.FLAGS.config, command_line.console()
        workdir = command_line.workdir()
        path = (workdir if config.data.root else RESULTS) / f"{name}.png"
        picture_grid.save_grid(path, make(TableRun(config, workdir, console)))
        console.print(f"wrote {path}", highlight=False)

    command_line.run(main, with_config=True, default=CONFIG)


def markdown(found: Result, about: dict[str, Any], picture: str) -> str:
    """The table as a page of its own."""
    side = f"{about['crop_side']} px files" if about["crop_side"] else "files as they are"
    knew = "; ".join(f"{p}: {', '.join(of)}" for p, of in about["detectors_known"].items())
    small = (
        f"{about['photos']} test photos ({about['source']}), {side}, seed {about['seed']}, commit "
        f'{about["commit"]}. A star: known to "PGD + detectors". Detectors that P knew: {knew}. '
        "How every number is defined: [README](../README.md)."
    )
    blocks = [f"# {found.title}", found.sentence, f"![{found.title}]({picture})"]
    blocks += [*map(text_report.markdown_of, found.tables), small]
    return "\n\n".join(blocks) + "\n"


def with_paper(ours: str, theirs: float | None) -> str:
    """Our figure with the paper's in brackets."""
    return ours if theirs is None else f"{ours} ({theirs:.2f})"


MEASURES = ("precision", "recall", "f1")


def detection_cells(verdict: Verdict, theirs: Sequence[float | None] | None) -> list[str]:
    """Precision, recall and F1, with the paper's."""
    ours = [number(getattr(verdict, measure)) for measure in MEASURES]
    return [with_paper(*pair) for pair in zip(ours, theirs or (None,) * 3, strict=True)]


def detection_headers(labels: Sequence[str]) -> tuple[str, ...]:
    """Of `detection_cells` of several detectors."""
    return tuple(f"{label} {m}" for label in labels for m in ("prec.", "rec.", "F1"))


def distortion_cells(cell: Cell, theirs: tuple[float, float] | None) -> list[str]:
    """L2 and the share disrupted with the paper's, and the masked share."""
    l2, share = (f" ({theirs[0]:.3f})", f" ({percent(theirs[1])})") if theirs else ("", "")
    shares = percent(cell.disrupted) + share, percent(cell.masked_disrupted)
    return [number(cell.l2, 3) + l2, *shares]


def distortion_headers(generators: Sequence[str]) -> tuple[str, ...]:
    """Of `distortion_cells` of several generators."""
    return tuple(f"{name} {m}" for name in generators for m in ("L2", "% dis", "masked % dis"))


def details(inputs: Inputs, measured: Sequence[Row]) -> Table:
    """What the paper's tables leave out, for each detector and row, pooled over the conditions."""
    headers = ("detector", "row", "fakes", "R", "R'", "q", "q 95 %", "F1", "F1 95 %")
    headers += ("floor…cap", "share of what can be gained")
    lines = []
    for detector in inputs.config.detectors:
        for i, row in enumerate(measured):
            cell = row.cell()
            found = cell.detectors[detector]
            cells = (
                detector_label(inputs.config, detector),
                row.name,
                str(cell.n),
                number(found.R),
                number(found.R_protected),
                number(found.q),
                interval(found.q_interval),
                number(found.f1),
                interval(found.f1_interval),
                tables.floor_and_cap(found),
                number(found.relative_f1),
            )
            lines.append(Line(cells, row.name == MAIN, starts_group=not i))
    return Table(f"{inputs.generator}: detection, pooled", headers, lines, keys=2)


def costs(inputs: Inputs, measured: Sequence[Row]) -> Table:
    """Distortion of the fakes and of the photos, for each row."""
    headers = ("row", "fakes", "L2", "% dis", "% dis 95 %", "masked L2", "masked % dis")
    headers += ("PSNR", "SSIM", "LPIPS-like", "L∞")
    lines = []
    for row in measured:
        cell = row.cell()
        cells = (
            row.name,
            str(cell.n),
            number(cell.l2, 3),
            percent(cell.disrupted),
            interval(cell.disrupted_interval, percent),
            number(cell.masked_l2, 3),
            percent(cell.masked_disrupted),
            psnr(row),
            number(row.ssim, 3),
            number(row.lpips, 4),
            number(row.linf_255, 0),
        )
        lines.append(Line(cells, row.name == MAIN))
    return Table(f"{inputs.generator}: distortion, pooled", headers, lines)


def detector_label(config: Config, name: str) -> str:
    """A detector's name, with a star if attacks with detector terms know it."""
    return name + " *" * (name in config.in_the_loop)


def f1_of(row: Row, detector: str, condition: str = POOLED) -> Spread:
    """F1 by a detector, with its 95 % interval."""
    found = row.cell(condition=condition).detectors[detector]
    low, high = found.f1_interval
    return {"median": found.f1, "min": low, "max": high}


def disrupted(row: Row) -> Spread:
    """The share of fakes that are disrupted, with its 95 % interval."""
    cell = row.cell()
    low, high = cell.disrupted_interval
    return {"median": cell.disrupted, "min": low, "max": high}


def f1_bar(
    label: str,
    rows: Sequence[Row],
    names: tuple[str, str],
    detector: str,
    condition: str = POOLED,
) -> Bar:
    """F1 of two rows."""
    return Bar(label, [f1_of(row_named(rows, name), detector, condition) for name in names])
