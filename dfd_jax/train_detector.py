"""Train a detector: python -m dfd_jax.train_detector --config configs/detector.py [--workdir DIR]

Real photos against fakes made of them: data → network → loop → best step → calibration → test →
export. Writes `workdir/detector.safetensors` with its card. Run the same command again to continue
an interrupted run; the result is bit for bit that of an uninterrupted one.
"""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from rich.console import Console

from dfd_jax import models
from dfd_jax.data.pairs import EvaluationSet
from dfd_jax.models.frozen import Card, FrozenDetector
from dfd_jax.opponents import detector_data, detector_evaluation, detector_training
from dfd_jax.opponents.attention_losses import AttentionLosses
from dfd_jax.runtime import command_line, processes, provenance, sharding
from dfd_jax.runtime.config import Config
from dfd_jax.training import loop
from dfd_jax.training.metrics_log import MetricsLog

LIMITS = (
    "How it does on fakes of generators that it was not trained on is in the metrics. Knows "
    "aligned, frontal, centred crops only. A verdict on a single photo proves nothing."
)
State = dict[str, Any]  # "state" (DetectorState) and "best" ("auc" and "variables" of a step)


def train(
    config: Config, workdir: pathlib.Path, validation: list[EvaluationSet], console: Console
) -> FrozenDetector | None:
    """Train to the config's last step; the detector of the best step, or None if stopped early.

    "Best" is the highest mean AUC on the validation sets. RuntimeError if the loss is not finite.
    """
    t, mesh = config.train, sharding.make_mesh()
    batches = detector_data.batches(config, mesh, workdir)

    net, losses = new_detector(config), attention_losses(config)
    tx = detector_training.make_optimizer(
        t.learning_rate, t.steps, warmup=t.warmup, clip=t.clip, weight_decay=t.weight_decay
    )
    train_step = detector_training.make_train_step(
        net, tx, smoothing=t.label_smoothing, averaging=t.averaging, training=losses
    )
    first = detector_training.create_state(net, tx, losses)
    best = {"auc": jnp.zeros(()), "variables": jax.tree.map(jnp.copy, first.averaged)}

    def compile_step(state: State, pairs: jax.Array) -> loop.Step[State]:
        compiled = processes.compile_step(train_step, state["state"], pairs)

        def step(state: State, pairs: jax.Array) -> tuple[State, loop.Metrics]:
            new, metrics = compiled(state["state"], pairs)
            return {**state, "state": new}, metrics

        return step

    def validate(step: int, state: State, log: MetricsLog) -> State:
        if step % t.evaluate_every and step != t.steps:
            return state
        best, scores = better(net, state["state"], state["best"], validation)
        log.record(step, {f"valid_{name}": value for name, value in scores.items()})
        console.print(f"step {step}: validation AUC {scores['auc']:.4f}", highlight=False)
        return {**state, "best": sharding.replicate(best, mesh)}

    training = loop.Training(
        state=sharding.replicate({"state": first, "best": best}, mesh),
        iterator=batches,
        next_batch=lambda: sharding.shard_batch(next(batches), mesh)["images"],
        compile_step=compile_step,
        photos_per_step=t.batch_size,
        save_every=t.evaluate_every,
        after_step=validate,
    )
    state = loop.run(training, config, workdir, console)
    return None if state is None else net.with_variables(jax.device_get(state["best"]["variables"]))


def attention_losses(config: Config) -> AttentionLosses | None:
    """The config's `attention_losses`; None if that section is empty."""
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
    validation: list[EvaluationSet],
) -> tuple[dict[str, Any], dict[str, float]]:
    """The better of the best step so far and this one, and the scores of this one."""
    scores = detector_evaluation.selection_score(net.with_variables(state.averaged), validation)
    if scores["auc"] <= float(jax.device_get(best["auc"])):
        return best, scores
    variables = jax.tree.map(jnp.copy, state.averaged)
    return {"auc": jnp.asarray(scores["auc"], jnp.float32), "variables": variables}, scores


def finish(
    config: Config,
    workdir: pathlib.Path,
    net: FrozenDetector,
    validation: list[EvaluationSet],
    console: Console,
) -> None:
    """Calibrate on the validation sets, measure on the test split, export with a card, print."""
    net, shift = detector_evaluation.calibrated(net, validation, config.evaluate.pass_rate)
    dtype = np.dtype(config.export_dtype)
    rounded = jax.tree.map(lambda x: np.asarray(x, dtype).astype(np.float32), net.variables)
    net = net.with_variables(rounded)  # measure what the file will hold

    unseen = {path: detector_data.load_generator(path) for path in config.evaluate.generators}
    tests = {}
    for photos in detector_data.evaluation_sets(config, "test", workdir):
        on_unseen = {
            path: detector_evaluation.evaluate_on_generator(net, generator, photos)
            for path, generator in unseen.items()
        }
        tests[photos.name] = {**detector_evaluation.evaluate(net, photos), "generators": on_unseen}
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
    detector_evaluation.print_metrics(console, config.detector.model, tests)
    console.print(f"wrote {workdir / 'detector.safetensors'}")


def _data(config: Config) -> dict[str, Any]:
    """What the detector was trained on, without this machine's paths."""
    counts = {kind: len(s) for kind, s in detector_data.sources(config, "train").items()}
    data = {
        "reals": counts,
        "source": config.data.kind,
        "families": list(detector_data.families(config)),
        "folders": len(config.fakes.folders),
        "generators": list(config.fakes.generators),
        "train": json.loads(config.train.to_json()),
    }
    if config.attention_losses:
        data["regions"] = json.loads(config.attention_losses.to_json())
    return data


def main() -> None:
    """Train, calibrate, measure, export."""
    config, workdir, console = flags.FLAGS.config, command_line.workdir(), command_line.console()
    validation = detector_data.evaluation_sets(config, "valid", workdir)
    net = train(config, workdir, validation, console)
    processes.disconnect()
    if net is not None and jax.process_index() == 0:
        finish(config, workdir, net, validation, console)


if __name__ == "__main__":
    command_line.run(main, with_config=True, distributed=True)
