"""Training a detector: its step, its averaged weights and the calibration of its bias. Pure."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, UInt8

from dfd_jax import pixels
from dfd_jax.models.frozen import FrozenDetector
from dfd_jax.opponents import attention_losses
from dfd_jax.opponents.attention_losses import AttentionLosses
from dfd_jax.training import optimizer

# Names of the last layer, by detector.
HEADS = ("fc", "last_linear", "_fc", "ensemble_classifier_fc.2")
Variables = dict[str, Any]


class DetectorState(NamedTuple):
    """What training changes; `averaged` is the moving average of the variables, to be exported."""

    step: Int[Array, ""]
    variables: Variables
    averaged: Variables
    opt_state: Any
    regions: Variables  # "centres" of a multi-attentional detector's attention regions; else empty


TrainStep = Callable[
    [DetectorState, UInt8[Array, "b 2 s s 3"]], tuple[DetectorState, dict[str, Array]]
]


def make_optimizer(
    learning_rate: float, steps: int, *, warmup: int, clip: float, weight_decay: float
) -> optax.GradientTransformation:
    """AdamW on clipped gradients; only kernels decay, not biases and norms."""
    schedule = optimizer.learning_rate_schedule(learning_rate, steps, warmup)
    return optax.chain(
        optax.clip_by_global_norm(clip),
        optax.adamw(
            schedule,
            weight_decay=weight_decay,
            mask=lambda params: jax.tree.map(lambda x: x.ndim > 1, params),
        ),
    )


def create_state(
    net: FrozenDetector, tx: optax.GradientTransformation, training: AttentionLosses | None = None
) -> DetectorState:
    """The state before the first step. With `training` the centres of the attention regions are 0.

    ValueError if there is `training` and the network has no attention maps.
    """
    copy = jax.tree.map(jnp.array, net.variables)  # a step donates both: they share no buffer
    return DetectorState(
        step=jnp.zeros((), jnp.int32),
        variables=jax.tree.map(jnp.array, net.variables),
        averaged=copy,
        opt_state=tx.init(copy["params"]),
        regions={} if training is None else {"centres": _first_centres(net)},
    )


def make_train_step(
    net: FrozenDetector,
    tx: optax.GradientTransformation,
    *,
    smoothing: float,
    averaging: float,
    training: AttentionLosses | None = None,
) -> TrainStep:
    """`step(state, pairs) → (state, {"loss", "accuracy", …})` for pairs of (real, fake) photos.

    The loss is the cross-entropy with targets `smoothing`/2 away from 0 and 1. `training` adds the
    terms of a multi-attentional detector, each logged under its name. The averaged weights decay by
    `averaging`, faster in the first steps. Randomness comes from the step number alone.
    """

    def step(state: DetectorState, pairs: Array) -> tuple[DetectorState, dict[str, Array]]:
        images, is_fake = _prepared(net, pairs)

        def loss(params: Any) -> tuple[Array, Learned]:
            current = state._replace(variables={**state.variables, "params": params})
            return _loss(net, current, images, is_fake, smoothing, training)

        params = state.variables["params"]
        (value, learned), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = tx.update(grads, state.opt_state, params)
        params = optax.apply_updates(params, updates)
        variables = {**state.variables, **learned.changed, "params": params}
        averaged = optimizer.moved_average(state.averaged, variables, averaging, state.step)
        logged = {
            "loss": value,
            "accuracy": ((learned.logits > 0) != is_fake).mean(),
            "gradient_norm": optax.tree.norm(grads),
            **learned.terms,
        }
        new = DetectorState(state.step + 1, variables, averaged, opt_state, learned.regions)
        return new, logged

    return jax.jit(step, donate_argnums=0)


@jax.jit
def real_logits(net: FrozenDetector, photos: UInt8[Array, "b s s 3"]) -> Float[Array, " b"]:
    """Log-odds of REAL for 8-bit photos."""
    return net.real_logits(pixels.from_uint8(photos))


def score(
    net: FrozenDetector, photos: UInt8[np.ndarray, "n s s 3"], batch_size: int = 64
) -> Float[np.ndarray, " n"]:
    """Log-odds of REAL for any number of photos. The last batch is padded: one compilation."""
    scores = []
    for start in range(0, len(photos), batch_size):
        batch = photos[start : start + batch_size]
        missing = batch_size - len(batch)
        padded = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
        scores.append(np.asarray(real_logits(net, padded))[: len(batch)])
    return np.concatenate(scores) if scores else np.zeros(0, np.float32)


def shift_needed(logits: Float[np.ndarray, " n"], pass_rate: float) -> float:
    """The smallest shift of the log-odds of real photos that makes the share `pass_rate` positive.

    Negative if more than that are positive already. ValueError unless 0 < pass_rate <= 1.
    """
    if not 0 < pass_rate <= 1:
        raise ValueError(f"pass_rate is {pass_rate}, expected a share above 0 and at most 1")
    allowed = int(np.floor(len(logits) * (1 - pass_rate) + 1e-9))
    lowest_passing = float(np.sort(logits)[allowed])
    return 0.05 - lowest_passing  # a little above 0, so that rounding loses none


def shifted(net: FrozenDetector, shift: float) -> FrozenDetector:
    """The detector with `shift` added to its log-odds of REAL, through the bias of its last layer.

    ValueError if no layer has the name of a known last layer.
    """
    params = dict(net.variables["params"])
    head = next((name for name in HEADS if name in params), None)
    if head is None or net.card.real_index is None:
        raise ValueError(
            f"{net.card.model}: no last layer to shift; found {', '.join(params)}, "
            f"expected one of {', '.join(HEADS)} and a card with real_index"
        )
    bias = np.array(params[head]["bias"])
    bias[net.card.real_index] += shift
    params[head] = {**params[head], "bias": jnp.asarray(bias)}
    return net.with_variables({**net.variables, "params": params})


class Learned(NamedTuple):
    """What the loss of a step returns beside its value."""

    logits: Float[Array, " b"]  # log-odds of REAL
    changed: Variables  # batch statistics
    regions: Variables
    terms: dict[str, Array]  # of the loss, for the log


def _prepared(net: FrozenDetector, pairs: Array) -> tuple[Float[Array, "b s s 3"], Array]:
    """The pairs as one batch of normalised photos, and which of these are fakes."""
    b, two, s = pairs.shape[:3]
    images = net._normalised(pixels.from_uint8(pairs.reshape(b * two, s, s, 3)))
    return images, jnp.tile(jnp.array([False, True]), b)


def _loss(
    net: FrozenDetector,
    state: DetectorState,
    images: Array,
    is_fake: Array,
    smoothing: float,
    training: AttentionLosses | None,
) -> tuple[Array, Learned]:
    of_network = jax.random.fold_in(jax.random.key(0), state.step)
    if training is None:
        logits, changed = _in_training(net, state.variables, images, of_network)
        logits = _log_odds(net, logits)
        return _cross_entropy(logits, is_fake, smoothing), Learned(logits, changed, {}, {})

    parts, changed = _in_training(net, state.variables, images, of_network, "parts")
    logits, rate = _log_odds(net, parts.logits), training.rate_at(state.step)
    independence, centres = attention_losses.independence(
        parts.regions, state.regions["centres"], is_fake, rate, training
    )
    terms = {"cross_entropy": _cross_entropy(logits, is_fake, smoothing)}
    terms["independence"] = independence
    total = terms["cross_entropy"] + training.independence * independence
    if training.augmented:
        of_photos = jax.random.fold_in(of_network, 1)
        degraded, chosen = attention_losses.degrade(images, parts.attentions, of_photos, training)
        variables = {**state.variables, **changed}
        again, changed = _in_training(net, variables, degraded, of_network, "parts")
        terms["augmented"] = _cross_entropy(_log_odds(net, again.logits), is_fake, smoothing)
        terms["consistency"] = attention_losses.consistency(parts.regions, again.regions, chosen)
        total += training.augmented * terms["augmented"]
        total += training.consistency * terms["consistency"]
    return total, Learned(logits, changed, {"centres": centres}, terms)


def _in_training(
    net: FrozenDetector, variables: Variables, images: Array, rng: Array, method: str = "__call__"
) -> tuple[Any, Variables]:
    """The network's outputs in training mode, with batch statistics, and the updated variables."""
    return net.apply(
        variables,
        images,
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": rng},
        method=method,
    )


def _log_odds(net: FrozenDetector, logits: Float[Array, "b 2"]) -> Float[Array, " b"]:
    real = net.card.real_index
    assert real is not None
    return logits[:, real] - logits[:, 1 - real]


def _cross_entropy(logits: Array, is_fake: Array, smoothing: float) -> Array:
    targets = jnp.where(is_fake, smoothing / 2, 1 - smoothing / 2)
    return optax.sigmoid_binary_cross_entropy(logits, targets).mean()


def _first_centres(net: FrozenDetector) -> Float[Array, "maps c"]:
    if not hasattr(net.module, "parts"):
        raise ValueError(
            f"{net.card.model} has no attention maps, so attention losses cannot train it; "
            "use the model multi_attentional, or leave config.attention_losses empty"
        )
    size = net.card.input_size
    example = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    infer = functools.partial(net.apply, train=False, method="parts")
    return jnp.zeros(jax.eval_shape(infer, net.variables, example).regions.shape[1:])
