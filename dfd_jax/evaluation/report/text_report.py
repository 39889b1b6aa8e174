"""The tables of an evaluation in a terminal, and as GitHub Markdown."""

import dataclasses
import sys

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from dfd_jax.evaluation.report import tables
from dfd_jax.evaluation.report.formatting import MISSING, Table, Worse
from dfd_jax.evaluation.results import Evaluation

LOG_WIDTH = 120  # columns where the output is no terminal
SPACING = 2  # characters between two columns


def print_evaluation(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print the tables to `console` (default: standard output).

    A table that is too wide is printed in parts, each with the columns that name its lines, so that
    nothing is cut off.
    """
    console = console or Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
    _say(console, tables.headline(evaluation), "bold")
    for table in tables.every(evaluation):
        print_table(table, console)
    _say(console, f"\nSpeed: {tables.speed(evaluation)}\n")
    for line in tables.legend(evaluation):
        _say(console, line, "dim")


def print_table(table: Table, console: Console) -> None:
    """Print one table under its title, in parts if it is too wide."""
    _say(console, f"\n{table.title}", "bold")
    for part in split(table, console.width):
        console.print(_rich(part, console))


def split(table: Table, width: int) -> list[Table]:
    """`table` as few parts that are at most `width` characters wide; the key columns in each.

    A part has at least one column besides the keys, even if that is too wide.
    """
    columns = zip(table.headers, *(line.cells for line in table.lines), strict=True)
    widths = [max(map(len, column)) for column in columns]
    keys = list(range(table.keys))
    parts = [keys[:]]
    for column in range(table.keys, len(widths)):
        used = sum(widths[i] + SPACING for i in parts[-1])
        if len(parts[-1]) > len(keys) and used + widths[column] > width:
            parts.append(keys[:])
        parts[-1].append(column)
    return [_columns(table, part) for part in parts] if len(parts) > 1 else [table]


def _columns(table: Table, picked: list[int]) -> Table:
    headers = [table.headers[i] for i in picked]
    rows = [{header: row.get(header, "") for header in headers} for row in table.rows]
    return dataclasses.replace(table, rows=rows)


def _rich(table: Table, console: Console) -> RichTable:
    drawn = RichTable(
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        show_edge=False,
        header_style="dim",
    )
    for i, header in enumerate(table.headers):
        justify = "left" if i < table.keys else "right"
        drawn.add_column(_printable(header, console), justify=justify, overflow="fold")
    flagged = {i for x in table.lines for i, cell in enumerate(x.cells) if isinstance(cell, Worse)}
    for n, line in enumerate(table.lines):
        if line.starts_group and n:
            drawn.add_section()
        texts = []
        for i, cell in enumerate(line.cells):
            is_worse = isinstance(cell, Worse)
            mark = " " if i in flagged and not is_worse else ""  # keeps decimals aligned
            texts.append(Text(_printable(cell + mark, console), "bold red" if is_worse else ""))
        drawn.add_row(*texts, style="bold" if line.is_strong else None)
    return drawn


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(_printable(text, console), style=style))


ASCII = str.maketrans({MISSING: "-", "…": "-", "→": ">", "∞": "inf", "≥": ">="})


def _printable(text: str, console: Console) -> str:
    """`text` in characters that the console's encoding has (logs are not always UTF-8)."""
    encoding = console.encoding
    if encoding.startswith("utf"):
        return text
    return text.translate(ASCII).encode(encoding, "replace").decode(encoding)


def markdown_report(evaluation: Evaluation) -> str:
    """The headline and every table as GitHub Markdown, the paper's Table 1 among them."""
    summary = tables.summary(evaluation)
    others = tables.every(evaluation)[len(summary) :]
    shown = [*summary, *tables.table1(evaluation), *others]
    legend = "<br>\n".join(map(_escaped, tables.legend(evaluation)))
    blocks = [_escaped(tables.headline(evaluation)), *map(markdown_of, shown), legend]
    return "\n\n".join(blocks) + "\n"


def markdown_of(table: Table) -> str:
    """One table under its title, as GitHub Markdown."""
    rule = ["---" if i < table.keys else "---:" for i in range(len(table.headers))]
    lines = [list(map(_escaped, table.headers)), rule]
    lines += [list(map(_escaped, line.cells)) for line in table.lines]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"**{_escaped(table.title)}**\n\n{text}" if table.title else text


def _escaped(text: str) -> str:
    for mark in "\\|*_`<[":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")
