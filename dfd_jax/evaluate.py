"""Measure a trained perturber on the test split: python -m dfd_jax.evaluate --workdir W

Writes W/evaluation.json (every figure with its counts), W/grid.png and W/report.html, and prints
the table.
"""

import datetime
import hashlib
import json
import pathlib
import time
from typing import Any

import jax
import numpy as np
from rich.console import Console

from dfd_jax import (
    assembly,
    attacker,
    cli,
    evaluation,
    models,
    page,
    picture,
    provenance,
    report,
    sharding,
    transit,
    writer,
)
from dfd_jax.attacker import Networks
from dfd_jax.config import Config
from dfd_jax.data import images, pipeline
from dfd_jax.data.faces import Face
from dfd_jax.evaluation import Arrived, Subject
from dfd_jax.models.frozen import FrozenPerturber
from dfd_jax.protector import Protector

GRID_PHOTOS = 6
NOT_TESTED = (
    "generators other than those listed, GANimation and First Order Motion among them",
    "an attacker who trains a generator on protected photos",
    "an attacker who removes the perturbation on purpose",
    "crops and alignments that differ from the region that was protected",
)


def evaluate_run(workdir: pathlib.Path, console: Console) -> dict[str, Any]:
    """Evaluate the perturber of a training run; returns what was written to evaluation.json."""
    config = assembly.read_config(workdir)
    perturber = models.load(workdir / "perturber.safetensors")
    if not isinstance(perturber, FrozenPerturber):
        raise ValueError(f"{workdir}/perturber.safetensors is a {perturber.card.model}")
    networks = _networks(config)
    generator = next(iter(networks.generators.values()))
    conditions = attacker.conditions_of(generator, tuple(config.evaluate.conditions))
    faces = pipeline.read_split(
        assembly.source(config, "test", generator.card.condition),
        limit=config.evaluate.photos or None,
        seed=config.seed,
        skipped_file=workdir / "skipped.txt",
    )
    skipped = len(pipeline.read_skipped(workdir / "skipped.txt"))
    if skipped:
        console.print(f"{skipped} photos could not be read, see {workdir}/skipped.txt")
    subject = Subject.from_faces(faces, config.data.crop or None)
    with console.status(f"evaluating {len(faces)} photos through files …"):
        results, panels = _measure_all(config, networks, conditions, subject, perturber, console)
    results = {**_provenance(config, networks, perturber, faces, skipped), **results}
    _write(workdir, results, panels)
    report.print_evaluation(results, console)
    console.print(f"\nwrote {workdir}/evaluation.json, grid.png, report.html", highlight=False)
    return results


def _networks(config: Config) -> Networks:
    """Everything that judges, in float32 whatever P was trained in."""
    judged = tuple(dict.fromkeys((*config.detectors, *config.evaluate.detectors)))
    generators = assembly.generators(config, "float32")
    detectors = assembly.detectors(judged, "float32")
    name = assembly.network_name
    return Networks(
        {name(p): g for p, g in zip(config.generators, generators, strict=True)},
        {name(p): d for p, d in zip(judged, detectors, strict=True)},
        config.evaluate.batch_size,
    )


def _measure_all(
    config: Config,
    networks: Networks,
    conditions: tuple[str, ...],
    subject: Subject,
    perturber: FrozenPerturber,
    console: Console,
) -> tuple[dict[str, Any], list[dict[str, np.ndarray]]]:
    size, protector = config.data.size, Protector(perturber, config.evaluate.batch_size)
    clean = subject.crops(size)
    originals = evaluation.all_fakes(networks, conditions, clean, subject.attributes)
    outputs = protector.outputs(clean)
    noise = evaluation.noise_outputs(clean.shape, config.seed)
    # Attacks that need a gradient per photo (FGSM, I-FGSM, PGD) belong between noise and P.
    rows = []
    for name, change in (("no protection", None), ("random noise", noise), ("P", outputs)):
        console.log(f"row: {name}", highlight=False)
        arrived = evaluation.through_files(subject, protector, change, size)
        fakes = originals
        if change is not None:
            fakes = evaluation.all_fakes(networks, conditions, arrived.photos, subject.attributes)
        cells = evaluation.score(networks, clean, arrived.photos, originals, fakes)
        rows.append({"row": name, **_spent(arrived), "cells": cells})
    panels = _panels(clean, arrived.photos, conditions, originals, fakes)
    results: dict[str, Any] = {"rows": rows}
    console.log("regions and channels", highlight=False)
    results["regions"] = [
        _at_region(networks, conditions, subject, protector, side, size)
        for side in config.evaluate.regions
    ]
    names = transit.CHANNELS if config.evaluate.channels else {}
    results["channels"] = [
        _in_transit(networks, conditions, subject, protector, outputs, name, size) for name in names
    ]
    results["speed"] = _speed(perturber, clean)
    return results, panels


