"""What every table does before and after its own part: flags, shared tables, files."""

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from absl import flags

from dfd_jax.evaluation.report import picture_grid, text_report
from dfd_jax.evaluation.report.formatting import Cell, Row, Table, interval, number, percent, psnr
from dfd_jax.runtime import command_line
from dfd_jax.runtime.config import Config
from dfd_jax.runtime.files import replace_file
from experiments import pages, rows
from experiments.setting import Setting, described

RESULTS = pathlib.Path(__file__).parent / "results"


class Result(NamedTuple):
    """A finished table: what is printed, and what it was measured on."""

    title: str
    sentence: str  # what it shows, in one honest sentence
    tables: Sequence[Table]
    settings: list[Setting]
    figures: dict[str, Any]  # for the JSON
    bars: Sequence[pages.Bar] = ()  # its picture
    legend: Sequence[str] = ()  # what a bar's values are
    unit: str = ""


def run(name: str, make: Callable[[Config, pathlib.Path, Any], Result]) -> None:
    """Make a table as a command: print it, and write NAME.json, .md and .svg in --out."""
    flags.DEFINE_string("out", str(RESULTS), "Folder of the results.")

    def main() -> None:
        config, console = flags.FLAGS.config, command_line.console()
        found = make(config, command_line.workdir(), console)
        about = described(config, found.settings)
        console.print(f"\n{found.title}", style="bold", highlight=False)
        for table in found.tables:
            text_report.print_table(table, console)
        console.print(f"\n{found.sentence}", highlight=False)
        folder = pathlib.Path(flags.FLAGS.out)
        folder.mkdir(parents=True, exist_ok=True)
        data = {"table": name, **about, "sentence": found.sentence, "figures": found.figures}
        replace_file(folder / f"{name}.json", json.dumps(data, indent=1) + "\n")
        replace_file(folder / f"{name}.svg", pages.drawing(_page(found)))
        replace_file(folder / f"{name}.md", markdown(found, about, f"{name}.svg"))
        console.print(f"wrote {folder / name}.json, .md and .svg", highlight=False)

    command_line.run(main, with_config=True, default="configs/experiments.py")


def run_figure(make: Callable[[Config, pathlib.Path, Any], pathlib.Path]) -> None:
    """Make a figure as a command."""

    def main() -> None:
        console = command_line.console()
        path = make(flags.FLAGS.config, command_line.workdir(), console)
        console.print(f"wrote {path}", highlight=False)

    command_line.run(main, with_config=True, default="configs/experiments.py")


def save_figure(
    name: str, config: Config, workdir: pathlib.Path, panels: picture_grid.Panels
) -> pathlib.Path:
    """Write NAME.png to the results; to the workdir if photographs of real people are in it."""
    path = (workdir if config.data.root else RESULTS) / f"{name}.png"
    picture_grid.save_grid(path, panels)
    return path


def _page(found: Result) -> pages.Page:
    title = found.title.partition(" (in brackets")[0]  # the paper's figures are not drawn
    return pages.Page(title, "", (), (), found.bars, found.legend, found.unit)


def markdown(found: Result, about: dict[str, Any], picture: str) -> str:
    """The table as a page of its own."""
    side = f"{about['region']} px files" if about["region"] else "files as they are"
    knew = "; ".join(f"{p}: {', '.join(of)}" for p, of in about["detectors_known"].items())
    small = (
        f"{about['photos']} test photos ({about['source']}), {side}, seed {about['seed']}, commit "
        f'{about["commit"]}. A star: known to "PGD + detectors". Detectors that P knew: {knew}. '
        "How every number is defined: [README](../README.md)."
    )
    blocks = [f"# {found.title}", found.sentence, f"![{found.title}]({picture})"]
    blocks += [*map(text_report.markdown_of, found.tables), small]
    return "\n\n".join(blocks) + "\n"


def with_paper(ours: str, theirs: float | None) -> Cell:
    """Our figure with the paper's in brackets."""
    return Cell(ours if theirs is None else f"{ours} ({theirs:.2f})")


def relative(found: dict[str, Any]) -> float | None:
    """How much of what a detector can gain is gained: (F1 - floor) / (cap - floor). Less than 1 - q
    between the two ends.
    """
    span = found["cap"] - found["floor"]
    return (found["f1"] - found["floor"]) / span if span else None


def f1_interval(found: dict[str, Any]) -> tuple[float, float]:
    """F1's 95 % interval over fakes: that of q, as F1 falls with q while R stays."""
    low, high = found["q_interval"]
    return (2 * found["R"] / (found["R"] + high + 1), 2 * found["R"] / (found["R"] + low + 1))


def details(setting: Setting, measured: list[rows.Row]) -> Table:
    """What the paper's tables leave out, for each detector and row, pooled over the conditions."""
    headers = ("detector", "row", "fakes", "R", "R'", "q", "q 95 %", "F1", "F1 95 %")
    headers += ("floor…cap", "share of what can be gained")
    lines = []
    for detector in setting.config.detectors:
        for i, row in enumerate(measured):
            cell = rows.cell(row)
            found = cell["detectors"][detector]
            values = (
                detector_label(setting.config, detector),
                row["row"],
                str(cell["n"]),
                number(found["R"]),
                number(found["R_protected"]),
                number(found["q"]),
                interval(found["q_interval"]),
                number(found["f1"]),
                interval(f1_interval(found)),
                f"{number(found['floor'])}…{number(found['cap'])}",
                number(relative(found)),
            )
            lines.append(Row(tuple(map(Cell, values)), row["row"] == "P", starts_group=not i))
    return Table(f"{setting.generator}: detection, pooled", headers, tuple(lines), keys=2)


def costs(setting: Setting, measured: list[rows.Row]) -> Table:
    """Distortion of the fakes and of the photos, for each row."""
    headers = ("row", "fakes", "L2", "% dis", "% dis 95 %", "masked L2", "masked % dis")
    headers += ("PSNR", "SSIM", "LPIPS-like", "L∞")
    lines = []
    for row in measured:
        cell = rows.cell(row)
        values = (
            row["row"],
            str(cell["n"]),
            number(cell["l2"], 3),
            percent(cell["disrupted"]),
            interval(cell["disrupted_interval"], percent),
            number(cell["masked_l2"], 3),
            percent(cell["masked_disrupted"]),
            psnr(row),
            number(row["ssim"], 3),
            number(row["lpips"], 4),
            number(row["linf_255"], 0),
        )
        lines.append(Row(tuple(map(Cell, values)), row["row"] == "P"))
    return Table(f"{setting.generator}: distortion, pooled", headers, tuple(lines))


def detector_label(config: Config, name: str) -> str:
    """A detector's name, with a star if attacks with detector terms know it."""
    return name + " *" * (name in config.in_the_loop)
