"""Training a detector: one jitted step, its averaged weights, and where REAL begins. Pure."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, UInt8

from dfd_jax import optimizer, pixels
from dfd_jax.models.frozen import FrozenDetector

HEADS = ("fc", "last_linear")  # the names that detectors have for their last layer
Variables = dict[str, Any]


class DetectorState(NamedTuple):
    """What training changes; `averaged` is the moving average of the variables, to be exported."""

    step: Int[Array, ""]
    variables: Variables
    averaged: Variables
    opt_state: Any


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


def create_state(net: FrozenDetector, tx: optax.GradientTransformation) -> DetectorState:
    """The state before the first step."""
    copy = jax.tree.map(jnp.array, net.variables)  # averaged may not share donated buffers
    return DetectorState(
        step=jnp.zeros((), jnp.int32),
        variables=jax.tree.map(jnp.array, net.variables),
        averaged=copy,
        opt_state=tx.init(copy["params"]),
    )


def make_train_step(
    net: FrozenDetector, tx: optax.GradientTransformation, *, smoothing: float, averaging: float
) -> TrainStep:
    """`step(state, pairs) → (state, {"loss", "accuracy", …})` for pairs of (real, fake) photos.

    Cross-entropy with the targets `smoothing`/2 away from 0 and 1. The averages follow with decay
    `averaging`, faster in the first steps. Dropout draws from the step number.
    """
    is_real = jnp.array([1.0, 0.0])

    def loss(params: Any, state: DetectorState, pairs: Array) -> tuple[Array, tuple[Any, Array]]:
        variables = {**state.variables, "params": params}
        logits, changed = _train_logits(net, variables, pairs, state.step)
        targets = jnp.broadcast_to(is_real, logits.shape)
        targets = targets * (1 - smoothing) + smoothing / 2
        return optax.sigmoid_binary_cross_entropy(logits, targets).mean(), (changed, logits)

    def step(state: DetectorState, pairs: Array) -> tuple[DetectorState, dict[str, Array]]:
        differentiate = jax.value_and_grad(loss, has_aux=True)
        (value, (changed, logits)), grads = differentiate(state.variables["params"], state, pairs)
        updates, opt_state = tx.update(grads, state.opt_state, state.variables["params"])
        params = optax.apply_updates(state.variables["params"], updates)
        variables = {**state.variables, **changed, "params": params}
        decay = jnp.minimum(averaging, (1.0 + state.step) / (10.0 + state.step))
        averaged = jax.tree.map(lambda a, v: decay * a + (1 - decay) * v, state.averaged, variables)
        logged = {
            "loss": value,
            "accuracy": ((logits > 0) == (is_real > 0)).mean(),
            "gradient_norm": optax.tree.norm(grads),
        }
        return DetectorState(state.step + 1, variables, averaged, opt_state), logged

    return jax.jit(step, donate_argnums=0)


@jax.jit
def real_logits(net: FrozenDetector, photos: UInt8[Array, "b s s 3"]) -> Float[Array, " b"]:
    """Log-odds of REAL for 8-bit photos."""
    return net.real_logits(pixels.from_uint8(photos))


def score(
    net: FrozenDetector, photos: UInt8[np.ndarray, "n s s 3"], batch_size: int = 64
) -> Float[np.ndarray, " n"]:
    """Log-odds of REAL for any number of photos, in batches of one size (padded, compiled once)."""
    scores = []
    for start in range(0, len(photos), batch_size):
        batch = photos[start : start + batch_size]
        missing = batch_size - len(batch)
        padded = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
        scores.append(np.asarray(real_logits(net, padded))[: len(batch)])
    return np.concatenate(scores) if scores else np.zeros(0, np.float32)


def shift_needed(logits: Float[np.ndarray, " n"], pass_rate: float) -> float:
    """What to add to the log-odds of real photos so that just `pass_rate` of them are positive.

    At least that share, and no more than it takes; negative where more than that are positive
    already. ValueError unless 0 < pass_rate <= 1.
    """
    if not 0 < pass_rate <= 1:
        raise ValueError(f"pass_rate is {pass_rate}, expected a share above 0 and at most 1")
    allowed = int(np.floor(len(logits) * (1 - pass_rate) + 1e-9))
    lowest_passing = float(np.sort(logits)[allowed])
    return 0.05 - lowest_passing  # a little above 0, so that rounding loses none


def shifted(net: FrozenDetector, shift: float) -> FrozenDetector:
    """The detector whose log-odds of REAL are larger by `shift`, through its last layer's bias.

    ValueError if the network has no last layer of a known name.
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
    return with_variables(net, {**net.variables, "params": params})


def with_variables(net: FrozenDetector, variables: Variables) -> FrozenDetector:
    """The same network with other variables."""
    return net.replace(variables=variables)  # pyright: ignore[reportAttributeAccessIssue]


def _train_logits(
    net: FrozenDetector, variables: Variables, pairs: Array, step: Array
) -> tuple[Float[Array, "b 2"], Variables]:
    """Log-odds of REAL in training mode (the batch's own statistics), and the changed variables."""
    b, two, s = pairs.shape[:3]
    images = net._normalised(pixels.from_uint8(pairs.reshape(b * two, s, s, 3)))
    logits, changed = net.apply(
        variables,
        images,
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": jax.random.fold_in(jax.random.key(0), step)},
    )
    real = net.card.real_index
    assert real is not None
    return (logits[:, real] - logits[:, 1 - real]).reshape(b, two), changed