def _spent(arrived: Arrived) -> dict[str, Any]:
    """What the row costs the photo: the largest and the mean change over photos."""
    finite = [p for p in arrived.psnr if np.isfinite(p)]
    return {
        "linf_255": max(arrived.linf_255),
        "rms_255": float(np.mean(arrived.rms_255)),
        "psnr": float(np.mean(finite)) if finite else None,
        "psnr_min": float(np.min(finite)) if finite else None,
        "ssim": float(np.mean(arrived.ssim)),
    }


def _at_region(
    networks: Networks,
    conditions: tuple[str, ...],
    subject: Subject,
    protector: Protector,
    side: int,
    size: int,
) -> dict[str, Any]:
    """P's effect through files whose region is `side` pixels wide."""
    scaled = subject.with_region(side)
    clean = scaled.crops(size)
    arrived = evaluation.through_files(scaled, protector, protector.outputs(clean), size)
    cells = evaluation.measure(networks, conditions, clean, arrived.photos, subject.attributes)
    return {"side": side, "scale": side / size, **_pooled(cells), **_spent(arrived)}


def _in_transit(
    networks: Networks,
    conditions: tuple[str, ...],
    subject: Subject,
    protector: Protector,
    outputs: np.ndarray,
    name: str,
    size: int,
) -> dict[str, Any]:
    """P's effect after a channel, against the fakes of the unprotected photo after the same
    channel.

    One condition per photo, in turn: the figure pools conditions at a fifth of the cost.
    """
    pass_on = transit.CHANNELS[name]
    protected = [
        protector.apply(photo, box, raw)
        for photo, box, raw in zip(subject.photos, subject.boxes, outputs, strict=True)
    ]
    pairs = {}
    for kind, photos in (("clean", subject.photos), ("arrived", protected)):
        pairs[kind] = subject._replace(photos=[pass_on(p) for p in photos]).crops(size)
    rows = [np.arange(i, len(protected), len(conditions)) for i in range(len(conditions))]
    cells = []
    for condition, picked in zip(conditions, rows, strict=True):
        clean, arrived = pairs["clean"][picked], pairs["arrived"][picked]
        found = evaluation.measure(
            networks, (condition,), clean, arrived, subject.attributes[picked]
        )
        cells.append(_pooled(found))
    weights = [len(picked) for picked in rows]
    return {"channel": name, **_weighted(cells, weights)}


