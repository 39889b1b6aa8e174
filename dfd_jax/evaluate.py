"""Measure a trained perturber on the test split: python -m dfd_jax.evaluate --workdir W

Writes W/evaluation.json (every figure with its counts), W/grid.png and W/report.html, and prints
the tables.
"""

import datetime
import hashlib
import pathlib

import jax
from rich.console import Console

from dfd_jax import models
from dfd_jax.data import images, pipeline, sources
from dfd_jax.data.face_photos import FacePhotos
from dfd_jax.data.faces import Face
from dfd_jax.evaluation import baselines, files, inference, results, robustness, scoring, speed
from dfd_jax.evaluation.inference import Networks
from dfd_jax.evaluation.real_channels import CHANNELS
from dfd_jax.evaluation.report import examples, html_report, picture_grid, text_report
from dfd_jax.evaluation.report.examples import Examples
from dfd_jax.evaluation.results import PROTECTED, UNPROTECTED, Evaluation, Provenance
from dfd_jax.evaluation.scoring import Reference
from dfd_jax.method import attacks, perceptual
from dfd_jax.method.protector import Protector
from dfd_jax.models.frozen import Perturber
from dfd_jax.runtime import command_line, provenance
from dfd_jax.runtime.config import Config
from dfd_jax.runtime.files import replace_file
from dfd_jax.training import metrics_log, photo_source, run_config, setup

NOT_TESTED = (
    "generators other than those listed",
    "an attacker who trains a generator on protected photos",
    "an attacker who removes the perturbation on purpose",
    "crops and alignments other than the protected one",
)


def evaluate_run(workdir: pathlib.Path, console: Console) -> Evaluation:
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
    photos = FacePhotos.from_faces(faces, config.data.crop or None)
    side = config.evaluate.get("crop_side", 0)
    photos = photos.resampled(side) if side else photos
    with console.status(f"evaluating {len(faces)} photos through files …"):
        reference = Reference.of(networks, conditions, photos)
        about = _provenance(config, networks, perturber, faces, skipped)
        evaluation, shown = _measure(config, reference, perturber, plans, about, console)
    written = _write(workdir, config, evaluation, shown)
    text_report.print_evaluation(evaluation, console)
    console.print(f"\nwrote {', '.join(written)} in {workdir}", highlight=False)
    return evaluation


def _networks(config: Config) -> Networks:
    """The generators and detectors, in float32 whatever P was trained in."""
    paths = tuple(dict.fromkeys((*config.detectors, *config.evaluate.detectors)))
    generators = setup.generators(config, "float32", config.driving.test_frames)
    detectors = setup.detectors(paths, "float32")
    name = setup.network_name
    return Networks(
        {name(p): g for p, g in zip(config.generators, generators, strict=True)},
        {name(p): d for p, d in zip(paths, detectors, strict=True)},
        setup.label_names(generators),
        config.evaluate.batch_size,
    )


def _measure(
    config: Config,
    reference: Reference,
    perturber: Perturber,
    plans: dict[str, attacks.Attack],
    about: Provenance,
    console: Console,
) -> tuple[Evaluation, Examples]:
    """Every figure: no protection, noise, each attack and P; crop sizes, channels and speed."""
    photos, protector = reference.photos, Protector(perturber, config.evaluate.batch_size)
    crops = files.perturber_inputs(photos, protector)
    outputs = protector.outputs(crops)
    noise = files.noise_outputs(crops.shape, config.seed)
    unprotected = scoring.measure(reference, UNPROTECTED, None)
    noisy = scoring.measure(reference, "random noise", files.protection(protector, noise))
    attacked = []
    for name, plan in plans.items():
        console.log(f"attack: {name}", highlight=False)
        attacked.append(
            baselines.measure_attack(reference, name, plan, protector.budget, config.seed)
        )
    protected = scoring.measure(reference, PROTECTED, files.protection(protector, outputs))
    console.log("crop sizes and channels", highlight=False)
    crop_sizes = [
        result
        for side in config.evaluate.crop_sides
        for result in robustness.at_crop_size(reference, protector, side)
    ]
    changed = [
        protector.apply(photo, box, raw)
        for photo, box, raw in zip(photos.photos, photos.boxes, outputs, strict=True)
    ]
    channels = [
        result
        for name, channel in (CHANNELS if config.evaluate.channels else {}).items()
        for result in robustness.after_channel(reference, changed, name, channel)
    ]
    evaluation = Evaluation(
        **vars(about),
        rows=(unprotected.row, noisy.row, *attacked, protected.row),
        crop_sizes=tuple(crop_sizes),
        channels=tuple(channels),
        speed=speed.measure(perturber, crops),
    )
    return evaluation, Examples.of(reference, protected)


def _provenance(
    config: Config,
    networks: Networks,
    perturber: Perturber,
    faces: list[Face],
    skipped: int,
) -> Provenance:
    photos = hashlib.sha256()
    for face in faces:
        photos.update(face.name.encode() + b"\0" + face.pixels.tobytes())
    card, in_loop = perturber.card, {setup.network_name(path) for path in config.detectors}
    today = datetime.datetime.now(datetime.UTC)
    names = ", ".join(networks.generators)
    return Provenance(
        created=today.isoformat(timespec="seconds"),
        commit=provenance.commit(),
        command=provenance.command("dfd_jax.evaluate"),
        device=f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        seed=config.seed,
        step=card.info.get("step"),
        perturber=results.PerturberRecord(
            model=card.model,
            hyper=dict(card.hyper),
            input_size=card.input_size,
            budget=dict(card.budget or {}),
            sha256=card.sha256,
        ),
        generators=tuple(
            results.GeneratorRecord(name=name, sha256=net.card.sha256)
            for name, net in networks.generators.items()
        ),
        detectors=tuple(
            results.DetectorRecord(name=name, sha256=net.card.sha256, in_the_loop=name in in_loop)
            for name, net in networks.detectors.items()
        ),
        photos=results.PhotosRecord(
            count=len(faces),
            split="test",
            source=config.data.kind,
            sha256=photos.hexdigest(),
            skipped=skipped,
        ),
        protects_against=(f"{names}, the exact weights listed ({today.date().isoformat()})",),
        not_tested_against=NOT_TESTED,
        perceptual=perceptual.description(),
    )


def _write(
    workdir: pathlib.Path, config: Config, evaluation: Evaluation, shown: Examples
) -> list[str]:
    """Write figures, pictures and the report; the names of the files."""
    replace_file(workdir / "evaluation.json", results.to_json(evaluation))
    picture_grid.save_grid(workdir / "grid.png", examples.grid(shown))
    clips = sources.driving_clips(config.driving.root, shown.side) if shown.is_animated else {}
    pictures = [workdir / "grid.png", *examples.save_strips(workdir, shown, clips)]
    history = metrics_log.read_metrics(workdir)
    html_report.write_html(workdir / "report.html", evaluation, pictures, history)
    grid = images.read_rgb(workdir / "grid.png")
    metrics_log.write_image(workdir, evaluation.step or 0, "grid", grid)
    return ["evaluation.json", *(path.name for path in pictures), "report.html"]


def main() -> None:
    """Evaluate the run in --workdir."""
    evaluate_run(command_line.workdir(), command_line.console())


if __name__ == "__main__":
    command_line.run(main, with_config=False)
