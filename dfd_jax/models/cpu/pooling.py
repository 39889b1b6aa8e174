"""Max pooling on a CPU: many times faster than XLA's reduction over windows."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def max_pool_3x3(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """`operations.max_pool_3x3`: columns, then rows, each the largest of three strided slices."""
    h, w = x.shape[1:3]
    padding = ((0, 0), (1, 1), (1, 1), (0, 0))
    padded = jnp.pad(x, padding, constant_values=-jnp.inf)
    columns = _first_maximum(*(padded[:, :, j : j + w : 2] for j in range(3)))
    return _first_maximum(*(columns[:, i : i + h : 2] for i in range(3)))


def _first_maximum(first: Array, *others: Array) -> Array:
    """Elementwise maximum; ties keep the earlier array, NaN stays NaN."""
    for other in others:
        first = jnp.where((first >= other) | jnp.isnan(first), first, other)
    return first
