"""What every table does before and after its own part: flags, shared columns and tables, files."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from absl import flags

from dfd_jax.evaluation import results
from dfd_jax.evaluation.report import picture_grid, tables, text_report
from dfd_jax.evaluation.report.formatting import MISSING, Table, interval, number, percent, psnr
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
        result = make(TableRun(config, command_line.workdir(), console))
        about = described(config, result.inputs)
        console.print(f"\n{result.title}", style="bold", highlight=False)
        for table in result.tables:
            text_report.print_table(table, console)
        console.print(f"\n{result.sentence}", highlight=False)
        folder = pathlib.Path(flags.FLAGS.out)
        data = {"table": name, **about, "sentence": result.sentence, "figures": result.figures}
        replace_file(folder / f"{name}.json", results.to_json(data))
        title = result.title.partition(" (in brackets")[0]  # the paper's figures are not drawn
        replace_file(folder / f"{name}.svg", charts.drawing(title, result.chart))
        replace_file(folder / f"{name}.md", markdown(result, about, f"{name}.svg"))
        console.print(f"wrote {folder / name}.json, .md and .svg", highlight=False)

    command_line.run(main, with_config=True, default=CONFIG)


def run_figure(name: str, make: Callable[[TableRun], picture_grid.Panels]) -> None:
    """Make a figure as a command: NAME.png in the results; if it shows photographs, the workdir."""

    def main() -> None:
        config, console = flags.FLAGS.config, command_line.console()
        workdir = command_line.workdir()
        path = (workdir if config.data.root else RESULTS) / f"{name}.png"
        picture_grid.save_grid(path, make(TableRun(config, workdir, console)))
        console.print(f"wrote {path}", highlight=False)

    command_line.run(main, with_config=True, default=CONFIG)


def markdown(result: Result, about: dict[str, Any], picture: str) -> str:
    """The table as a page of its own."""
    side = f"{about['crop_side']} px files" if about["crop_side"] else "files as they are"
    knew = "; ".join(f"{p}: {', '.join(of)}" for p, of in about["detectors_known"].items())
    small = (
        f"{about['photos']} test photos ({about['source']}), {side}, seed {about['seed']}, commit "
        f'{about["commit"]}. A star: known to "PGD + detectors". Detectors that P knew: {knew}. '
        "How every number is defined: [README](../README.md)."
    )
    blocks = [f"# {result.title}", result.sentence, f"![{result.title}]({picture})"]
    blocks += [*map(text_report.markdown_of, result.tables), small]
    return "\n\n".join(blocks) + "\n"


def with_paper(ours: str, theirs: float | None) -> str:
    """Our figure with the paper's in brackets."""
    return ours if theirs is None else f"{ours} ({theirs:.2f})"


def detection_cells(
    label: str, verdict: Verdict, theirs: Sequence[float | None] | None
) -> dict[str, str]:
    """Precision, recall and F1 by the detector of that label, with the paper's."""
    ours = {"prec.": verdict.precision, "rec.": verdict.recall, "F1": verdict.f1}
    pairs = zip(ours.items(), theirs or (None,) * 3, strict=True)
    return {f"{label} {m}": with_paper(number(value), paper) for (m, value), paper in pairs}


def distortion_cells(
    generator: str, cell: Cell | None, theirs: Sequence[float] | None
) -> dict[str, str]:
    """L2 and the share disrupted with the paper's, and the masked share."""
    l2, share = (f" ({theirs[0]:.3f})", f" ({percent(theirs[1])})") if theirs else ("", "")
    cells = {
        "L2": number(cell.l2, 3) + l2 if cell else MISSING,
        "% dis": percent(cell.disrupted) + share if cell else MISSING,
        "masked % dis": percent(cell.masked_disrupted) if cell else MISSING,
    }
    return {f"{generator} {header}": text for header, text in cells.items()}


def details(inputs: Inputs, measured: Sequence[Row]) -> Table:
    """What the paper's tables leave out, for each detector and row, pooled over the conditions."""
    rows = []
    for detector in inputs.config.detectors:
        for row in measured:
            cell = row.cell()
            verdict = cell.detectors[detector]
            cells = {
                "detector": detector_label(inputs.config, detector),
                "row": row.name,
                "fakes": str(cell.n),
                "R": number(verdict.R),
                "R'": number(verdict.R_protected),
                "q": number(verdict.q),
                "q 95 %": interval(verdict.q_interval),
                "F1": number(verdict.f1),
                "F1 95 %": interval(verdict.f1_interval),
                "floor…cap": tables.floor_and_cap(verdict),
                "share of what can be gained": number(verdict.relative_f1),
            }
            rows.append(cells)
    return Table(f"{inputs.generator}: detection, pooled", rows, keys=2, strong=MAIN)


def costs(inputs: Inputs, measured: Sequence[Row]) -> Table:
    """Distortion of the fakes and of the photos, for each row."""
    rows = []
    for row in measured:
        cell = row.cell()
        cells = {
            "row": row.name,
            "fakes": str(cell.n),
            "L2": number(cell.l2, 3),
            "% dis": percent(cell.disrupted),
            "% dis 95 %": interval(cell.disrupted_interval, percent),
            "masked L2": number(cell.masked_l2, 3),
            "masked % dis": percent(cell.masked_disrupted),
            "PSNR": psnr(row),
            "SSIM": number(row.ssim, 3),
            "LPIPS-like": number(row.lpips, 4),
            "L∞": number(row.linf_255, 0),
        }
        rows.append(cells)
    return Table(f"{inputs.generator}: distortion, pooled", rows, strong=MAIN)


def detector_label(config: Config, name: str) -> str:
    """A detector's name, with a star if attacks with detector terms know it."""
    return name + " *" * (name in config.in_the_loop)


def f1_of(row: Row, detector: str, condition: str = POOLED) -> Spread:
    """F1 by a detector, with its 95 % interval."""
    verdict = row.cell(condition=condition).detectors[detector]
    low, high = verdict.f1_interval
    return {"median": verdict.f1, "min": low, "max": high}


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
