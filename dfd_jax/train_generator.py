"""Train a generator: python -m dfd_jax.train_generator --config configs/generator_stargan.py

Generators exist here to be defended against: who has no weights makes a small one to train P on.
Photos → generator and critic → steps, with sheets of samples → measure → export with a card. Run
the same command again to continue an interrupted run: the result is bit for bit that of a run that
was never interrupted. With --export, what it has learned so far is measured and exported.
"""

import dataclasses
import json
import pathlib
import types
from typing import Any

import jax
import numpy as np
from absl import flags
from jax.sharding import Mesh
from rich.console import Console

from dfd_jax import (
    assembly,
    cli,
    generator_data,
    generator_exam,
    models,
    picture,
    processes,
    provenance,
    reenactment,
    sharding,
    wgan,
)
from dfd_jax.checkpoint import Checkpoints
from dfd_jax.config import Config
from dfd_jax.data import images
from dfd_jax.generator_data import Held
from dfd_jax.models.frozen import FrozenGenerator, FrozenNetwork
from dfd_jax.progress import StepProgress, stop_on_signals
from dfd_jax.writer import MetricsLog, write_image

PURPOSE = (
    "to be defended against: it ships so that a disrupter can be trained and measured. Not for "
    "making pictures of people"
)
LIMITS = (
    "Small and briefly trained; knows aligned, frontal, centred crops only. How it resists or "
    "gives in to a perturbation says nothing about other weights of the same architecture."
)
METHODS = {"stargan": wgan, "ganimation": wgan, "fomm": reenactment}
SHEET_PHOTOS, SHEET_CONDITIONS = 6, 5
SHEET_PAIRS = 10


def train(
    config: Config, workdir: pathlib.Path, held: Held, console: Console, further: bool = True
) -> FrozenGenerator | None:
    """Train to the config's last step; the averaged generator, or None if a signal stopped it.
    Not `further`: what the last checkpoint holds. A critic is written beside it.

    RuntimeError if the loss is no longer finite.
    """
    assembly.settle_config(config, workdir)
    t, mesh = config.train, sharding.make_mesh()
    batches = generator_data.batches(config, mesh, workdir)

    method = method_of(config.generator.model)
    training = method.new_training(config)
    train_step = method.make_train_step(training)
    key = sharding.replicate(jax.random.key(config.seed), mesh)
    state = sharding.replicate(method.create_state(training), mesh)

    checkpoints, depends_on = Checkpoints(workdir / "checkpoints", t.keep), {}
    if checkpoints.latest_step() is not None:
        state = checkpoints.restore(state, batches, depends_on)
    elif not further:
        raise ValueError(
            f"{workdir} has no checkpoint yet, so there is nothing to export; "
            "train without --export first, or wait for its first checkpoint"
        )
    step = int(jax.device_get(state.step))
    if step:
        console.print(f"continuing from step {step} of {workdir}")

    def save() -> None:
        log.check()
        checkpoints.save(step, state, batches, depends_on)

    photos = t.batch_size * training.batches_per_step
    with (
        stop_on_signals() as stop,
        StepProgress(console, config.name, t.steps, step, photos) as progress,
        MetricsLog(workdir, progress, step, t.log_every) as log,
    ):
        while further and step < t.steps and not processes.agreed(bool(stop), step):
            of_step = _next_batches(batches, training.batches_per_step, mesh)
            with jax.transfer_guard("disallow"):
                state, metrics = train_step(state, of_step, key)
            step += 1
            log.add(step, metrics)
            if t.samples_every and step % t.samples_every == 0:
                _show(config, workdir, step, method.averaged_net(training, state), held)
            if step % t.checkpoint_every == 0 or step == t.steps:
                save()
        if further:
            save()
    checkpoints.close()
    batches.close()
    if method is wgan:
        _save_critic(config, workdir, wgan.critic_net(training, state), step)
    if further and step < t.steps:
        console.print(f"{stop}: stopped after step {step}; the same command continues there")
        return None
    net = _on_host(method.averaged_net(training, state))
    return dataclasses.replace(net, card=dataclasses.replace(net.card, info={"updates": step}))


def method_of(model: str) -> types.ModuleType:
    """How a generator of this kind is trained. ValueError if nobody knows.

    The module has `new_training(config)`, `create_state(training)`, `make_train_step(training)` and
    `averaged_net(training, state)`.
    """
    if model not in METHODS:
        raise ValueError(
            f"config.generator.model is {model!r}; expected one of {', '.join(METHODS)}"
        )
    return METHODS[model]


