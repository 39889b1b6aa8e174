"""What training P changes: its parameters, the optimizer's state, the step. Nothing frozen."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Int

from dfd_jax.models.frozen import Perturber


@struct.dataclass
class TrainState:
    """A pytree; `step` counts finished steps."""

    step: Int[Array, ""]
    params: Any
    opt_state: Any


def create_state(perturber: Perturber, tx: optax.GradientTransformation) -> TrainState:
    """The state before the first step. It shares no array with P, as a step donates its state."""

    @jax.jit  # one small program instead of one per shape
    def start(params: Any) -> TrainState:
        copied = jax.tree.map(jnp.copy, params)
        return TrainState(step=jnp.zeros((), jnp.int32), params=copied, opt_state=tx.init(params))

    return start(perturber.variables["params"])


def with_params(perturber: Perturber, params: Any) -> Perturber:
    """The perturber with other parameters."""
    return perturber.with_variables({"params": params})
