"""The most memory that a training step and protect take, each in a process of its own (Linux)."""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

from rich.console import Console

from experiments.benchmarks import page as pages
from experiments.benchmarks.page import Page
from experiments.charts import Bar, Chart, spread_of

ROOT = pathlib.Path(__file__).parents[2]
OURS, TORCH, PROTECT = "training step", "training step, PyTorch", "protect"
KINDS = (OURS, TORCH, PROTECT)
BATCHES = {"zoo": (8, 8, 16), "full": (2, 2, 2)}  # photos at once, of each kind

Row = dict[str, Any]


def run(args: argparse.Namespace, console: Console) -> tuple[dict[str, Any], Page]:
    """MiB of each kind. RuntimeError if one fails; PyTorch's is left out where it is missing."""
    has_torch = importlib.util.find_spec("torch") is not None
    rows = []
    for scale in args.scales:
        for kind, batch in zip(KINDS, BATCHES[scale], strict=True):
            if kind == TORCH and not has_torch:
                continue
            _child(scale, kind, batch)  # compiles, so that the others need not
            starts = [_child(scale, kind, batch) for _ in range(args.starts)]
            row: Row = {name: spread_of(each[name] for each in starts) for name in starts[0]}
            rows.append({"scale": scale, "what": kind, "batch": batch, **row})
            console.print(f"{scale}, {kind}: {row['peak']['median']:.0f} MiB")
    return {"rows": rows}, _page(rows)


def _child(scale: str, kind: str, batch: int) -> dict[str, float]:
    command = (sys.executable, "-m", "experiments.benchmarks.peak", scale, kind, str(batch))
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _page(rows: list[Row]) -> Page:
    shown = [
        {
            "scale": row["scale"],
            "what": row["what"],
            "batch": str(row["batch"]),
            **{name: pages.spread(row[name], 0) for name in ("loaded", "stepping", "peak")},
            "planned": f"{row['planned']['median']:.0f}" if "planned" in row else "",
        }
        for row in rows
    ]
    note = (
        "MiB of the process that the operating system holds in memory, median (min … max) of fresh "
        "processes. Loaded: libraries and networks. Stepping: at most during five steps. Peak: at "
        "most from the start of the process, with the tracing of the program, which is read from "
        "the cache of compiled ones. Planned: arguments, outputs and temporary arrays of a step "
        "by the compiler. PyTorch's process has JAX in it too, for the weights."
    )
    bars = [Bar(f"{row['scale']}, {row['what']}", (row["peak"],)) for row in rows]
    return Page("Peak memory", note, shown, Chart(bars, ("",), "MiB"))
