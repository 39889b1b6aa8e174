"""The jitted functions: one training step, one evaluation step. Data and weights are arguments."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, UInt8

from dfd_jax import pixels
from dfd_jax.method import forward, metrics, objective
from dfd_jax.method.budget import Budget
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator, Perturber
from dfd_jax.runtime import sharding
from dfd_jax.training.state import TrainState, with_params

Batch = dict[str, Array]
TrainStep = Callable[
    [TrainState, forward.Opponents, Batch, Array], tuple[TrainState, dict[str, Array]]
]


def make_train_step(
    perturber: Perturber,
    tx: optax.GradientTransformation,
    budget: Budget,
    terms: objective.Objective,
    label_names: tuple[str, ...],
    targets: tuple[str, ...] = ("random",),
    mesh: Mesh | None = None,
) -> TrainStep:
    """One step of Eq. 7: `step(state, opponents, batch, key) → (state, metrics)`.

    `batch` holds `images` (uint8) and `attributes`, the labels named `label_names`. `targets` are
    the target conditions of the generators, one for all or one each (see
    `FrozenGenerator.sample_condition`). Randomness comes from `key` and the step number alone.

    With a `mesh` (sharding.py) each device works on its part of the batch, and P's gradients and
    the metrics are averaged once, in float32 whatever the networks compute in.
    """

    def gradients(*arguments: Any) -> tuple[Any, dict[str, Array]]:
        loss = functools.partial(_loss, perturber, budget, terms)
        (_, logged), grads = jax.value_and_grad(loss, has_aux=True)(*arguments)
        return grads, logged

    of_batch = gradients if mesh is None else _averaged(gradients, mesh)

    def step(
        state: TrainState, opponents: forward.Opponents, batch: Batch, key: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        rng = jax.random.fold_in(key, state.step)
        condition_rng, channel_rng = jax.random.split(rng)
        conditions = _conditions(
            opponents.generators, condition_rng, batch["attributes"], label_names, targets
        )
        grads, logged = of_batch(
            state.params, state.step, opponents, batch["images"], conditions, channel_rng
        )
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        logged["gradient_norm"] = optax.tree.norm(grads)
        return TrainState(step=state.step + 1, params=params, opt_state=opt_state), logged

    return jax.jit(step, donate_argnums=0, compiler_options=sharding.compiler_options(mesh))


def _loss(
    perturber: Perturber,
    budget: Budget,
    terms: objective.Objective,
    params: Any,
    step: Array,
    opponents: forward.Opponents,
    images: UInt8[Array, "b s s 3"],
    conditions: tuple[Any, ...],
    rng: Array,
) -> tuple[Array, dict[str, Array]]:
    """Eq. 7 for P with these parameters, and what is logged of it."""
    p, photos = with_params(perturber, params), pixels.from_uint8(images)
    seen = forward.forward(p, opponents, photos, conditions, budget, terms.norm, rng)
    named = objective.terms(seen, terms, towards=opponents.target is not None)
    value = objective.total(named, terms, step)
    return value, {"loss": value, **named, **_rates(seen)}


def _averaged(gradients: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """The mean over devices of the `gradients` of each device's part of the batch."""
    everywhere, split = PartitionSpec(), PartitionSpec("data")
    return jax.shard_map(
        lambda *arguments: jax.lax.pmean(gradients(*arguments), "data"),
        mesh=mesh,
        in_specs=(everywhere, everywhere, everywhere, split, split, everywhere),
        out_specs=everywhere,
        check_vma=False,  # else JAX sums the gradients before they become float32
    )


def _conditions(
    generators: tuple[FrozenGenerator, ...],
    rng: Array,
    attributes: Float[Array, "b a"],
    label_names: tuple[str, ...],
    targets: tuple[str, ...],
) -> tuple[Any, ...]:
    """The condition of each generator, from the labels that it needs."""
    targets = targets * len(generators) if len(targets) == 1 else targets
    return tuple(
        generator.sample_condition(
            jax.random.fold_in(rng, i), pick_labels(generator, attributes, label_names), target
        )
        for i, (generator, target) in enumerate(zip(generators, targets, strict=True))
    )


def pick_labels(generator: FrozenGenerator, attributes: Any, label_names: tuple[str, ...]) -> Any:
    """The columns of `attributes` [b a], named `label_names`, that a generator's conditions need.

    Works on NumPy and JAX arrays.
    """
    columns = [label_names.index(name) for name in generator.labels]
    return attributes[:, np.asarray(columns, int)]


def _rates(seen: objective.Seen) -> dict[str, Array]:
    """The paper's metrics of this batch: L2, %dis, pass rates, and the RMS of P in 8-bit levels."""
    pairs = zip(seen.fakes, seen.references, strict=True)
    l2 = jnp.concatenate([jnp.square(f - r).mean((1, 2, 3)) for f, r in pairs])
    rates = {
        "l2": l2.mean(),
        "disrupted": (l2 >= metrics.DISRUPTED_L2).mean(),
        "rms_255": pixels.units_to_levels(1.0) * seen.rms.mean(),
    }
    if seen.real_logits:
        fakes = jnp.concatenate([jnp.concatenate(row) for row in seen.fake_logits])
        rates["fakes_pass"] = (fakes > 0).mean()
        rates["protected_pass"] = (jnp.stack(seen.real_logits) > 0).mean()
    return rates


class Verdicts(NamedTuple):
    """Fakes of a batch of 8-bit photos, and the detectors' verdicts."""

    fakes: UInt8[Array, "n s s 3"]
    p_reals: tuple[Float[Array, " n"], ...]  # D(fakes), per detector


@jax.jit
def fake_and_judge(
    generator: FrozenGenerator,
    detectors: tuple[FrozenDetector, ...],
    photos: UInt8[Array, "b s s 3"],
    condition: Any,
) -> Verdicts:
    """G(photo, c) as 8-bit pictures, one for each driving frame, and each detector's verdicts."""
    fakes = pixels.to_uint8(generator(pixels.from_uint8(photos), condition))
    return Verdicts(fakes, judge(detectors, fakes))


@jax.jit
def judge(
    detectors: tuple[FrozenDetector, ...], photos: UInt8[Array, "b s s 3"]
) -> tuple[Float[Array, " b"], ...]:
    """Probabilities of being real of 8-bit pictures, per detector."""
    return tuple(detector(pixels.from_uint8(photos)) for detector in detectors)
