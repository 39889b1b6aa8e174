"""Train a generator: python -m dfd_jax.train_generator --config configs/generator_stargan.py

Generators exist here to be defended against: without published weights, train a small one and P
against it. Photos → networks → loop with sample sheets → measure → export. Run the same command
again to continue an interrupted run; the result is bit for bit that of an uninterrupted one. With
--export it trains no further: it measures and exports the last checkpoint.
"""

import dataclasses
import json
import pathlib
import types
from typing import Any

import jax
import numpy as np
from absl import flags
from rich.console import Console

from dfd_jax import models
from dfd_jax.data import images
from dfd_jax.evaluation.report import picture_grid
from dfd_jax.models.frozen import FrozenGenerator, Network
from dfd_jax.opponents import fomm_training, generator_data, generator_evaluation, wgan
from dfd_jax.opponents.generator_data import HeldOut
from dfd_jax.runtime import command_line, processes, provenance, sharding
from dfd_jax.runtime.config import Config
from dfd_jax.training import loop
from dfd_jax.training.metrics_log import MetricsLog, write_image

PURPOSE = (
    "to be defended against: it ships so that a disrupter can be trained and measured. Not for "
    "making pictures of people"
)
LIMITS = (
    "Small and briefly trained; knows aligned, frontal, centred crops only. How it resists or "
    "gives in to a perturbation says nothing about other weights of the same architecture."
)
METHODS = {"stargan": wgan, "ganimation": wgan, "fomm": fomm_training}
SHEET_PHOTOS, SHEET_CONDITIONS = 6, 5
SHEET_PAIRS = 10


def train(
    config: Config,
    workdir: pathlib.Path,
    held: HeldOut,
    console: Console,
    export_only: bool = False,
) -> FrozenGenerator | None:
    """Train to the config's last step; the averaged generator, or None if a signal stopped it.

    With `export_only`, the generator of the last checkpoint. The critic is written to the workdir.
    RuntimeError if the loss is not finite; FileNotFoundError if there is no checkpoint to export.
    """
    method = method_of(config.generator.model)
    setting = method.new_training(config)
    training = _training(config, workdir, setting, held)
    run = loop.restore if export_only else loop.run
    state = run(training, config, workdir, console)
    if state is None:
        return None
    updates = int(jax.device_get(state.step))
    if isinstance(setting, wgan.GanTraining) and setting.has_critic:
        _save_critic(config, workdir, wgan.critic_net(setting, state), updates)
    net = _on_host(method.averaged_net(setting, state))
    return dataclasses.replace(net, card=dataclasses.replace(net.card, info={"updates": updates}))


def _training(
    config: Config, workdir: pathlib.Path, setting: Any, held: HeldOut
) -> loop.Training[Any]:
    """What the loop needs; `setting` is from the method's `new_training`."""
    t, mesh = config.train, sharding.make_mesh()
    batches = generator_data.batches(config, mesh, workdir)
    method = method_of(config.generator.model)
    train_step = method.make_train_step(setting)
    state, key = sharding.replicate(
        (method.create_state(setting), jax.random.key(config.seed)), mesh
    )

    def compile_step(state: Any, batches: list[Any]) -> loop.Step[Any]:
        compiled = train_step.compiled(state, batches, key)
        return lambda state, batches: compiled(state, batches, key)

    def show_samples(step: int, state: Any, log: MetricsLog) -> Any:
        if t.samples_every and step % t.samples_every == 0:
            _show(config, workdir, step, method.averaged_net(setting, state), held)
        return state

    return loop.Training(
        state=state,
        iterator=batches,
        next_batch=lambda: [
            sharding.shard_batch(next(batches), mesh) for _ in range(setting.batches_per_step)
        ],
        compile_step=compile_step,
        photos_per_step=t.batch_size * setting.batches_per_step,
        save_every=t.checkpoint_every,
        after_step=show_samples,
    )


def method_of(model: str) -> types.ModuleType:
    """The module that trains this model. ValueError if there is none.

    It has `new_training(config)`, `create_state(training)`, `make_train_step(training)` and
    `averaged_net(training, state)`.
    """
    if model not in METHODS:
        raise ValueError(
            f"config.generator.model is {model!r}; expected one of {', '.join(METHODS)}"
        )
    return METHODS[model]


