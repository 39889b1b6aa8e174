"""How large a perturbation may be: bound it, add it to 8-bit pixels, measure its size.

Settings and reports are in 8-bit levels: eps_255 = 6.375 is eps = 0.05 on [-1, 1]. A file holds
whole levels, so a hard bound of 6.375 levels is 6 levels once it is written.
"""

import math
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from dfd_jax import pixels

BOUNDS = ("tanh", "none")
T = TypeVar("T", Array, np.ndarray)


class Budget(NamedTuple):
    """How far a pixel may move. `bound`: "tanh" (hard), or "none" (only the loss limits it)."""

    eps_255: float = 6.375
    bound: str = "tanh"


def bound(raw: Float[T, "*s"], budget: Budget) -> Float[T, "*s"]:
    """The perturbation on [-1, 1] of a perturber's raw output, which is in multiples of eps.

    NumPy or JAX arrays. ValueError for an unknown kind of bound.
    """
    eps = pixels.levels_to_units(budget.eps_255)
    if budget.bound == "tanh":
        return eps * raw.__array_namespace__().tanh(raw)
    if budget.bound == "none":
        return eps * raw
    raise ValueError(f"budget.bound is {budget.bound!r}, expected one of {', '.join(BOUNDS)}")


def norms(delta: Float[Array, "b _ _ _"], kind: str) -> Float[Array, " b"]:
    """Size of each image's perturbation on [-1, 1]: "rms" = ||P||2 / sqrt(h*w*3), "l2" or "linf".

    The gradient is finite everywhere, and zero at P = 0.
    """
    if kind == "linf":
        return jnp.abs(delta).max((1, 2, 3))
    squares = jnp.square(delta)
    if kind == "rms":
        return _safe_sqrt(squares.mean((1, 2, 3)))
    if kind == "l2":
        return _safe_sqrt(squares.sum((1, 2, 3)))
    raise ValueError(f"norm is {kind!r}, expected rms, l2 or linf")


def apply_to_pixels(
    pixels_8bit: UInt8[np.ndarray, "h w 3"], delta: Float32[np.ndarray, "h w 3"], budget: Budget
) -> UInt8[np.ndarray, "h w 3"]:
    """8-bit pixels plus a perturbation on [-1, 1], rounded. A hard bound holds after rounding."""
    levels = np.rint(pixels.units_to_levels(1.0) * delta)
    largest = 255 if budget.bound == "none" else min(math.floor(budget.eps_255 + 1e-6), 255)
    np.clip(levels, -largest, largest, out=levels)
    moved = levels.astype(np.int16)
    moved += pixels_8bit
    return np.clip(moved, 0, 255, out=moved).astype(np.uint8)


def linf_255(original: UInt8[np.ndarray, "*s"], changed: UInt8[np.ndarray, "*s"]) -> int:
    """Largest change of any pixel, in 8-bit levels."""
    return int(np.abs(original.astype(np.int16) - changed.astype(np.int16)).max(initial=0))


def _safe_sqrt(x: Array) -> Array:
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)
