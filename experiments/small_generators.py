"""Fit the small generators of the zoo: python -m experiments.small_generators NAME --workdir W

NAME is ganimation or fomm. They learn from drawn faces, each with several expressions (ganimation)
or in several poses (fomm): one picture goes in, another is what should come out. No photograph is
involved and no discriminator: the pictures are small and soft. They exist to be defended against,
so that a disrupter can be trained and measured without a download.

Writes W/NAME.safetensors with its card every few hundred steps, and W/NAME.png to look at. Started
again, it continues from that file with a fresh optimizer.
"""

import argparse
import dataclasses
import multiprocessing
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.progress import track

from dfd_jax import models, optimizer, picture, pixels, provenance
from dfd_jax.data import expressions, synthetic
from dfd_jax.models import layers, warp
from dfd_jax.models.frozen import Card
from dfd_jax.models.generators.fomm import motion
from dfd_jax.models.generators.ganimation import compose

SIZE = 64
FACES = 1500  # drawn people
PICTURES = 4  # of each
HELD_OUT = 32  # drawn people to measure on
MOMENT = ("smile", "mouth_open", "eye_openness", "brow_raise", "gaze_x", "gaze_y")
POSE = ("yaw", "pitch", "roll")
PURPOSE = (
    "to be defended against: it ships so that a disrupter can be trained and measured. Not for "
    "making pictures of people"
)
LIMITS = "small, soft, and trained on drawn faces only: on photographs it does much worse"

Arrays = dict[str, Any]


class Recipe(NamedTuple):
    """What is particular to one generator."""

    card: Card
    draw: Callable[[int], Arrays]  # a person's pictures, and what is known of each
    loss: Callable[..., Any]  # (net, variables, batch, rng) → (loss, (new variables, fakes))
    fakes: Callable[..., Any]  # (net, batch) → fakes in [-1, 1] that should be the targets


# ------------------------------------------------------------------------------- drawn people


def draw_expressions(seed: int) -> Arrays:
    """One person with several expressions, and the action units of each."""
    rng = np.random.default_rng([2, seed])
    face, vectors = synthetic.sample_parameters(rng), expressions.expression_vectors()
    units = vectors[rng.integers(len(vectors), size=PICTURES)]
    shown = [synthetic.render(synthetic.apply_action_units(face, u), SIZE) for u in units]
    return {"images": np.stack(shown), "units": units}


def draw_poses(seed: int) -> Arrays:
    """One person with several expressions in several poses."""
    rng = np.random.default_rng([3, seed])
    face, shown = synthetic.sample_parameters(rng), []
    for _ in range(PICTURES):
        other = synthetic.sample_parameters(rng)
        changes = {name: getattr(other, name) for name in MOMENT + POSE}
        shown.append(synthetic.render(dataclasses.replace(face, **changes), SIZE))
    return {"images": np.stack(shown)}


