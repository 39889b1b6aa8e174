"""How long a start takes: the imports, and the quick start's first step, cold and again."""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

from rich.console import Console

from experiments.benchmarks import page as pages
from experiments.benchmarks.page import Page
from experiments.charts import Bar, Chart, spread_of

TARGET = 5.0  # seconds to the first step of a second start
QUICK_START = ("-m", "dfd_jax.train", "--config", "configs/stargan.py")
ROOT = pathlib.Path(__file__).parents[2]
PATIENCE = 600.0  # seconds
TICK = os.sysconf("SC_CLK_TCK")


def run(args: argparse.Namespace, console: Console) -> tuple[dict[str, Any], Page]:
    """Seconds of each kind of start. RuntimeError if a training ends before its first step."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        kinds = {
            "import dfd_jax.train": lambda number: _imports(args.clock),
            "first step, nothing compiled": lambda number: _first_step(
                root / f"cold{number}", root / f"cache{number}", args.clock
            ),
            "first step, second start": lambda number: _first_step(
                root / f"warm{number}", root / "cache0", args.clock
            ),
        }
        for what, call in kinds.items():
            seconds = spread_of(call(number) for number in range(args.starts))
            rows.append({"what": what, "seconds": seconds})
            console.print(f"{what}: {seconds['median']:.1f} s")
    return {"target": TARGET, "rows": rows}, _page(rows)


def _page(rows: list[dict[str, Any]]) -> Page:
    shown = [{"what": row["what"], "seconds": pages.spread(row["seconds"], 2)} for row in rows]
    is_met = rows[-1]["seconds"]["median"] <= TARGET
    shown[-1][f"<= {TARGET:.0f} s"] = pages.verdict(is_met)
    note = (
        "Seconds from the start of the process, median (min … max), `python -m dfd_jax.train "
        "--config configs/stargan.py`. The first step counts as done when its figures are written; "
        "the cache of compiled programs is the one that every command keeps by itself."
    )
    bars = [Bar(row["what"], (row["seconds"],)) for row in rows]
    return Page("Starting", note, shown, Chart(bars, ("",), "seconds"))


def _imports(clock: str) -> float:
    before, began = _of_children(), time.perf_counter()
    subprocess.run([sys.executable, "-c", "import dfd_jax.train"], cwd=ROOT, check=True)
    wall = time.perf_counter() - began
    return wall if clock == "wall" else _of_children() - before


def _of_children() -> float:
    """Processor seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _first_step(workdir: pathlib.Path, cache: pathlib.Path, clock: str) -> float:
    """Seconds until the quick start has written its first step; it is ended there."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment = {**own, "XDG_CACHE_HOME": str(cache)}
    metrics = workdir / "metrics.jsonl"
    began = time.time()
    process = subprocess.Popen(
        [
            *(sys.executable, *QUICK_START),
            *("--workdir", str(workdir), "--config.train.log_every=1"),
        ],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not (metrics.exists() and metrics.read_text(encoding="utf-8").endswith("\n")):
            if process.poll() is not None or time.time() - began > PATIENCE:
                raise RuntimeError(f"{' '.join(QUICK_START)}: no first step within {PATIENCE} s")
            time.sleep(0.02)
        if clock == "cpu":
            return _of_process(process.pid)
        return json.loads(metrics.read_text(encoding="utf-8").splitlines()[0])["time"] - began
    finally:
        process.kill()
        process.wait()


def _of_process(pid: int) -> float:
    """Processor seconds of a running process so far (Linux)."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK
