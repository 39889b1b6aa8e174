"""A finished run as the repository shows it: python -m experiments.publish --workdir W --name N

Writes experiments/results/N.json and N.md. With --zoo NAME the perturber goes to dfd_jax/zoo/,
float16, its headline on its card. Pictures are copied with --picture only: never from a run on
photographs of real people.
"""

import argparse
import dataclasses
import json
import pathlib
import shutil
from typing import Any

import numpy as np

from dfd_jax import models
from dfd_jax.evaluation import results
from dfd_jax.evaluation.report import text_report
from dfd_jax.evaluation.results import PROTECTED, UNPROTECTED, Evaluation

RESULTS = pathlib.Path(__file__).parent / "results"


LIMITS = (
    "Protects against the generators listed, by checksum, and no others. Trained on aligned, "
    "frontal, official portraits only; other faces were not tested."
)


def _sizes(workdir: pathlib.Path) -> str:
    """The limit of a P that was trained for files of one size only."""
    path = workdir / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    sides = config.get("channel", {}).get("crop_sides", [])
    if len(sides) != 1:
        return ""
    return f" For files whose face region is {sides[0]} pixels wide; much weaker in larger ones."


def headline_figures(evaluation: Evaluation) -> dict[str, Any]:
    """The pooled figures of P that belong on a card, as plain data."""
    row = evaluation.row(PROTECTED)
    first, *others = [_of_generator(evaluation, each.name) for each in evaluation.generators]
    figures = {
        "photos": evaluation.photos,
        **first,
        **({"others": others} if others else {}),
        "linf_255": row.linf_255,
        "psnr": row.psnr,
        "crop_sizes": evaluation.crop_sizes,
    }
    return json.loads(results.to_json(figures))


def _of_generator(evaluation: Evaluation, generator: str) -> dict[str, Any]:
    """P's figures for one generator, pooled over its conditions."""
    cell, without = (evaluation.row(name).cell(generator) for name in (PROTECTED, UNPROTECTED))
    return {
        "generator": generator,
        "disrupted": cell.disrupted,
        "masked_disrupted": cell.masked_disrupted,
        "l2": cell.l2,
        "detectors": {
            name: {
                "q": verdict.q,
                "q_unprotected": without.detectors[name].q,
                "R": verdict.R,
                "R_protected": verdict.R_protected,
            }
            for name, verdict in cell.detectors.items()
        },
    }


def main() -> None:
    """Publish one run."""
    parser = argparse.ArgumentParser(prog="python -m experiments.publish", description=__doc__)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--zoo", metavar="NAME", help="ship the perturber under this name")
    parser.add_argument("--picture", action="store_true", help="copy grid.png (drawn faces only)")
    arguments = parser.parse_args()
    workdir, name = arguments.workdir, arguments.name
    text = (workdir / "evaluation.json").read_text(encoding="utf-8")
    evaluation = results.from_json(text, Evaluation)
    RESULTS.mkdir(exist_ok=True)
    shutil.copy(workdir / "evaluation.json", RESULTS / f"{name}.json")
    (RESULTS / f"{name}.md").write_text(text_report.markdown_report(evaluation), encoding="utf-8")
    if arguments.picture:
        if evaluation.photos.source != "synthetic":
            parser.error("--picture: this run shows photographs, and those are never published")
        shutil.copy(workdir / "grid.png", RESULTS / f"{name}.png")
    if arguments.zoo:
        net = models.load(workdir / "perturber.safetensors")
        info = {
            **net.card.info,
            "test": headline_figures(evaluation),
            "limits": LIMITS + _sizes(workdir),
        }
        card = dataclasses.replace(net.card, info=info)
        models.save(models.ZOO / f"{arguments.zoo}.safetensors", net.variables, card, np.float16)
    print(f"published {workdir} as {name}")


if __name__ == "__main__":
    main()
