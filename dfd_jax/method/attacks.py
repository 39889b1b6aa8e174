"""Baseline attacks: a perturbation found for each photo by gradient ascent (Ruiz et al. 2020).

They disrupt deepfakes as P does, but need a backward pass through the generator for every photo and
step, where P needs a single forward pass. All run the same loop: FGSM, I-FGSM, PGD and MI-FGSM
differ in the start, the number of steps and the momentum.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax import pixels
from dfd_jax.method import channel, objective
from dfd_jax.method.forward import Opponents
from dfd_jax.method.objective import Objective, Seen
from dfd_jax.models import layers

MODES = ("single", "joint", "iterative", "random")


class Attack(NamedTuple):
    """Settings of an attack. Sizes are in 8-bit levels: 6.375 is 0.05 on [-1, 1].

    `conditions` is how several conditions are used: "single": there is only one; "joint": the sum
    over all at each step; "iterative": one per step, in turn; "random": one drawn per photo and
    step.
    """

    eps_255: float = 6.375  # largest change of a pixel
    step_255: float = 1.275
    steps: int = 10
    start_255: float = 6.375  # the start is uniform within this distance of the photo
    momentum: float = 0.0  # weight of the earlier gradients at each step
    fake: float = 0.0  # C2 of Eq. 7; 0: distortion alone, as in the paper of these attacks
    real: float = 0.0  # C3
    form: str = "logit"
    conditions: str = "single"


_JITTER_255 = 0.1275  # at the photo itself G(x + 0) = G(x), and the gradient is exactly zero
ATTACKS = {
    "FGSM": Attack(steps=1, step_255=6.375, start_255=_JITTER_255),  # Goodfellow et al. 2015
    "I-FGSM": Attack(start_255=_JITTER_255),  # Kurakin et al. 2017
    "PGD": Attack(),  # Madry et al. 2018
    "MI-FGSM": Attack(start_255=_JITTER_255, momentum=1.0),  # Dong et al. 2018
}


def named(names: Sequence[str]) -> dict[str, Attack]:
    """Attacks by their names in ATTACKS. ValueError if a name is unknown."""
    unknown = [name for name in names if name not in ATTACKS]
    if unknown:
        raise ValueError(f"unknown attacks {', '.join(unknown)}; there are {', '.join(ATTACKS)}")
    return {name: ATTACKS[name] for name in names}


class Aim(NamedTuple):
    """What to disrupt: one condition per generator, and the references r of their fakes."""

    condition: tuple[Any, ...]
    references: tuple[Float[Array, "_ _ _ 3"], ...]


def attack(
    opponents: Opponents,
    images: Float[Array, "b r r 3"],
    conditions: Sequence[tuple[Any, ...]],
    plan: Attack,
    key: Array,
    *,
    references: tuple[Float[Array, "_ _ _ 3"], ...] | None = None,
    start: Float[Array, "b r r 3"] | None = None,
) -> Float[Array, "b r r 3"]:
    """Perturbations on [-1, 1] that maximise the distance of each photo's fakes from r.

    `images` are on [-1, 1]. With one entry in `opponents.resizes` they are squares at the photos'
    resolution, and the networks get them after the attacker's resize; without, they are the
    networks' inputs. Each of `conditions` has one condition per generator.

    r is G(x, c), or `references`, one per generator. With `opponents.target` the distance to that
    picture is minimised instead. `start` replaces the random start. The result is not rounded to
    whole levels. ValueError for an unknown mode, or conditions that do not fit it.
    """
    _check(opponents, conditions, plan)
    start_key, choice_key = jax.random.split(key)
    aims = _aims(opponents, images, conditions, plan, references)
    deltas = _start(start_key, images.shape, plan) if start is None else start
    direction = jnp.zeros_like(images)
    for step in range(plan.steps):
        chosen = _chosen(aims, plan.conditions, step, choice_key, len(images))
        grads = _summed(opponents, images, deltas, chosen, plan)
        deltas, direction = _ascend(deltas, direction, grads, _sizes(plan))
        deltas = inside(images, deltas)
    return deltas


def universal(
    opponents: Opponents,
    batches: Sequence[tuple[Float[Array, "b r r 3"], Sequence[tuple[Any, ...]]]],
    plan: Attack,
    key: Array,
) -> Float[Array, "1 r r 3"]:
    """One perturbation for all photos (Moosavi-Dezfooli et al. 2017; here by signed steps).

    `batches` are the images and conditions of a training set, as `attack` takes them; they and
    their fakes are kept in memory. Each of `plan.steps` passes takes one step per batch, along the
    sum of its photos' gradients. Add the result with `inside`, or in 8 bits with
    `budget.apply_to_pixels`. ValueError as for `attack`, or without a batch.
    """
    if not batches:
        raise ValueError("a universal perturbation needs at least one batch of photos")
    for _, conditions in batches:
        _check(opponents, conditions, plan)
    start_key, choice_key = jax.random.split(key)
    aims = [_aims(opponents, images, asked, plan, None) for images, asked in batches]
    delta = _start(start_key, (1, *batches[0][0].shape[1:]), plan)
    direction = jnp.zeros_like(delta)
    for step in range(plan.steps * len(batches)):
        turn, i = divmod(step, len(batches))
        images = batches[i][0]
        rng = jax.random.fold_in(choice_key, i)
        chosen = _chosen(aims[i], plan.conditions, turn, rng, len(images))
        grads = _summed(opponents, images, inside(images, delta), chosen, plan)
        delta, direction = _ascend(delta, direction, grads.sum(0, keepdims=True), _sizes(plan))
    return delta


@functools.partial(jax.jit, static_argnames=("terms", "towards"))
def gradient(
    deltas: Float[Array, "b r r 3"],
    opponents: Opponents,
    images: Float[Array, "b r r 3"],
    aim: Aim,
    terms: Objective,
    towards: bool = False,
) -> tuple[Float[Array, "b r r 3"], tuple[Float[Array, "_ _ _ 3"], ...]]:
    """d(-loss)/d(deltas), the direction that decreases Eq. 7, and the fakes; all on [-1, 1]."""

    def loss(deltas: Float[Array, "b r r 3"]) -> tuple[Array, tuple[Array, ...]]:
        protected = _reduced(opponents, images + deltas)
        fakes = _fakes(opponents, protected, aim.condition)
        nothing = jnp.zeros(len(images))
        judges = opponents.detectors
        seen = Seen(
            norms=nothing,
            rms=nothing,
            fakes=fakes,
            references=aim.references,
            fake_logits=tuple(
                tuple(d.real_logits(fake) for d in judges if terms.fake) for fake in fakes
            ),
            real_logits=tuple(d.real_logits(protected) for d in judges if terms.real),
        )
        return objective.total(objective.terms(seen, terms, towards=towards), terms, 0), fakes

    grads, fakes = jax.grad(loss, has_aux=True)(deltas)
    return -grads, fakes


@jax.jit
def inside(
    images: Float[Array, "b r r 3"], deltas: Float[Array, "#b r r 3"]
) -> Float[Array, "b r r 3"]:
    """Perturbations clipped so that no pixel leaves [-1, 1]."""
    return jnp.clip(images + deltas, -1.0, 1.0) - images


class _Sizes(NamedTuple):
    eps: float
    step: float
    momentum: float


@jax.jit
def _ascend(
    deltas: Float[Array, "b r r 3"],
    direction: Float[Array, "b r r 3"],
    grads: Float[Array, "b r r 3"],
    sizes: _Sizes,
) -> tuple[Float[Array, "b r r 3"], Float[Array, "b r r 3"]]:
    """One signed step within the eps ball. Gradients are normalised before they are accumulated,
    so no step outweighs the others; without momentum the norm does not matter.
    """
    mean = jnp.abs(grads).mean((1, 2, 3), keepdims=True)
    scaled = grads / jnp.where(mean > 0, mean, 1.0)
    direction = sizes.momentum * direction + scaled
    moved = deltas + sizes.step * jnp.sign(direction)
    return jnp.clip(moved, -sizes.eps, sizes.eps), direction


def _sizes(plan: Attack) -> _Sizes:
    to_units = pixels.levels_to_units
    return _Sizes(to_units(plan.eps_255), to_units(plan.step_255), plan.momentum)


def _start(rng: Array, shape: tuple[int, ...], plan: Attack) -> Float[Array, "b r r 3"]:
    size = pixels.levels_to_units(plan.start_255)
    return jax.random.uniform(rng, shape, minval=-size, maxval=size)


def _terms(plan: Attack) -> Objective:
    return Objective(distortion=1.0, budget=0.0, fake=plan.fake, real=plan.real, form=plan.form)


def _summed(
    opponents: Opponents,
    images: Float[Array, "b r r 3"],
    deltas: Float[Array, "b r r 3"],
    aims: Sequence[Aim],
    plan: Attack,
) -> Float[Array, "b r r 3"]:
    """The sum of the gradients of several aims, computed one after another to save memory."""
    towards = opponents.target is not None
    total = jnp.zeros_like(images)
    for aim in aims:
        total += gradient(deltas, opponents, images, aim, _terms(plan), towards)[0]
    return total


def _aims(
    opponents: Opponents,
    images: Float[Array, "b r r 3"],
    conditions: Sequence[tuple[Any, ...]],
    plan: Attack,
    references: tuple[Float[Array, "_ _ _ 3"], ...] | None,
) -> list[Aim]:
    return [
        Aim(asked, references or _references(opponents, images, asked, plan))
        for asked in conditions
    ]


def _references(
    opponents: Opponents,
    images: Float[Array, "b r r 3"],
    condition: tuple[Any, ...],
    plan: Attack,
) -> tuple[Float[Array, "_ _ _ 3"], ...]:
    """r: the target at each fake's size, or G(x, c).

    G(x, c) is computed by the same program as the gradients: another program rounds differently,
    and the gradient at the photo itself, which is zero, would become noise with random signs.
    """

    def fakes(images: Array) -> tuple[Array, ...]:
        return _fakes(opponents, _reduced(opponents, images), condition)

    shapes = jax.eval_shape(fakes, images)
    target = opponents.target
    if target is not None:
        sized = [layers.resize_bilinear(target[None], shape.shape[1]) for shape in shapes]
        return tuple(jnp.broadcast_to(t, s.shape) for t, s in zip(sized, shapes, strict=True))
    blank = Aim(condition, tuple(jnp.zeros(s.shape, s.dtype) for s in shapes))
    return gradient(jnp.zeros_like(images), opponents, images, blank, _terms(plan))[1]


def _chosen(aims: list[Aim], mode: str, step: int, key: Array, photos: int) -> list[Aim]:
    """The aims of this step."""
    if mode == "iterative":
        return [aims[step % len(aims)]]
    if mode == "random":
        picked = jax.random.randint(jax.random.fold_in(key, step), (photos,), 0, len(aims))
        return [jax.tree.map(functools.partial(_mixed, picked), *aims)]
    return aims


def _mixed(picked: Array, *choices: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """For each photo, its rows in the array picked for it."""
    rows = picked.repeat(len(choices[0]) // len(picked))  # of each driving frame of the photo
    return jnp.stack(choices)[rows, jnp.arange(len(rows))]


def _fakes(
    opponents: Opponents, protected: Float[Array, "b s s 3"], condition: tuple[Any, ...]
) -> tuple[Float[Array, "_ _ _ 3"], ...]:
    pairs = zip(opponents.generators, condition, strict=True)
    return tuple(generator(protected, asked) for generator, asked in pairs)


def _reduced(opponents: Opponents, images: Float[Array, "b r r 3"]) -> Float[Array, "b s s 3"]:
    """The photos' squares after the attacker's resize."""
    for crop in opponents.resizes:
        images = channel.resize(images.transpose(0, 3, 1, 2), crop.reduce).transpose(0, 2, 3, 1)
    return images


def _check(opponents: Opponents, conditions: Sequence[tuple[Any, ...]], plan: Attack) -> None:
    if plan.conditions not in MODES:
        raise ValueError(f"conditions is {plan.conditions!r}, expected one of {', '.join(MODES)}")
    if not conditions or (plan.conditions == "single" and len(conditions) > 1):
        wanted = "one" if plan.conditions == "single" else "at least one"
        raise ValueError(
            f"{len(conditions)} conditions for a {plan.conditions!r} attack, expected {wanted}; "
            "joint, iterative and random attacks take several"
        )
    if len(opponents.resizes) > 1:
        raise ValueError(f"found {len(opponents.resizes)} crop sizes, expected at most one")