def finish(
    config: Config, workdir: pathlib.Path, net: FrozenGenerator, held: Held, console: Console
) -> None:
    """Measure on held-out photos, export with a card, show."""
    dtype = np.dtype(config.export_dtype)
    rounded = jax.tree.map(lambda x: np.asarray(x, dtype).astype(np.float32), net.variables)
    net = net.with_variables(rounded)
    figures = generator_data.measure(config, net, held)  # of what the file will hold
    is_paired = config.data.get("people", 0)
    exam = generator_exam.examine(config, net, held) if is_paired else {}
    info = {
        **net.card.info,
        **_started_from(config.generator.start),
        "trained_on": generator_data.description(config),
        "objective": json.loads(config.objective.to_json()),
        "train": json.loads(config.train.to_json()),
        "command": provenance.command("dfd_jax.train_generator").replace(" --export", ""),
        "commit": provenance.commit(),
        "test": figures,
        **({"exam": exam} if exam else {}),
        "purpose": PURPOSE,
        "limits": LIMITS,
    }
    card = dataclasses.replace(net.card, info=info)
    path = workdir / "generator.safetensors"
    models.save(path, net.variables, card, dtype)
    picture.save_grid(workdir / "samples.png", _sheet(config, net, held))
    console.print_json(json.dumps({**figures, **exam}))
    console.print(f"wrote {path} and samples.png", highlight=False)


def _started_from(path: str) -> dict[str, Any]:
    """How the file was trained that this training went on from."""
    if not path:
        return {}
    info = models.load(path).card.info
    told = ("command", "updates", "trained_on", "started_from")
    return {"started_from": {name: info[name] for name in told if name in info}}


def _save_critic(config: Config, workdir: pathlib.Path, critic: FrozenNetwork, step: int) -> None:
    """What another training can start from: --config.critic.start."""
    if jax.process_index():
        return
    info = {"purpose": "to go on training its generator", "updates_of_generator": step}
    card = dataclasses.replace(critic.card, info=info)
    variables = jax.device_get(critic.variables)
    models.save(workdir / "critic.safetensors", variables, card, np.dtype(config.export_dtype))


def _next_batches(batches: Any, count: int, mesh: Mesh) -> list[dict[str, jax.Array]]:
    return [sharding.shard_batch(next(batches), mesh) for _ in range(count)]


def _on_host(net: FrozenGenerator) -> FrozenGenerator:
    return net.with_variables(jax.device_get(net.variables))


def _show(
    config: Config, workdir: pathlib.Path, step: int, net: FrozenGenerator, held: Held
) -> None:
    """A sheet of samples, as a file and for TensorBoard."""
    if jax.process_index():
        return
    path = workdir / "samples" / f"{step:06d}.png"
    path.parent.mkdir(exist_ok=True)
    picture.save_grid(path, _sheet(config, _on_host(net), held))
    write_image(workdir, step, "samples", images.read_rgb(path))
    if config.data.get("people", 0):
        picture.save_grid(path.with_name(f"{step:06d}_drawn.png"), _truths(config, _on_host(net)))


def _truths(config: Config, net: FrozenGenerator) -> list[dict[str, np.ndarray]]:
    """One row per pair of a drawn person: the picture, what it should become, and what it does."""
    pairs = generator_data.held_pairs(config, SHEET_PAIRS)
    made = generator_data.of_pairs(net, pairs)
    return [{"x": x, "asked": truth, "G": fake} for x, truth, fake in zip(*made, strict=True)]


def _sheet(config: Config, net: FrozenGenerator, held: Held) -> list[dict[str, np.ndarray]]:
    """One row per held-out photo: the photo, and its fakes under a few conditions."""
    net, shown = generator_data.ready(config, net), held.first(SHEET_PHOTOS)
    fakes = generator_data.fakes_of_each(net, shown, net.test_conditions[:SHEET_CONDITIONS])
    return [
        {"x": photo, **{name.replace("_", " "): made[i] for name, made in fakes.items()}}
        for i, photo in enumerate(shown.photos)
    ]


def main() -> None:
    """Train, measure, export."""
    config, workdir, console = flags.FLAGS.config, cli.workdir(), cli.console()
    held = generator_data.held_out(config, workdir)
    net = train(config, workdir, held, console, further=not flags.FLAGS.export)
    processes.part()
    if net is not None and jax.process_index() == 0:
        finish(config, workdir, net, held, console)


if __name__ == "__main__":
    flags.DEFINE_bool("export", False, "Train no further: export what the last checkpoint holds.")
    cli.run(main, with_config=True, distributed=True)
