"""Measure a trained perturber on the test split: python -m dfd_jax.evaluate --workdir W

Writes W/evaluation.json (every figure with its counts), W/grid.png and W/report.html, and prints
the table.
"""

import datetime
import hashlib
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from dfd_jax import models
from dfd_jax.data import images, pipeline, videos
from dfd_jax.data.faces import Face
from dfd_jax.evaluation import baselines, inference, real_channels, scoring
from dfd_jax.evaluation.inference import Networks
from dfd_jax.evaluation.report import examples, html_report, picture_grid, text_report
from dfd_jax.evaluation.scoring import Conditions, Subject
from dfd_jax.method import attacks, perceptual
from dfd_jax.method.attacks import Attack
from dfd_jax.method.protector import Protector
from dfd_jax.models.frozen import Perturber
from dfd_jax.runtime import command_line, provenance, sharding
from dfd_jax.runtime.config import Config
from dfd_jax.training import metrics_log, photo_source, run_config, setup

NOT_TESTED = (
    "generators other than those listed",
    "an attacker who trains a generator on protected photos",
    "an attacker who removes the perturbation on purpose",
    "crops and alignments that differ from the region that was protected",
)


def evaluate_run(workdir: pathlib.Path, console: Console) -> dict[str, Any]:
    """Evaluate the perturber of a training run; returns what was written to evaluation.json."""
    config = run_config.read_config(workdir)
    perturber = models.load(workdir / "perturber.safetensors")
    if not isinstance(perturber, Perturber):
        raise ValueError(f"{workdir}/perturber.safetensors is a {perturber.card.model}")
    plans = attacks.named(config.evaluate.get("attacks", ()))  # older runs have none
    networks = _networks(config)
    conditions = inference.conditions_of(networks.generators, tuple(config.evaluate.conditions))
    faces = pipeline.read_split(
        photo_source.open_split(config, "test", networks.label_names, networks.generators.values()),
        limit=config.evaluate.photos or None,
        seed=config.seed,
        skipped_file=workdir / "skipped.txt",
    )
    skipped = len(pipeline.read_skipped(workdir / "skipped.txt"))
    if skipped:
        console.print(f"{skipped} photos could not be read, see {workdir}/skipped.txt")
    subject = Subject.from_faces(faces, config.data.crop or None)
    side = config.evaluate.get("crop_side", 0)
    subject = subject.with_region(side) if side else subject
    protector = Protector(perturber, config.evaluate.batch_size)
    test = Test(networks, conditions, subject, protector, plans)
    with console.status(f"evaluating {len(faces)} photos through files …"):
        results, exhibits = _measure_all(config, test, console)
        results["speed"] = _speed(perturber, subject.crops(protector.input_size))
    results = {**_provenance(config, networks, perturber, faces, skipped), **results}
    written = _write(workdir, config, results, exhibits, conditions)
    text_report.print_evaluation(results, console)
    console.print(f"\nwrote {', '.join(written)} in {workdir}", highlight=False)
    return results


class Test(NamedTuple):
    """One evaluation: who attacks and judges, what is asked, on which photos, and who protects."""

    networks: Networks
    conditions: Conditions
    subject: Subject
    protector: Protector
    plans: Mapping[str, Attack]  # attacks to set beside P


def _networks(config: Config) -> Networks:
    """Everything that judges, in float32 whatever P was trained in."""
    judged = tuple(dict.fromkeys((*config.detectors, *config.evaluate.detectors)))
    generators = setup.generators(config, "float32", config.driving.test_frames)
    detectors = setup.detectors(judged, "float32")
    name = setup.network_name
    return Networks(
        {name(p): g for p, g in zip(config.generators, generators, strict=True)},
        {name(p): d for p, d in zip(judged, detectors, strict=True)},
        setup.label_names(generators),
        config.evaluate.batch_size,
    )


def _measure_all(
    config: Config, test: Test, console: Console
) -> tuple[dict[str, Any], examples.Exhibits]:
    networks, conditions, subject, protector, plans = test
    clean, attributes = subject.crops_of(networks.sizes), subject.attributes
    originals = scoring.all_fakes(networks, conditions, clean, attributes)
    seen = subject.crops(protector.input_size)
    outputs = protector.outputs(seen)
    noise = scoring.noise_outputs(seen.shape, config.seed)
    changes = {
        "no protection": None,
        "random noise": scoring.protection(protector, noise),
        "P": scoring.protection(protector, outputs),
    }
    rows, fakes, arrived = [], originals, None
    for name in ("no protection", "random noise", *plans, "P"):
        console.log(f"row: {name}", highlight=False)
        if name in plans:
            spent = (plans[name], protector.budget, config.seed)
            attacked = baselines.attack_row(networks, subject, clean, originals, *spent)
            rows.append({"row": name, **scoring.spent(attacked.arrived), "cells": attacked.cells})
            continue
        change = changes[name]
        arrived = scoring.through_files(subject, change, networks.sizes)
        fakes = originals
        if change is not None:
            fakes = scoring.all_fakes(networks, conditions, arrived.photos, attributes)
        cells = scoring.score(networks, clean, arrived.photos, originals, fakes)
        rows.append({"row": name, **scoring.spent(arrived), "cells": cells})
    assert arrived is not None
    size = max(networks.sizes)
    exhibits = examples.Exhibits(clean[size], arrived.photos[size], originals, fakes)
    console.log("regions and channels", highlight=False)
    names = real_channels.CHANNELS if config.evaluate.channels else {}
    return {
        "perceptual": perceptual.description(),
        "rows": rows,
        "regions": [r for side in config.evaluate.crop_sides for r in _at_region(test, side)],
        "channels": [c for name in names for c in _in_transit(test, outputs, name)],
    }, exhibits