def finish(
    config: Config, workdir: pathlib.Path, net: FrozenGenerator, held: HeldOut, console: Console
) -> None:
    """Measure on held-out photos, export with a card, show."""
    dtype = np.dtype(config.export_dtype)
    rounded = jax.tree.map(lambda x: np.asarray(x, dtype).astype(np.float32), net.variables)
    net = net.with_variables(rounded)
    figures = generator_data.measure(config, net, held)  # of what the file will hold
    evaluation = generator_evaluation.evaluate(config, net, held) if config.data.people else {}
    info = {
        **net.card.info,
        **_started_from(config.generator.start),
        "trained_on": generator_data.description(config),
        "objective": json.loads(config.objective.to_json()),
        "train": json.loads(config.train.to_json()),
        "command": provenance.command("dfd_jax.train_generator").replace(" --export", ""),
        "commit": provenance.commit(),
        "test": figures,
        **({"evaluation": evaluation} if evaluation else {}),
        "purpose": PURPOSE,
        "limits": LIMITS,
    }
    card = dataclasses.replace(net.card, info=info)
    path = workdir / "generator.safetensors"
    models.save(path, net.variables, card, dtype)
    picture_grid.save_grid(workdir / "samples.png", _sheet(net, held))
    console.print_json(json.dumps({**figures, **evaluation}))
    console.print(f"wrote {path} and samples.png", highlight=False)


def _started_from(path: str) -> dict[str, Any]:
    """How the weights that this training started from were made, for the card."""
    if not path:
        return {}
    info = models.load(path).card.info
    shown = ("command", "updates", "trained_on", "started_from")
    return {"started_from": {name: info[name] for name in shown if name in info}}


def _save_critic(config: Config, workdir: pathlib.Path, critic: Network, step: int) -> None:
    """Write the critic, from which another training can start (--config.critic.start)."""
    if jax.process_index():
        return
    info = {"purpose": "to continue training its generator", "updates_of_generator": step}
    card = dataclasses.replace(critic.card, info=info)
    variables = jax.device_get(critic.variables)
    models.save(workdir / "critic.safetensors", variables, card, np.dtype(config.export_dtype))


def _on_host(net: FrozenGenerator) -> FrozenGenerator:
    return net.with_variables(jax.device_get(net.variables))


def _show(
    config: Config, workdir: pathlib.Path, step: int, net: FrozenGenerator, held: HeldOut
) -> None:
    """Write a sheet of samples, as a file and for TensorBoard."""
    if jax.process_index():
        return
    net = _on_host(net)
    path = workdir / "samples" / f"{step:06d}.png"
    path.parent.mkdir(exist_ok=True)
    picture_grid.save_grid(path, _sheet(net, held))
    write_image(workdir, step, "samples", images.read_rgb(path))
    if config.data.people:
        picture_grid.save_grid(path.with_name(f"{step:06d}_drawn.png"), _drawn_sheet(config, net))


def _drawn_sheet(config: Config, net: FrozenGenerator) -> list[dict[str, np.ndarray]]:
    """One row for each pair of held-out drawn people: the picture, its target and the fake."""
    pairs = generator_data.held_out_pairs(config, SHEET_PAIRS)
    columns = generator_data.fakes_of_pairs(net, pairs)
    return [{"x": x, "target": y, "G": fake} for x, y, fake in zip(*columns, strict=True)]


def _sheet(net: FrozenGenerator, held: HeldOut) -> list[dict[str, np.ndarray]]:
    """One row for each held-out photo: the photo and its fakes under a few conditions."""
    net, shown = generator_data.with_clips(net, held), held.first(SHEET_PHOTOS)
    fakes = generator_data.fakes_of_each(net, shown, net.test_conditions[:SHEET_CONDITIONS])
    return [
        {"x": photo, **{name.replace("_", " "): made[i] for name, made in fakes.items()}}
        for i, photo in enumerate(shown.photos)
    ]


def main() -> None:
    """Train, measure, export."""
    config, workdir, console = flags.FLAGS.config, command_line.workdir(), command_line.console()
    held = generator_data.held_out(config, workdir)
    net = train(config, workdir, held, console, export_only=flags.FLAGS.export)
    processes.disconnect()
    if net is not None and jax.process_index() == 0:
        finish(config, workdir, net, held, console)


if __name__ == "__main__":
    flags.DEFINE_bool("export", False, "Do not train: measure and export the last checkpoint.")
    command_line.run(main, with_config=True, distributed=True)
