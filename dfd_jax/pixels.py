"""The only file that knows pixel ranges.

Inside the project an image is NHWC, RGB and in [-1, 1]. Files hold 8-bit levels (0 … 255). One
level is 2/255 units, so the field's usual eps = 0.05 on [-1, 1] is 6.375 levels.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

LEVELS_PER_UNIT = 127.5
T = TypeVar("T", Array, np.ndarray)


def from_uint8(pixels: UInt8[T, "*b h w c"]) -> Float[T, "*b h w c"]:
    """8-bit pixels (0 … 255) as float32 in [-1, 1]. NumPy arrays stay on the host."""
    return pixels.astype(np.float32) / LEVELS_PER_UNIT - 1.0


def to_uint8(images: Float[T, "*b h w c"]) -> UInt8[T, "*b h w c"]:
    """Images in [-1, 1] as 8-bit pixels: rounded to the nearest level, clipped to 0 … 255.

    NumPy arrays stay on the host.
    """
    xp = images.__array_namespace__()
    levels = xp.round((images.astype(np.float32) + 1.0) * LEVELS_PER_UNIT)
    return xp.clip(levels, 0, 255).astype(np.uint8)


def levels_to_units(levels: float) -> float:
    """A difference in 8-bit levels as a difference on [-1, 1]."""
    return levels / LEVELS_PER_UNIT


def units_to_levels(units: float) -> float:
    """A difference on [-1, 1] in 8-bit levels."""
    return units * LEVELS_PER_UNIT


def round_8bit(images: Float[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
    """Images as an 8-bit file stores them: clipped to [-1, 1] and rounded to whole levels.

    Straight-through gradient of the rounding; zero where the image was clipped.
    """
    clipped = jnp.clip(images, -1.0, 1.0)
    rounded = jnp.round((clipped + 1.0) * LEVELS_PER_UNIT) / LEVELS_PER_UNIT - 1.0
    return clipped + jax.lax.stop_gradient(rounded - clipped)


def round_levels(deltas: Float[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
    """Differences on [-1, 1] rounded to whole levels, as adding them to 8-bit pixels does.

    Straight-through gradient.
    """
    rounded = jnp.round(deltas * LEVELS_PER_UNIT) / LEVELS_PER_UNIT
    return deltas + jax.lax.stop_gradient(rounded - deltas)