def _at_region(test: Test, side: int) -> list[dict[str, Any]]:
    """P's effect on every generator through files whose region is `side` pixels wide."""
    networks, conditions, subject, protector, _ = test
    scaled = subject.with_region(side)
    clean = scaled.crops_of(networks.sizes)
    outputs = protector.outputs(scaled.crops(protector.input_size))
    change = scoring.protection(protector, outputs)
    arrived = scoring.through_files(scaled, change, networks.sizes)
    cells = scoring.measure(networks, conditions, clean, arrived.photos, subject.attributes)
    return [
        {
            "side": side,
            "scale": side / networks.generators[found["generator"]].card.input_size,
            **found,
            **scoring.spent(arrived),
        }
        for found in _pooled(cells)
    ]


def _in_transit(test: Test, outputs: np.ndarray, name: str) -> list[dict[str, Any]]:
    """P's effect on every generator after a channel, against the fakes of the unprotected photo
    after the same channel.

    One condition per photo, in turn: the figure pools conditions at a fraction of the cost.
    """
    networks, conditions, subject, protector, _ = test
    pass_on = real_channels.CHANNELS[name]
    protected = [
        protector.apply(photo, box, raw)
        for photo, box, raw in zip(subject.photos, subject.boxes, outputs, strict=True)
    ]
    clean, arrived = (
        subject._replace(photos=[pass_on(p) for p in photos]).crops_of(networks.sizes)
        for photos in (subject.photos, protected)
    )
    results = []
    for generator, known in conditions.items():
        rows = [np.arange(i, len(protected), len(known)) for i in range(len(known))]
        cells, weights = [], []
        for condition, picked in zip(known, rows, strict=True):
            if not len(picked):
                continue
            found = scoring.measure(
                networks,
                {generator: (condition,)},
                {size: squares[picked] for size, squares in clean.items()},
                {size: squares[picked] for size, squares in arrived.items()},
                subject.attributes[picked],
            )
            cells += _pooled(found)
            weights.append(len(picked))
        results.append({"channel": name, "generator": generator, **_weighted(cells, weights)})
    return results


def _pooled(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """L2, %dis and verdicts of each generator's pooled cell."""
    return [
        {
            "generator": cell["generator"],
            "l2": cell["l2"],
            "disrupted": cell["disrupted"],
            "masked_disrupted": cell["masked_disrupted"],
            "q": {name: v["q"] for name, v in cell["detectors"].items()},
            "R_protected": {name: v["R_protected"] for name, v in cell["detectors"].items()},
        }
        for cell in cells
        if cell["condition"] == "all"
    ]


def _weighted(cells: list[dict[str, Any]], weights: list[int]) -> dict[str, Any]:
    def mean(values: list[float]) -> float:
        return float(np.average(values, weights=weights))

    return {
        **{key: mean([c[key] for c in cells]) for key in ("l2", "disrupted", "masked_disrupted")},
        **{
            key: {name: mean([c[key][name] for c in cells]) for name in cells[0][key]}
            for key in ("q", "R_protected")
        },
    }


def _speed(perturber: Perturber, clean: np.ndarray) -> dict[str, Any]:
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


def _provenance(
    config: Config,
    networks: Networks,
    perturber: Perturber,
    faces: list[Face],
    skipped: int,
) -> dict[str, Any]:
    photos = hashlib.sha256()
    for face in faces:
        photos.update(face.name.encode() + b"\0" + face.pixels.tobytes())
    card, in_loop = perturber.card, {setup.network_name(p) for p in config.detectors}
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
    workdir: pathlib.Path,
    config: Config,
    results: dict[str, Any],
    exhibits: examples.Exhibits,
    conditions: Conditions,
) -> list[str]:
    """Write figures, pictures and the report; the names of the files."""
    text = json.dumps(_finite(results), indent=1, allow_nan=False)
    metrics_log.replace_text(workdir / "evaluation.json", text + "\n")
    picture_grid.save_grid(workdir / "grid.png", examples.grid(exhibits, conditions))
    is_animated = any(fakes.images.shape[1] > 1 for fakes in exhibits.originals.values())
    side = exhibits.clean.shape[1]
    clips = videos.driving_clips(config.driving.root, side) if is_animated else {}
    strips = examples.save_strips(workdir, exhibits, clips)
    history = metrics_log.read_metrics(workdir)
    html_report.write_html(
        workdir / "report.html", results, [workdir / "grid.png", *strips], history
    )
    grid = images.read_rgb(workdir / "grid.png")
    metrics_log.write_image(workdir, results["step"] or 0, "grid", grid)
    return ["evaluation.json", "grid.png", *(path.name for path in strips), "report.html"]


def _finite(value: Any) -> Any:
    """The same with None in the place of every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def main() -> None:
    """Evaluate the run in --workdir."""
    evaluate_run(command_line.workdir(), command_line.console())


if __name__ == "__main__":
    command_line.run(main, with_config=False)