def people(recipe: Recipe, path: pathlib.Path) -> Arrays:
    """All drawn people [FACES, PICTURES, ...]; drawn once, then read from the file."""
    if not path.exists():
        with multiprocessing.Pool() as pool:
            drawn = pool.imap(recipe.draw, range(FACES), chunksize=8)
            found = list(track(drawn, "drawing people", total=FACES))
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: Arrays = {name: np.stack([f[name] for f in found]) for name in found[0]}
        np.savez(path, allow_pickle=False, **arrays)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def batch_of(drawn: Arrays, rng: np.random.Generator, size: int) -> Arrays:
    """Pictures to start from ("source"), those to arrive at ("target"), and the latter's units."""
    who = rng.integers(len(drawn["images"]), size=size)
    order = np.argsort(rng.random((size, PICTURES)), axis=1)
    if "units" not in drawn:  # poses: some pictures stay as they are, which teaches sharpness
        order[: size // 3, 1] = order[: size // 3, 0]
    batch = {
        "source": drawn["images"][who, order[:, 0]],
        "target": drawn["images"][who, order[:, 1]],
    }
    if "units" in drawn:
        batch["units"] = drawn["units"][who, order[:, 1]]
    return batch


# -------------------------------------------------------------------------------------- losses


def ganimation_loss(net: Any, variables: Any, batch: Arrays, rng: jax.Array) -> Any:
    """The fake should be the other picture, above all where the two differ; the rest is copied."""
    source, target = (pixels.from_uint8(batch[name]) for name in ("source", "target"))
    colour, attention = net.apply(variables, source, batch["units"])
    fakes = compose(source, colour, attention)
    differs = jnp.minimum(jnp.abs(target - source).sum(-1, keepdims=True), 1.0)
    off = (differs * jnp.abs(fakes - target)).sum() / (differs.sum() + 1.0)
    loss = _pyramid_l1(fakes, target) + off + 0.005 * (1 - attention).mean()
    return loss, (variables, fakes)


def fomm_loss(net: Any, variables: Any, batch: Arrays, rng: jax.Array) -> Any:
    """The source should become the target, and keypoints should move as a picture is moved.

    The latter are the equivariance terms of Siarohin et al. 2019 (Eq. 10 to 12), with affine maps.
    """
    source, target = (pixels.from_uint8(batch[name]) / 2 + 0.5 for name in ("source", "target"))
    matrix, shift = _affine(rng, len(target))
    moved = _sampled(target, matrix, shift)

    def forward(module: Any) -> Any:
        found = module.keypoints(jnp.concatenate([source, target, moved]))
        start, end, after = (
            jax.tree.map(lambda a, i=i: jnp.split(a, 3)[i], found) for i in range(3)
        )
        fakes = module.decode(module.encode(source), module.flow(source, start, end))
        return fakes, end, after

    with nn.intercept_methods(_on_batch_statistics):
        (fakes, end, after), changed = nn.apply(forward, net.module, mutable=["batch_stats"])(
            variables
        )
    back = jnp.einsum("bij,bkj->bki", matrix, after.value) + shift[:, None]
    bent = motion.matmul_2x2(motion.inverse_2x2(end.jacobian), matrix[:, None])
    bent = motion.matmul_2x2(bent, after.jacobian)
    loss = (
        _pyramid_l1(2 * fakes - 1, 2 * target - 1)
        + 0.5 * jnp.abs(end.value - back).mean()
        + 0.1 * jnp.abs(bent - jnp.eye(2)).mean()
    )
    return loss, ({**variables, **changed}, 2 * fakes - 1)


def _on_batch_statistics(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """The networks are written for frozen weights; here their batch norms must train."""
    if isinstance(context.module, layers.BatchNorm) and context.method_name == "__call__":
        return call(args[0], True)
    return call(*args, **kwargs)


def _pyramid_l1(fakes: jax.Array, wanted: jax.Array) -> jax.Array:
    """Mean absolute difference at four scales, of the pictures and of their edges."""
    total = jnp.zeros(())
    for _ in range(4):
        difference = fakes - wanted
        total += jnp.abs(difference).mean()
        total += jnp.abs(jnp.diff(difference, axis=1)).mean()
        total += jnp.abs(jnp.diff(difference, axis=2)).mean()
        b, h, w, c = fakes.shape
        halved = (b, h // 2, 2, w // 2, 2, c)
        fakes, wanted = (x.reshape(halved).mean((2, 4)) for x in (fakes, wanted))
    return total


def _affine(rng: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Random turns, scalings and shifts of the plane: matrices [b 2 2] and vectors [b 2]."""
    turn, scale, shift = jax.random.split(rng, 3)
    angle = jax.random.uniform(turn, (count,), minval=-0.5, maxval=0.5)
    factor = jax.random.uniform(scale, (count,), minval=0.8, maxval=1.2)
    cos, sin = factor * jnp.cos(angle), factor * jnp.sin(angle)
    matrix = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)
    return matrix, jax.random.uniform(shift, (count, 2), minval=-0.2, maxval=0.2)


def _sampled(pictures: jax.Array, matrix: jax.Array, shift: jax.Array) -> jax.Array:
    """Pictures looked up at `matrix` x + `shift`; beyond the border its last pixels go on."""
    grid = jnp.asarray(warp.identity_grid(*pictures.shape[1:3]), jnp.float32)
    places = jnp.einsum("bij,hwj->bhwi", matrix, grid) + shift[:, None, None]
    return warp.grid_sample(pictures, jnp.clip(places, -1, 1), align_corners=True)


# ------------------------------------------------------------------------- what comes of it


def ganimation_fakes(net: Any, batch: Arrays) -> jax.Array:
    """The sources with the targets' action units."""
    return net(pixels.from_uint8(batch["source"]), batch["units"])


def fomm_fakes(net: Any, batch: Arrays) -> jax.Array:
    """The sources moved to the targets' keypoints."""
    source, target = (pixels.from_uint8(batch[name]) / 2 + 0.5 for name in ("source", "target"))
    driving = net.apply(net.variables, target, method="keypoints")
    return 2 * net.apply(net.variables, source, driving) - 1


def measure(net: Any, recipe: Recipe) -> dict[str, Any]:
    """How far fakes are from what they should be, on people that training has not seen.

    Mean absolute differences in 8-bit levels over the pixels in which source and target differ (by
    more than 24 levels, all channels together): of the fakes, and of a generator that does nothing.
    """
    drawn = [recipe.draw(FACES + i) for i in range(HELD_OUT)]
    arrays = {name: np.stack([person[name] for person in drawn]) for name in drawn[0]}
    batch = {"source": arrays["images"][:, 0], "target": arrays["images"][:, 1]}
    if "units" in arrays:
        batch["units"] = arrays["units"][:, 1]
    fakes = np.asarray(pixels.to_uint8(jax.jit(recipe.fakes)(net, batch))).astype(np.float64)
    source, target = (batch[name].astype(np.float64) for name in ("source", "target"))
    differs = np.abs(target - source).sum(-1) > 24
    return {
        "people": HELD_OUT,
        "fake_to_target_255": round(float(np.abs(fakes - target)[differs].mean()), 2),
        "source_to_target_255": round(float(np.abs(source - target)[differs].mean()), 2),
    }


# ------------------------------------------------------------------------------------ training


RECIPES = {
    "ganimation": Recipe(
        Card(
            "ganimation",
            {"conv_dim": 24, "c_dim": len(expressions.ACTION_UNITS), "blocks": 4},
            SIZE,
            condition=expressions.ACTION_UNITS,
        ),
        draw_expressions,
        ganimation_loss,
        ganimation_fakes,
    ),
    "fomm": Recipe(
        Card(
            "fomm",
            {
                "kp_block_expansion": 16,
                "kp_num_blocks": 3,
                "kp_max_features": 128,
                "kp_scale_factor": 0.5,
                "block_expansion": 24,
                "max_features": 48,
                "num_down_blocks": 1,  # of 64 pixels, a quarter would keep too little
                "num_bottleneck_blocks": 3,
                "motion_block_expansion": 16,
                "motion_num_blocks": 3,
                "motion_max_features": 128,
                "motion_scale_factor": 0.5,
            },
            SIZE,
            input_mean=(0.0, 0.0, 0.0),
            input_std=(1.0, 1.0, 1.0),
        ),
        draw_poses,
        fomm_loss,
        fomm_fakes,
    ),
}


class State(NamedTuple):
    """What training changes. The averaged variables are what is shipped."""

    variables: Any
    averaged: Any
    opt_state: Any


def make_step(net: Any, recipe: Recipe, tx: optax.GradientTransformation) -> Callable[..., Any]:
    """`step(state, batch, rng) → (state, loss, fakes)`."""

    def step(state: State, batch: Arrays, rng: jax.Array) -> tuple[State, jax.Array, jax.Array]:
        def loss(params: Any) -> Any:
            return recipe.loss(net, {**state.variables, "params": params}, batch, rng)

        params = state.variables["params"]
        (value, (variables, fakes)), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = tx.update(grads, state.opt_state, params)
        variables = {**variables, "params": optax.apply_updates(params, updates)}
        averaged = jax.tree.map(lambda a, v: 0.995 * a + 0.005 * v, state.averaged, variables)
        return State(variables, averaged, opt_state), value, fakes

    return jax.jit(step, donate_argnums=0)


def export(path: pathlib.Path, recipe: Recipe, state: State, step: int, loss: float) -> None:
    """Write the averaged weights, half precision, with their card."""
    info = {
        "trained_on": f"{FACES} drawn people, {PICTURES} pictures each (data/synthetic)",
        "command": provenance.command("experiments.small_generators"),
        "commit": provenance.commit(),
        "steps": step,
        "loss": round(loss, 4),
        "purpose": PURPOSE,
        "limits": LIMITS,
    }
    card = dataclasses.replace(recipe.card, info=info)
    models.save(path, jax.device_get(state.averaged), card, np.float16)


def train(name: str, workdir: pathlib.Path, steps: int, batch_size: int, console: Console) -> None:
    """Train to the last step."""
    recipe, path = RECIPES[name], workdir / f"{name}.safetensors"
    drawn = people(recipe, workdir / f"{name}_people.npz")
    net: Any = models.load(path) if path.exists() else models.build(recipe.card, seed=0)
    tx = optimizer.make_optimizer(1e-3, steps, warmup=100, clip=1.0)
    variables = jax.tree.map(jnp.array, net.variables)
    state = State(variables, jax.tree.map(jnp.copy, variables), tx.init(variables["params"]))
    step = make_step(net, recipe, tx)
    rng, key, recent = np.random.default_rng(0), jax.random.key(0), []
    for index in track(range(1, steps + 1), f"training {name}", console=console):
        batch = batch_of(drawn, rng, batch_size)
        state, loss, fakes = step(state, batch, jax.random.fold_in(key, index))
        recent.append(float(loss))
        if index % 250 == 0 or index == steps:
            mean = float(np.mean(recent[-250:]))
            console.print(f"step {index}: loss {mean:.4f}", highlight=False)
            export(path, recipe, state, index, mean)
            shown = {**batch, "fake": np.asarray(pixels.to_uint8(fakes))}
            columns = ("source", "target", "fake")
            panels = [{c: np.asarray(shown[c][i]) for c in columns} for i in range(6)]
            picture.save_grid(workdir / f"{name}.png", panels)


def publish(name: str, workdir: pathlib.Path) -> None:
    """Copy the network to the zoo, with what it reaches on its card."""
    net: Any = models.load(workdir / f"{name}.safetensors")
    figures = measure(net, RECIPES[name])
    card = dataclasses.replace(net.card, info={**net.card.info, "test": figures})
    models.save(models.ZOO / f"{name}.safetensors", net.variables, card, np.float16)
    print(f"published {name}: {figures}")


def main() -> None:
    """Train one generator."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.small_generators", description=__doc__
    )
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--workdir", type=pathlib.Path, default=pathlib.Path("runs/generators"))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--publish", action="store_true", help="no training: copy it to the zoo")
    arguments = parser.parse_args()
    if arguments.publish:
        publish(arguments.name, arguments.workdir)
        return
    train(arguments.name, arguments.workdir, arguments.steps, arguments.batch, Console())


if __name__ == "__main__":
    main()
