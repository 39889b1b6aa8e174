"""Train a detector: python -m dfd_jax.train_detector --config configs/detector.py [--workdir DIR]

Real photos against fakes made of them: data → network → steps → best checkpoint → calibration →
test. Writes `workdir/detector.safetensors` with its card. Run the same command again to continue an
interrupted run: the result is bit for bit that of a run that was never interrupted.
"""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax.sharding import Mesh
from rich.console import Console

from dfd_jax import models
from dfd_jax.data.pairs import Exam
from dfd_jax.models.frozen import Card, FrozenDetector
from dfd_jax.opponents import detector_data, detector_evaluation, detector_training
from dfd_jax.opponents.attention_losses import AttentionLosses
from dfd_jax.runtime import command_line, processes, provenance, sharding
from dfd_jax.runtime.config import Config
from dfd_jax.runtime.progress import StepProgress, stop_on_signals
from dfd_jax.training import setup
from dfd_jax.training.checkpoint import Checkpoints
from dfd_jax.training.metrics_log import MetricsLog

LIMITS = (
    "How it does on fakes of generators that it was not trained on is in the metrics. Knows "
    "aligned, frontal, centred crops only. A verdict on a single photo proves nothing."
)


def train(
    config: Config, workdir: pathlib.Path, exams: list[Exam], console: Console
) -> FrozenDetector | None:
    """Train to the config's last step; the detector of the best step, or None if stopped early.

    "Best" is the highest AUC on `exams`, those of the validation split. RuntimeError if the loss is
    no longer finite.
    """
    setup.write_config(config, workdir)
    t, mesh = config.train, sharding.make_mesh()
    batches = detector_data.batches(config, mesh, workdir)

    net = new_detector(config)
    state, train_step = start(net, t, mesh, region_training(config))
    best = {"auc": jnp.zeros(()), "variables": jax.tree.map(jnp.copy, state.averaged)}
    best = sharding.replicate(best, mesh)

    checkpoints, depends_on = Checkpoints(workdir / "checkpoints", t.keep), {}
    if checkpoints.latest_step() is not None:
        saved = checkpoints.restore({"state": state, "best": best}, batches, depends_on)
        state, best = saved["state"], saved["best"]
    step = int(jax.device_get(state.step))
    if step:
        console.print(f"continuing from step {step} of {workdir}")

    def save() -> None:
        log.check()
        checkpoints.save(step, {"state": state, "best": best}, batches, depends_on)

    with (
        stop_on_signals() as stop,
        StepProgress(console, config.name, t.steps, step, t.batch_size) as progress,
        MetricsLog(workdir, progress, step, t.log_every) as log,
    ):
        while step < t.steps and not processes.agreed(bool(stop), step):
            pairs = sharding.shard_batch({"images": next(batches)["images"]}, mesh)["images"]
            with jax.transfer_guard("disallow"):
                state, metrics = train_step(state, pairs)
            step += 1
            log.add(step, metrics)
            if step % t.evaluate_every == 0 or step == t.steps:
                best, scores = better(net, state, best, exams)
                best = sharding.replicate(best, mesh)
                log.record(step, {f"valid_{name}": value for name, value in scores.items()})
                console.print(f"step {step}: validation AUC {scores['auc']:.4f}", highlight=False)
                save()
        save()
    checkpoints.close()
    batches.close()
    if step < t.steps:
        console.print(f"{stop}: stopped after step {step}; the same command continues there")
        return None
    return net.with_variables(jax.device_get(best["variables"]))


def start(
    net: FrozenDetector, settings: Config, mesh: Mesh, regions: AttentionLosses | None = None
) -> tuple[detector_training.DetectorState, detector_training.TrainStep]:
    """The state before the first step, and the step, of a config's `train` section."""
    t = settings
    tx = detector_training.make_optimizer(
        t.learning_rate, t.steps, warmup=t.warmup, clip=t.clip, weight_decay=t.weight_decay
    )
    step = processes.together(
        detector_training.make_train_step(
            net, tx, smoothing=t.label_smoothing, averaging=t.averaging, training=regions
        )
    )
    return sharding.replicate(detector_training.create_state(net, tx, regions), mesh), step