def _pooled(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """L2, %dis and verdicts of the first generator's pooled cell."""
    cell = next(c for c in cells if c["condition"] == "all")
    verdicts = cell["detectors"]
    return {
        "l2": cell["l2"],
        "disrupted": cell["disrupted"],
        "q": {name: v["q"] for name, v in verdicts.items()},
        "R_protected": {name: v["R_protected"] for name, v in verdicts.items()},
    }


def _weighted(cells: list[dict[str, Any]], weights: list[int]) -> dict[str, Any]:
    def mean(values: list[float]) -> float:
        return float(np.average(values, weights=weights))

    return {
        "l2": mean([c["l2"] for c in cells]),
        "disrupted": mean([c["disrupted"] for c in cells]),
        **{
            key: {name: mean([c[key][name] for c in cells]) for name in cells[0][key]}
            for key in ("q", "R_protected")
        },
    }


def _speed(perturber: FrozenPerturber, clean: np.ndarray) -> dict[str, Any]:
    """Milliseconds per photo of P's forward pass, warm; medians of repeated calls."""
    timings = {}
    for batch in (1, 4, 16, 64):
        mesh = sharding.make_mesh(jax.local_devices()[:1])  # milliseconds of one device
        protector = Protector(perturber, batch, mesh)
        crops = np.resize(clean, (batch, *clean.shape[1:]))
        protector.outputs(crops)
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            protector.outputs(crops)
            seconds.append(time.perf_counter() - began)
        timings[batch] = 1e3 * float(np.median(seconds)) / batch
    best = min(timings, key=lambda b: timings[b])
    return {"batch_1_ms": timings[1], "best_batch": best, "best_batch_ms": timings[best]}


def _panels(
    clean: np.ndarray,
    protected: np.ndarray,
    conditions: tuple[str, ...],
    originals: evaluation.AllFakes,
    fakes: evaluation.AllFakes,
) -> list[dict[str, np.ndarray]]:
    """The grid's rows: x, x+P(x), |P(x)| amplified, and the fakes of both under two conditions."""
    shown = (conditions[0], conditions[-2]) if len(conditions) > 2 else conditions
    panels = []
    for i in range(min(GRID_PHOTOS, len(clean))):
        delta = protected[i].astype(np.int16) - clean[i]
        panel = {
            "x": clean[i],
            "x+P(x)": protected[i],
            picture.AMPLIFIED_CAPTION: picture.amplified(delta),
        }
        for (generator, condition), before in originals.items():
            if condition in shown:
                label = condition.replace("_", " ")
                panel[f"G(x) {label}"] = before.images[i]
                panel[f"G(x+P(x)) {label}"] = fakes[generator, condition].images[i]
        panels.append(panel)
    return panels


def _provenance(
    config: Config,
    networks: Networks,
    perturber: FrozenPerturber,
    faces: list[Face],
    skipped: int,
) -> dict[str, Any]:
    photos = hashlib.sha256()
    for face in faces:
        photos.update(face.name.encode() + b"\0" + face.pixels.tobytes())
    card, in_loop = perturber.card, {assembly.network_name(p) for p in config.detectors}
    today = datetime.datetime.now(datetime.UTC)
    known = ", ".join(networks.generators)
    return {
        "created": today.isoformat(timespec="seconds"),
        "commit": provenance.commit(),
        "command": provenance.command("dfd_jax.evaluate"),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "seed": config.seed,
        "step": card.info.get("step"),
        "perturber": {
            "model": card.model,
            "hyper": card.hyper,
            "input_size": card.input_size,
            "budget": card.budget,
            "sha256": card.sha256,
        },
        "generators": [
            {"name": n, "sha256": g.card.sha256} for n, g in networks.generators.items()
        ],
        "detectors": [
            {"name": n, "sha256": d.card.sha256, "in_the_loop": n in in_loop}
            for n, d in networks.detectors.items()
        ],
        "photos": {
            "count": len(faces),
            "split": "test",
            "source": config.data.kind,
            "sha256": photos.hexdigest(),
            "skipped": skipped,
        },
        "protects_against": [f"{known}, the exact weights listed ({today.date().isoformat()})"],
        "not_tested_against": list(NOT_TESTED),
    }


def _write(
    workdir: pathlib.Path, results: dict[str, Any], panels: list[dict[str, np.ndarray]]
) -> None:
    text = json.dumps(_finite(results), indent=1, allow_nan=False)
    writer.replace_text(workdir / "evaluation.json", text + "\n")
    picture.save_grid(workdir / "grid.png", panels)
    history = writer.read_metrics(workdir)
    page.write_html(workdir / "report.html", results, workdir / "grid.png", history)
    grid = images.read_rgb(workdir / "grid.png")
    writer.write_image(workdir, results["step"] or 0, "grid", grid)


def _finite(value: Any) -> Any:
    """The same with None in the place of every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def main() -> None:
    """Evaluate the run in --workdir."""
    evaluate_run(cli.workdir(), cli.console())


if __name__ == "__main__":
    cli.run(main, with_config=False)
