"""A generator of two convolutions that sees the wanted labels as planes beside the photo."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Recolour(nn.Module):
    """Normalised images and the labels that the fakes should have → fakes in [-1, 1]."""

    c_dim: int = 5
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"], labels: Float[Array, "b c_dim"]
    ) -> Float[Array, "b h w 3"]:
        planes = jnp.broadcast_to(labels[:, None, None], (*x.shape[:3], self.c_dim))
        x = jnp.concatenate([x, planes.astype(x.dtype)], -1)
        x = nn.relu(nn.Conv(32, (7, 7), dtype=self.dtype, name="conv1")(x))
        return jnp.tanh(nn.Conv(3, (7, 7), dtype=self.dtype, name="conv2")(x))

    def example_inputs(self, size: int) -> tuple[Array, Array]:
        """An image and labels of zeros, batch of one."""
        return jnp.zeros((1, size, size, 3)), jnp.zeros((1, self.c_dim))
