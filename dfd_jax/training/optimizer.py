"""The optimizer of P, its learning rate, and moving averages of weights."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int


def learning_rate_schedule(peak: float, steps: int, warmup: int) -> optax.Schedule:
    """Linear warm-up from zero, then cosine down to a twentieth of the peak at the last step."""
    warmup = min(warmup, max(steps - 1, 0))
    return optax.warmup_cosine_decay_schedule(0.0, peak, warmup, max(steps, 1), peak / 20)


def make_optimizer(
    learning_rate: float,
    steps: int,
    *,
    warmup: int = 20,
    clip: float = 1.0,
) -> optax.GradientTransformation:
    """Adam on gradients whose global norm has been clipped to `clip`."""
    schedule = learning_rate_schedule(learning_rate, steps, warmup)
    return optax.chain(optax.clip_by_global_norm(clip), optax.adam(schedule))


def moved_average(averaged: Any, new: Any, decay: float, step: Int[Array, ""]) -> Any:
    """The moving average of weights after `step` updates; it decays faster in the first ones."""
    decay_now = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda a, n: decay_now * a + (1 - decay_now) * n, averaged, new)
