"""What a part of the benchmark shows: one table and one chart, printed and as files."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console

from dfd_jax.evaluation.report import text_report
from dfd_jax.evaluation.report.formatting import Line, Table
from experiments.charts import Chart, Spread


class Page(NamedTuple):
    """A part's results for people."""

    title: str
    note: str  # what the figures mean and how they were made
    headers: Sequence[str]
    lines: Sequence[Sequence[str]]
    chart: Chart = Chart(())


def show(page: Page, console: Console) -> None:
    """Print the table and its note."""
    text_report.print_table(_table(page, page.title), console)
    console.print(page.note, highlight=False)


def _table(page: Page, title: str) -> Table:
    return Table(title, page.headers, [Line(cells) for cells in page.lines])


def markdown(page: Page, setting: dict[str, Any], picture: str | None) -> str:
    """The same as a file, with what the figures depend on."""
    clock = "wall clock" if setting["clock"] == "wall" else "processor time on one core"
    versions = f"JAX {setting['jax']}"
    if setting["torch"]:
        versions += f", PyTorch {setting['torch']}"
    blocks = [
        f"# {page.title}",
        page.note,
        f"{versions}, {setting['threads']} cores of an {setting['processor']}, {clock}, load "
        f"{setting['load']}, commit {setting['commit']}.",
        f"`{setting['command']}`",
        text_report.markdown_of(_table(page, "")),
        *([f"![{page.title}]({picture})"] if picture else []),
    ]
    return "\n\n".join(blocks) + "\n"


def spread(found: Spread, digits: int = 1) -> str:
    """Median (min … max)."""
    return f"{found['median']:.{digits}f} ({found['min']:.{digits}f} … {found['max']:.{digits}f})"


def per_second(found: Spread) -> Spread:
    """Milliseconds per photo as photos per second."""
    rates = {"median": found["median"], "min": found["max"], "max": found["min"]}
    return {name: 1000 / value for name, value in rates.items()}


def verdict(is_met: bool) -> str:
    """Whether a target was reached."""
    return "yes" if is_met else "no"
