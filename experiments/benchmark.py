"""How fast this project is: python -m experiments.benchmark [PART …]

{parts}

Both sides of a comparison are first checked to give the same numbers. Results are printed, and
written to experiments/results/benchmark_PART.json, .md and .svg. On a busy machine use `--clock
cpu`: it keeps the process on one core and counts its processor time, so that waiting does not count
(the files are then called benchmark_PART_cpu). Parts that need PyTorch are left out where it is not
installed.
"""

import argparse
import importlib
import importlib.util
import json
import os
import pathlib
import sys
from typing import Any, NamedTuple

from rich.console import Console

from experiments import charts
from experiments.benchmarks import page as pages
from experiments.benchmarks import timing
from experiments.benchmarks.page import Page

RESULTS = pathlib.Path(__file__).parent / "results"


class Part(NamedTuple):
    """A module `experiments.benchmarks.NAME` with `run(args, console) → (result, Page)`."""

    about: str
    needs_torch: bool = True


PARTS = {
    "train": Part("a training step, compared with PyTorch"),
    "attack": Part("ten steps of PGD, compared with PyTorch"),
    "protect": Part("P compared with ten steps of PGD, batch 1 to 64", needs_torch=False),
    "memory": Part("the peak of a training step and of protect", needs_torch=False),
    "start": Part("imports, and the quick start's first step, cold and again", needs_torch=False),
    "input": Part("batches and bare decoding, protect and its network", needs_torch=False),
    "networks": Part("every network, compared with PyTorch, from the same weights"),
    "clip": Part("a converted First Order Motion Model over a driving clip, compared with PyTorch"),
}


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line. Exits with a usage message if it is wrong."""
    listing = "\n".join(f"{name:<11}{part.about}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmark",
        description=(__doc__ or "").format(parts=listing),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = ", ".join(PARTS)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{known}; default: all")
    parser.add_argument(
        "--scales",
        nargs="+",
        choices=("zoo", "full"),
        default=["zoo"],
        help="networks of all parts but the next two's: the trained small ones, or the published "
        "sizes; default: zoo",
    )
    of_two = parser.add_argument_group("networks and clip")
    of_two.add_argument("--networks", nargs="+", metavar="NAME", help="only these; default: all")
    of_two.add_argument("--size", type=int, default=256, metavar="PX", help="side of the images")
    of_two.add_argument(
        "--batch", type=int, nargs="+", default=[1], metavar="N", help="batch sizes"
    )
    of_two.add_argument("--frames", type=int, default=8, help="frames of the driving clip")
    of_input = parser.add_argument_group("input")
    of_input.add_argument("--root", default="", help="photos in CelebA's layout; default: drawn")
    of_input.add_argument("--photos", type=int, default=64, metavar="N", help="files")
    parser.add_argument("--repeats", type=int, default=9, help="timed calls of each side")
    parser.add_argument("--starts", type=int, default=3, help="processes started, of each kind")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS, metavar="FOLDER")
    args = parser.parse_args(argv)
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are {known}")
    for name in ("size", "repeats", "frames", "starts", "photos"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be positive, not {getattr(args, name)}")
    return args


def main(argv: list[str] | None = None) -> None:
    """Run the parts of the command line."""
    args, console = parse(argv), Console()
    names = args.parts or list(PARTS)
    if importlib.util.find_spec("torch") is None:
        left_out = [name for name in names if PARTS[name].needs_torch]
        message = f"{', '.join(left_out)} need PyTorch: pip install 'torch>=2.6'"
        if args.parts and left_out:
            sys.exit(f"error: {message}")
        console.print(f"left out: {message}")
        names = [name for name in names if name not in left_out]
    if args.clock == "cpu":
        timing.keep_to_one_core()
    from dfd_jax.runtime import command_line  # starts JAX

    command_line.keep_compiled()
    for name in names:
        part = importlib.import_module(f"experiments.benchmarks.{name}")  # starts JAX, and PyTorch
        about = setting(args)
        result, page = part.run(args, console)
        pages.show(page, console)
        suffix = "_cpu" if args.clock == "cpu" else ""
        write(args.out / f"benchmark_{name}{suffix}", {"setting": about, **result}, page)


def setting(args: argparse.Namespace) -> dict[str, Any]:
    """What a figure depends on: versions, processor, threads, the command."""
    import jax

    from dfd_jax.runtime import provenance

    model = [
        line.split(":", 1)[1].strip()
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    has_torch = importlib.util.find_spec("torch") is not None
    words = ["PORTRAITS" if args.root and word == args.root else word for word in sys.argv[1:]]
    return {
        "command": "python -m experiments.benchmark " + " ".join(words),
        "commit": provenance.commit(),
        "jax": jax.__version__,
        "torch": importlib.import_module("torch").__version__ if has_torch else "",
        "device": jax.devices()[0].device_kind,
        "processor": model[0] if model else "unknown",
        "threads": len(os.sched_getaffinity(0)),
        "clock": args.clock,
        "load": round(os.getloadavg()[0], 1),
    }


def write(path: pathlib.Path, result: dict[str, Any], page: Page) -> None:
    """PATH.json and PATH.md, and PATH.svg if there is something to draw."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    picture = path.with_suffix(".svg") if page.chart.bars else None
    if picture:
        picture.write_text(charts.drawing(page.title, page.chart), encoding="utf-8")
    text = pages.markdown(page, result["setting"], picture and picture.name)
    path.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
