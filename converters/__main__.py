"""python -m converters NAME CHECKPOINT OUT.safetensors: convert a PyTorch checkpoint.

The sizes of the network come from the checkpoint; options give what it does not hold.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

import numpy as np

from converters import (
    core,
    efficientnet,
    fomm,
    ganimation,
    multi_attentional,
    resnet,
    stargan,
    xception,
)
from dfd_jax import models
from dfd_jax.models.frozen import Card

CONVERTERS = {
    "stargan": stargan.GENERATOR,
    "stargan_discriminator": stargan.DISCRIMINATOR,
    "ganimation": ganimation.GANIMATION,
    "resnet": resnet.RESNET,
    "xception": xception.XCEPTION,
    "efficientnet": efficientnet.EFFICIENTNET,
    "multi_attentional": multi_attentional.MULTI_ATTENTIONAL,
    "fomm": fomm.FOMM,
}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line. Exits with a usage message if it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m converters", description=__doc__)
    parser.add_argument("name", choices=CONVERTERS, help="the network in the checkpoint")
    parser.add_argument("checkpoint", type=pathlib.Path, help=".ckpt, .pth, .pt, .p file")
    parser.add_argument(
        "out", type=pathlib.Path, help="NAME.safetensors; its card is written as NAME.json"
    )
    parser.add_argument("--input-size", type=int, metavar="PX", help="side of the square input")
    parser.add_argument("--mean", type=float, nargs=3, metavar=("R", "G", "B"), help="in [0, 1]")
    parser.add_argument("--std", type=float, nargs=3, metavar=("R", "G", "B"), help="in [0, 1]")
    parser.add_argument("--real-index", type=int, choices=(0, 1), help="which output means REAL")
    parser.add_argument("--condition", nargs="+", metavar="LABEL", help="label names in order")
    parser.add_argument(
        "--align-corners",
        action="store_true",
        help="fomm: sample as PyTorch before 1.3, for weights of that time (vox-cpk)",
    )
    parser.add_argument(
        "--info", action="append", default=[], metavar="KEY=TEXT", help="a note for the card"
    )
    parser.add_argument("--float16", action="store_true", help="half the file size, 3 digits")
    args = parser.parse_args(argv)
    if args.out.suffix != ".safetensors":
        parser.error(f"OUT must end in .safetensors, not {args.out.name}")
    if args.input_size is not None and args.input_size < 1:
        parser.error(f"--input-size must be positive, not {args.input_size}")
    if not all("=" in note for note in args.info):
        parser.error("--info must be KEY=TEXT")
    return args


def summary(out: pathlib.Path, card: Card, precision: str) -> str:
    """One line: what was written, with which hyper-parameters."""
    hyper = ", ".join(f"{key} {value}" for key, value in card.hyper.items())
    parts = [
        f"{out} ({out.stat().st_size / 1e6:.1f} MB, {precision}): {card.model}, {hyper}",
        f"input {card.input_size} px",
    ]
    if card.condition:
        parts.append(f"condition {' '.join(card.condition)}")
    if "num_classes" in card.hyper:
        verdict = "no detector yet (no real_index)"
        parts.append(verdict if card.real_index is None else f"real_index {card.real_index}")
    return "; ".join(parts)


def main(argv: Sequence[str] | None = None) -> str:
    """Convert one checkpoint; returns the line to print."""
    args = parse(argv)
    options = core.Options(
        input_size=args.input_size,
        mean=None if args.mean is None else tuple(args.mean),
        std=None if args.std is None else tuple(args.std),
        real_index=args.real_index,
        condition=None if args.condition is None else tuple(args.condition),
        align_corners=args.align_corners,
        info=dict(note.split("=", 1) for note in args.info),
    )
    variables, card = core.convert(args.name, CONVERTERS[args.name], args.checkpoint, options)
    models.save(args.out, variables, card, np.float16 if args.float16 else np.float32)
    return f"wrote {summary(args.out, card, 'float16' if args.float16 else 'float32')}"


if __name__ == "__main__":
    try:
        print(main())
    except (ValueError, OSError, ImportError) as problem:
        sys.exit(f"error: {problem}")
