"""How fast this project is: python -m experiments.benchmark [PART …]

networks   every network beside the same network in PyTorch, both from the same weights
clip       a First Order Motion Model that was converted, against PyTorch, over a whole driving clip

Both sides are first checked to give the same numbers. Tables are printed, and written to
experiments/results/benchmark_PART.json and .md. On a busy machine use `--clock cpu`: it keeps the
process on one core and counts its processor time, so that waiting does not count (the files are
then called benchmark_networks_cpu).
"""

import argparse
import importlib.util
import json
import os
import pathlib
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = pathlib.Path(__file__).parent / "results"
LIMIT = 1.2  # ours over PyTorch's: what a ratio should not exceed


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line. Exits with a usage message if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="networks, clip; default: both")
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="only these; default: all")
    parser.add_argument("--size", type=int, default=256, metavar="PX", help="side of the images")
    parser.add_argument(
        "--batch", type=int, nargs="+", default=[1], metavar="N", help="batch sizes"
    )
    parser.add_argument("--repeats", type=int, default=9, help="timed calls of each side")
    parser.add_argument("--frames", type=int, default=8, help="frames of the driving clip")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS, metavar="FOLDER")
    args = parser.parse_args(argv)
    unknown = set(args.parts) - {"networks", "clip"}
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are networks and clip")
    args.parts = args.parts or ["networks", "clip"]
    for name in ("size", "repeats", "frames"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be positive, not {getattr(args, name)}")
    return args


def main(argv: list[str] | None = None) -> None:
    """Run the parts that were asked for."""
    args = parse(argv)
    if importlib.util.find_spec("torch") is None:
        sys.exit("error: PyTorch, to compare with, is not installed: pip install 'torch>=2.6'")
    if args.clock == "cpu":  # before JAX counts the cores
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from experiments import benchmark_clip, benchmark_networks  # they start JAX and PyTorch

    console = Console()
    if "networks" in args.parts:
        rows = benchmark_networks.run(
            args.networks, args.size, args.batch, args.repeats, args.clock, console
        )
        result = {"setting": setting(args), "rows": rows}
        console.print(networks_table(rows))
        name = "benchmark_networks" + ("_cpu" if args.clock == "cpu" else "")
        write(args.out / name, result, networks_markdown(result))
    if "clip" in args.parts:
        result = {"setting": setting(args), **benchmark_clip.run(args.size, args.frames, console)}
        console.print(clip_line(result))
        write(args.out / "benchmark_clip", result, clip_line(result) + "\n")


def setting(args: argparse.Namespace) -> dict[str, Any]:
    """What a figure depends on: versions, processor, threads, the command."""
    import jax
    import torch

    from dfd_jax import provenance

    model = [
        line.split(":", 1)[1].strip()
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "command": "python -m experiments.benchmark " + " ".join(sys.argv[1:]),
        "commit": provenance.commit(),
        "jax": jax.__version__,
        "torch": torch.__version__,
        "device": jax.devices()[0].device_kind,
        "processor": model[0] if model else "unknown",
        "threads": len(os.sched_getaffinity(0)),
        "clock": args.clock,
        "load": round(os.getloadavg()[0], 1),
    }


def write(path: pathlib.Path, result: dict[str, Any], markdown: str) -> None:
    """PATH.json and PATH.md."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown, encoding="utf-8")


HEADINGS = ("network", "side", "batch", "what", "ours", "PyTorch", "ratio", "difference")


def cells(row: dict[str, Any]) -> list[str]:
    """One row of the table as text: ms per photo as median (min … max)."""
    if "skipped" in row:
        return [row["network"], "", "", row["skipped"], "", "", "", ""]

    def times(found: dict[str, float]) -> str:
        return f"{found['median']:.1f} ({found['min']:.1f} … {found['max']:.1f})"

    return [
        row["network"],
        str(row["size"]),
        str(row["batch"]),
        row["what"],
        times(row["ours"]),
        times(row["torch"]),
        f"{row['ratio']:.2f}{'!' if row['ratio'] > LIMIT else ''}",
        f"{row['difference']:.0e}",
    ]


def networks_table(rows: list[dict[str, Any]]) -> Table:
    """ms per photo of both sides, and their ratio."""
    table = Table(title="ms per photo, median (min … max); a ratio under 1: ours is faster")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("network", "what") else "right")
    for row in rows:
        table.add_row(*cells(row))
    return table


def networks_markdown(result: dict[str, Any]) -> str:
    """The same table, with what the figures depend on."""
    how = result["setting"]
    clock = "wall clock" if how["clock"] == "wall" else "processor time on one core"
    lines = [
        f"ms per photo, median (min … max), {clock}. JAX {how['jax']} and PyTorch {how['torch']} "
        f"on {how['threads']} cores of an {how['processor']}, calls alternating, load "
        f"{how['load']}. PyTorch runs under its fastest memory format and number of threads, "
        f"weights frozen. Ratio: ours over PyTorch's, ! marks those above {LIMIT}. "
        "Difference: relative L2 of the outputs or gradients.",
        "",
        f"`{how['command']}`",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "| --- | ---: | ---: | --- |" + " ---: |" * 4,
        *("| " + " | ".join(cells(row)) + " |" for row in result["rows"]),
    ]
    return "\n".join(lines) + "\n"


def clip_line(result: dict[str, Any]) -> str:
    """What came out of the clip check."""
    return (
        f"First Order Motion Model, {result['frames']} driving frames of {result['size']} px: "
        f"largest difference to PyTorch {result['largest']:.1e} on [0, 1] "
        f"(allowed {result['allowed']:.0e})"
    )


if __name__ == "__main__":
    main()
