"""What people look at after a run: tables in the terminal, and Markdown for a README.

Drawn from the JSON that dfd_jax.evaluate writes. tables.py words the numbers; page.py is the HTML.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from dfd_jax.evaluation.report import tables
from dfd_jax.evaluation.report.formatting import Table

LOG_WIDTH = 120  # columns where the output is no terminal
SPACING = 2  # characters between two columns


def print_evaluation(evaluation: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the tables to `console` (default: standard output).

    A table that is too wide is printed in parts, each with the columns that name its rows, so that
    nothing is cut off.
    """
    console = console or Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
    _say(console, tables.headline(evaluation), "bold")
    for table in (
        *tables.summary(evaluation),
        *tables.conditions(evaluation),
        *tables.clips(evaluation),
        *tables.regions(evaluation),
        *tables.channels(evaluation),
    ):
        print_table(table, console)
    if tables.speed(evaluation):
        _say(console, f"\nSpeed: {tables.speed(evaluation)}")
    _say(console, "")
    for line in tables.legend(evaluation):
        _say(console, line, "dim")


def print_table(table: Table, console: Console) -> None:
    """Print one table under its title, in parts if it is too wide."""
    _say(console, f"\n{table.title}", "bold")
    for part in split(table, console.width):
        console.print(_rich(part, console))


def split(table: Table, width: int) -> list[Table]:
    """`table` as few parts that are at most `width` characters wide; the key columns in each.

    A part has at least one column beside the keys, even if that is too wide.
    """
    widths = [
        max([len(header), *(len(str(row.cells[i])) for row in table.rows)])
        for i, header in enumerate(table.headers)
    ]
    keys = list(range(table.keys))
    parts = [keys[:]]
    for column in range(table.keys, len(widths)):
        used = sum(widths[i] + SPACING for i in parts[-1])
        if len(parts[-1]) > len(keys) and used + widths[column] > width:
            parts.append(keys[:])
        parts[-1].append(column)
    return [_columns(table, part) for part in parts]


def _columns(table: Table, picked: list[int]) -> Table:
    lines = (dataclasses.replace(r, cells=tuple(r.cells[i] for i in picked)) for r in table.rows)
    headers = tuple(table.headers[i] for i in picked)
    return dataclasses.replace(table, headers=headers, rows=tuple(lines))


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
    flagged = {i for row in table.rows for i, cell in enumerate(row.cells) if cell.is_worse}
    for n, row in enumerate(table.rows):
        if row.starts_group and n:
            drawn.add_section()
        texts = []
        for i, cell in enumerate(row.cells):
            mark = " " if i in flagged and not cell.is_worse else ""  # keeps decimals aligned
            style = "bold red" if cell.is_worse else ""
            texts.append(Text(_printable(f"{cell}{mark}", console), style))
        drawn.add_row(*texts, style="bold" if row.is_strong else None)
    return drawn


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(_printable(text, console), style=style))


ASCII = str.maketrans({tables.MISSING: "-", "…": "-", "→": ">", "∞": "inf", "≥": ">="})


def _printable(text: str, console: Console) -> str:
    """`text` in characters that the console's encoding has (logs are not always UTF-8)."""
    encoding = console.encoding
    if encoding.startswith("utf"):
        return text
    return text.translate(ASCII).encode(encoding, "replace").decode(encoding)


def markdown_table(evaluation: Mapping[str, Any]) -> str:
    """The headline and the pooled results as GitHub Markdown, one table per generator."""
    return _markdown(evaluation, tables.summary(evaluation))


def markdown_report(evaluation: Mapping[str, Any]) -> str:
    """The headline and every table as GitHub Markdown, the paper's Table 1 among them."""
    every = (tables.summary, tables.table1, tables.conditions, tables.clips, tables.regions)
    every += (tables.channels,)
    return _markdown(evaluation, [table for make in every for table in make(evaluation)])


def _markdown(evaluation: Mapping[str, Any], chosen: Sequence[Table]) -> str:
    blocks = [_escaped(tables.headline(evaluation)), *map(markdown_of, chosen)]
    blocks.append("<br>\n".join(_escaped(line) for line in tables.legend(evaluation)))
    return "\n\n".join(blocks) + "\n"


def markdown_of(table: Table) -> str:
    """One table under its title, as GitHub Markdown."""
    rule = ["---" if i < table.keys else "---:" for i in range(len(table.headers))]
    lines = [_markdown_line(table.headers), _markdown_line(rule, raw=True)]
    lines += [_markdown_line([str(cell) for cell in row.cells]) for row in table.rows]
    return f"**{_escaped(table.title)}**\n\n" + "\n".join(lines)


def _markdown_line(values: Any, raw: bool = False) -> str:
    return "| " + " | ".join(value if raw else _escaped(value) for value in values) + " |"


def _escaped(text: str) -> str:
    for mark in "\\|*_`<[":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")