def region_training(config: Config) -> AttentionLosses | None:
    """The config's `regions`; None where that is empty, for detectors that have none."""
    return AttentionLosses(**config.attention_losses.to_dict()) if config.attention_losses else None


def new_detector(config: Config) -> FrozenDetector:
    """The config's network with fresh weights. ValueError if it is not a detector."""
    card = Card(
        model=config.detector.model,
        hyper={**config.detector.hyper.to_dict(), "num_classes": 2},
        input_size=config.data.size,
        real_index=0,
    )
    net = models.build(card, config.seed, jnp.dtype(config.dtype))
    if not isinstance(net, FrozenDetector):
        raise ValueError(f"config.detector.model is {card.model!r}, which is not a detector")
    return net


def better(
    net: FrozenDetector,
    state: detector_training.DetectorState,
    best: dict[str, Any],
    exams: list[Exam],
) -> tuple[dict[str, Any], dict[str, float]]:
    """The better of the best so far and the averaged weights of now, and what these scored."""
    scores = detector_evaluation.selection_score(net.with_variables(state.averaged), exams)
    if scores["auc"] <= float(jax.device_get(best["auc"])):
        return best, scores
    variables = jax.tree.map(jnp.copy, state.averaged)
    return {"auc": jnp.asarray(scores["auc"], jnp.float32), "variables": variables}, scores


def finish(
    config: Config, workdir: pathlib.Path, net: FrozenDetector, exams: list[Exam], console: Console
) -> None:
    """Calibrate on `exams` (validation), measure on the test split, export with a card, print."""
    net, shift = detector_evaluation.calibrated(net, exams, config.evaluate.pass_rate)
    dtype = np.dtype(config.export_dtype)
    rounded = jax.tree.map(lambda x: np.asarray(x, dtype).astype(np.float32), net.variables)
    net = net.with_variables(rounded)  # what the file will hold is what is measured

    unseen = {path: detector_data.load_generator(path) for path in config.evaluate.generators}
    tests = {}
    for exam in detector_data.exams(config, "test", workdir):
        on_unseen = {
            p: detector_evaluation.marks_on_generator(net, g, exam) for p, g in unseen.items()
        }
        tests[exam.name] = {**detector_evaluation.marks(net, exam), "generators": on_unseen}
    info = {
        "data": _data(config),
        "command": provenance.command("dfd_jax.train_detector"),
        "commit": provenance.commit(),
        "test": tests,
        "calibration": {"pass_rate": config.evaluate.pass_rate, "shift": round(shift, 4)},
        "limits": LIMITS,
    }
    card = dataclasses.replace(net.card, info=info)
    models.save(workdir / "detector.safetensors", net.variables, card, dtype)
    detector_evaluation.print_marks(console, config.detector.model, tests)
    console.print(f"wrote {workdir / 'detector.safetensors'}")


def _data(config: Config) -> dict[str, Any]:
    """What the detector saw, without paths of this machine."""
    counts = {kind: len(s) for kind, s in detector_data.sources(config, "train").items()}
    return {
        "reals": counts,
        "source": config.data.kind,
        "families": list(detector_data.families(config)),
        "folders": len(config.fakes.folders),
        "generators": list(config.fakes.generators),
        "train": json.loads(config.train.to_json()),
        **(
            {"regions": json.loads(config.attention_losses.to_json())}
            if config.attention_losses
            else {}
        ),
    }


def main() -> None:
    """Train, calibrate, measure, export."""
    config, workdir, console = flags.FLAGS.config, command_line.workdir(), command_line.console()
    exams = detector_data.exams(config, "valid", workdir)
    net = train(config, workdir, exams, console)
    processes.disconnect()
    if net is not None and jax.process_index() == 0:
        finish(config, workdir, net, exams, console)


if __name__ == "__main__":
    command_line.run(main, with_config=True, distributed=True)
