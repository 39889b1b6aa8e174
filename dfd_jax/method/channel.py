"""What the attacker receives of a perturbation: upsampled, bounded, written to a file, downsampled.

The square of a photo that P protects rarely has the size of the network's input. P's raw output is
upsampled to the square and bounded there, at the photo's own resolution; the attacker crops and
resizes. Upsampling comes first because a bounded delta that is upsampled passes through zero
between neighbouring extremes and wastes budget; a bounded upsampled output stays at the bound, and
more of it survives the attacker's resize.

Resizing is linear: x + P(x) after a resize is the resized x plus the resized delta. So training
through files of any size never needs the large photo.

There are two implementations of the same resize and bound, tested to be equal: `resize` and
`perturbation` are traced by JAX and take batches; `resize_strips` and `perturbation_strips` run on
the host and take one photo of any size.
"""

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from dfd_jax import pixels
from dfd_jax.method import budget as budgets
from dfd_jax.method.budget import Budget

_STRIP = 32  # rows
_PRODUCTS = 1 << 18  # multiplications: for more, OpenBLAS starts threads of its own


class CropResize(NamedTuple):
    """The resizes between a square of r pixels in a photo and a network's input of s pixels."""

    enlarge: Float[Array, "r s"]
    reduce: Float[Array, "s r"]

    @classmethod
    def of_side(cls, side: int, size: int) -> "CropResize":
        """For a square of `side` pixels and a network's input of `size` pixels."""
        return cls(jnp.asarray(resize_matrix(size, side)), jnp.asarray(resize_matrix(side, size)))


@functools.lru_cache(maxsize=64)
def resize_matrix(old: int, new: int) -> Float[np.ndarray, "new old"]:
    """Bilinear resize of one axis as a matrix: antialiased when shrinking, edges repeated.

    Same weights as Pillow's BILINEAR and `jax.image.resize(…, "bilinear", antialias=True)`.
    """
    scale = old / new
    support = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    distances = np.abs(centres[:, None] - (np.arange(old)[None] + 0.5)) / support
    weights = np.maximum(1.0 - distances, 0.0)
    matrix = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    matrix.setflags(write=False)  # cached: every caller gets the same array
    return matrix


def resize(x: Float[Array, "b c h w"], matrix: Float[Array, "n h"]) -> Float[Array, "b c n n"]:
    """Square images resized by a `resize_matrix`.

    Channels come before rows because a TPU pads a last axis of 3 to 128, and squares are large.
    """
    tall = jnp.einsum("ij,bcjk->bcik", matrix, x)
    return jnp.einsum("ij,bckj->bcki", matrix, tall)


def perturbation(
    raw: Float[Array, "b c s s"], enlarge: Float[Array, "r s"], budget: Budget
) -> Float[Array, "b c r r"]:
    """The perturbation on [-1, 1] that P's raw output is in a square of a photo."""
    return budgets.bound(resize(raw, enlarge), budget)


def resize_strips(
    image: Float32[np.ndarray, "s s 3"], side: int
) -> Iterator[tuple[slice, Float32[np.ndarray, "_ {side} 3"]]]:
    """`resize` of one image on the host: a few of the `side` rows at a time, and which these are.

    In strips a large image need not be in memory as floats.
    """
    size = len(image)
    columns = np.ascontiguousarray(image.transpose(1, 0, 2)).reshape(size, -1)
    wide = np.concatenate([strip for _, strip in _row_strips(columns, side)])
    wide = np.ascontiguousarray(wide.reshape(side, size, 3).transpose(1, 0, 2))
    for rows, strip in _row_strips(wide.reshape(size, -1), side):
        yield rows, strip.reshape(-1, side, 3)


def perturbation_strips(
    raw: Float32[np.ndarray, "s s 3"], side: int, budget: Budget
) -> Iterator[tuple[slice, Float32[np.ndarray, "_ {side} 3"]]]:
    """`perturbation` of one photo on the host, in the strips of `resize_strips`."""
    for rows, strip in resize_strips(raw, side):
        yield rows, budgets.bound(strip, budget)


def _row_strips(
    rows: Float32[np.ndarray, "s n"], side: int
) -> Iterator[tuple[slice, Float32[np.ndarray, "_ n"]]]:
    """These rows resized to `side` rows, in strips.

    The products are too small for BLAS to start threads, which would disturb the threads that
    protect other photos; columns of zeros in the matrix are left out.
    """
    size, width = rows.shape
    matrix, scale = resize_matrix(size, side), size / side
    support = max(scale, 1.0)
    height = min(_STRIP, max(1, int(_PRODUCTS / (width * (2 * support + _STRIP * scale)))))
    for top in range(0, side, height):
        end = min(top + height, side)
        first = max(math.floor((top + 0.5) * scale - support), 0)
        last = math.ceil((end - 0.5) * scale + support)
        yield slice(top, end), matrix[top:end, first:last] @ rows[first:last]


class Received(NamedTuple):
    """A batch of perturbations as the attacker gets them, and their sizes in the files."""

    deltas: Float[Array, "b _ _ _"]
    norms: Float[Array, " b"]  # of the perturbation in the file, in the chosen norm
    rms: Float[Array, " b"]


def through_file(
    rng: Array,
    raw: Float[Array, "b s s 3"],
    resizes: tuple[CropResize, ...],
    budget: Budget,
    norm: str,
) -> Received:
    """P's raw output through files whose square has one of these sizes, drawn once per batch."""

    def through(crop: CropResize, raw: Float[Array, "b 3 s s"]) -> Received:
        deltas = perturbation(raw, crop.enlarge, budget)
        written = pixels.round_levels(deltas)
        sizes = budgets.norms(deltas, norm), budgets.norms(deltas, "rms")
        return Received(resize(written, crop.reduce), *sizes)

    # With checkpoints no branch saves anything for its gradient, which the others of the switch
    # would have to fill with zeros.
    branches = [jax.checkpoint(functools.partial(through, crop)) for crop in resizes]
    chosen = jax.random.randint(rng, (), 0, len(branches))
    # The barriers keep XLA from moving other operations into the branches: sums over chips would
    # then be exchanged in each branch separately.
    barrier = jax.lax.optimization_barrier
    received = barrier(jax.lax.switch(chosen, branches, barrier(raw.transpose(0, 3, 1, 2))))
    return received._replace(deltas=received.deltas.transpose(0, 2, 3, 1))
