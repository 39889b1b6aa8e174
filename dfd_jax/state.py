"""What training changes: P's parameters, the optimizer's state, the step. Nothing frozen is in
it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Int

from dfd_jax.models.frozen import FrozenPerturber


@struct.dataclass
class TrainState:
    """A pytree; `step` counts finished steps."""

    step: Int[Array, ""]
    params: Any
    opt_state: Any


def create_state(perturber: FrozenPerturber, tx: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""
    params = jax.tree.map(jnp.array, perturber.variables["params"])  # a step takes its state over
    return TrainState(step=jnp.zeros((), jnp.int32), params=params, opt_state=tx.init(params))


def with_params(perturber: FrozenPerturber, params: Any) -> FrozenPerturber:
    """The perturber with other parameters."""
    return perturber.with_variables({"params": params})
