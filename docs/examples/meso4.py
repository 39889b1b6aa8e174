"""A detector of three convolutions, after Meso-4 (Afchar et al. 2018)."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models import layers


class Meso4(nn.Module):
    """Normalised images → class logits, float32."""

    num_classes: int = 2
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"], train: bool = False
    ) -> Float[Array, "b num_classes"]:
        for name, features, size, pool in [("1", 8, 3, 2), ("2", 8, 5, 2), ("3", 16, 5, 2)]:
            x = nn.relu(nn.Conv(features, (size, size), dtype=self.dtype, name=f"conv{name}")(x))
            x = layers.BatchNorm(dtype=self.dtype, name=f"bn{name}")(x, train)
            x = nn.max_pool(x, (pool, pool), (pool, pool))
        logits = nn.Dense(self.num_classes, name="fc")(x.mean((1, 2)))
        return logits.astype(jnp.float32)

    def example_inputs(self, size: int) -> tuple[Array]:
        """An image of zeros, batch of one."""
        return (jnp.zeros((1, size, size, 3)),)
