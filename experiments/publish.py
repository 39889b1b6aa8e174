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

from dfd_jax import models, report, tables

RESULTS = pathlib.Path(__file__).parent / "results"


def headline_figures(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The pooled figures of P that belong on a card."""
    row = tables.row_named(evaluation, "P")
    cell = tables.cell_of(row, evaluation["generators"][0]["name"], "all")
    without = tables.cell_of(
        tables.row_named(evaluation, "no protection"), evaluation["generators"][0]["name"], "all"
    )
    return {
        "photos": evaluation["photos"],
        "disrupted": cell["disrupted"],
        "l2": cell["l2"],
        "linf_255": row["linf_255"],
        "psnr": row["psnr"],
        "detectors": {
            name: {
                "q": found["q"],
                "q_unprotected": without["detectors"][name]["q"],
                "R": found["R"],
                "R_protected": found["R_protected"],
            }
            for name, found in cell["detectors"].items()
        },
        "regions": evaluation["regions"],
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
    evaluation = json.loads((workdir / "evaluation.json").read_text(encoding="utf-8"))
    RESULTS.mkdir(exist_ok=True)
    shutil.copy(workdir / "evaluation.json", RESULTS / f"{name}.json")
    (RESULTS / f"{name}.md").write_text(report.markdown_report(evaluation), encoding="utf-8")
    if arguments.picture:
        if evaluation["photos"]["source"] != "synthetic":
            parser.error("--picture: this run shows photographs, and those are never published")
        shutil.copy(workdir / "grid.png", RESULTS / f"{name}.png")
    if arguments.zoo:
        net = models.load(workdir / "perturber.safetensors")
        info = {
            **net.card.info,
            "test": headline_figures(evaluation),
            "limits": "Protects against the generators listed, by checksum, and no others. Trained "
            "on aligned, frontal, official portraits only; other faces were not tested.",
        }
        card = dataclasses.replace(net.card, info=info)
        models.save(models.ZOO / f"{arguments.zoo}.safetensors", net.variables, card, np.float16)
    print(f"published {workdir} as {name}")


if __name__ == "__main__":
    main()
