"""The only file that knows pixel ranges.

Inside the project an image is NHWC, RGB and in [-1, 1]. Files hold 8-bit levels (0 … 255). One
level is 2/255 units, so the field's usual eps = 0.05 on [-1, 1] is 6.375 levels.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

LEVELS_PER_UNIT = 127.5


def from_uint8(pixels: UInt8[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
    """8-bit pixels (0 … 255) as float32 in [-1, 1]."""
    return pixels.astype(jnp.float32) / LEVELS_PER_UNIT - 1.0


def to_uint8(images: Float[Array, "*b h w c"]) -> UInt8[Array, "*b h w c"]:
    """Images in [-1, 1] as 8-bit pixels: rounded to the nearest level, clipped to 0 … 255."""
    levels = jnp.round((images.astype(jnp.float32) + 1.0) * LEVELS_PER_UNIT)
    return jnp.clip(levels, 0, 255).astype(jnp.uint8)


def levels_to_units(levels: float) -> float:
    """A difference in 8-bit levels as a difference on [-1, 1]."""
    return levels / LEVELS_PER_UNIT


def units_to_levels(units: float) -> float:
    """A difference on [-1, 1] in 8-bit levels."""
    return units * LEVELS_PER_UNIT


def round_8bit(images: Float[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
    """What an 8-bit file would keep of `images`: clipped to [-1, 1], on whole levels.

    The gradient passes straight through the rounding, and is zero where the image was clipped.
    """
    clipped = jnp.clip(images, -1.0, 1.0)
    rounded = jnp.round((clipped + 1.0) * LEVELS_PER_UNIT) / LEVELS_PER_UNIT - 1.0
    return clipped + jax.lax.stop_gradient(rounded - clipped)


def round_levels(deltas: Float[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
    """Differences on [-1, 1] rounded to whole levels, as adding them to 8-bit pixels does.

    The gradient passes straight through.
    """
    rounded = jnp.round(deltas * LEVELS_PER_UNIT) / LEVELS_PER_UNIT
    return deltas + jax.lax.stop_gradient(rounded - deltas)
