"""What a part of the benchmark shows: one table and one chart, printed and as files."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console

from dfd_jax.evaluation.report import text_report
from dfd_jax.evaluation.report.formatting import Table
from experiments.charts import Chart, Spread


class Page(NamedTuple):
    """A part's results for people."""

    title: str
    note: str  # what the figures mean and how they were made
    rows: Sequence[Mapping[str, str]]  # cells by their headers
    chart: Chart = Chart(())


def show(page: Page, console: Console) -> None:
    """Print the table and its note."""
    text_report.print_table(Table(page.title, page.rows), console)
    console.print(page.note, highlight=False)


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
        text_report.markdown_of(Table("", page.rows)),
        *([f"![{page.title}]({picture})"] if picture else []),
    ]
    return "\n\n".join(blocks) + "\n"


def spread(values: Spread, digits: int = 1) -> str:
    """Median (min … max)."""
    median, low, high = (f"{values[name]:.{digits}f}" for name in ("median", "min", "max"))
    return f"{median} ({low} … {high})"


def per_second(times: Spread) -> Spread:
    """Milliseconds per photo as photos per second."""
    slowest_first = {"median": times["median"], "min": times["max"], "max": times["min"]}
    return {name: 1000 / value for name, value in slowest_first.items()}


def verdict(is_met: bool) -> str:
    """Whether a target was reached."""
    return "yes" if is_met else "no"
