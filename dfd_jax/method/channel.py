"""From P's output to what the attacker gets: enlarged, bounded, written to a file, resized again.

The region of a photo that P protects is rarely as large as the network's input. P's raw output is
enlarged to the region and bounded there, at the photo's own resolution; the attacker crops and
resizes. Bounding after enlarging matters: between neighbouring extremes an enlarged bounded delta
passes through zero and spends its budget on nothing, while a bounded enlarged output stays at the
bound, and more of it survives the attacker's resize.

Resizing is linear, so x + P(x) after the resize is the resized x plus the resized delta: training
through files of any size never needs the large photo.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dfd_jax import pixels
from dfd_jax.method import budget as budgets
from dfd_jax.method.budget import Budget

_STRIP = 32  # rows at most
_PRODUCTS = 1 << 18  # multiplications; OpenBLAS takes threads for more


class CropResize(NamedTuple):
    """The two resizes of a photo whose region is r pixels wide, for a network of s pixels."""

    enlarge: Float[Array, "r s"]
    reduce: Float[Array, "s r"]

    @classmethod
    def of_side(cls, side: int, size: int) -> "CropResize":
        """For a region `side` pixels wide and a network that takes `size` pixels."""
        return cls(jnp.asarray(resize_matrix(size, side)), jnp.asarray(resize_matrix(side, size)))


@functools.lru_cache(maxsize=64)
def resize_matrix(old: int, new: int) -> Float[np.ndarray, "new old"]:
    """Bilinear resize of one axis as a matrix; antialiased when shrinking, edges repeated.

    The same weights as Pillow's BILINEAR and `jax.image.resize(…, "bilinear", antialias=True)`.
    """
    scale = old / new
    support = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    distances = np.abs(centres[:, None] - (np.arange(old)[None] + 0.5)) / support
    weights = np.maximum(1.0 - distances, 0.0)
    matrix = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    matrix.setflags(write=False)  # cached: every caller gets the same array
    return matrix


def upsampled_rows(raw: Float[np.ndarray, "s s 3"], side: int) -> Float[np.ndarray, "s row"]:
    """The rows of P's raw output, each enlarged to a region's `side` pixels, as 3 * side numbers.

    It is the half of the enlargement that all parts of a region share, see `levels_in_file`.
    """
    size = len(raw)
    columns = np.ascontiguousarray(raw.transpose(1, 0, 2)).reshape(size, -1)
    tall = _enlarged(columns, side, slice(None)).reshape(side, size, 3)
    wide = np.empty((size, side, 3), np.float32)
    for channel in range(3):  # faster than all at once
        wide[:, :, channel] = tall[:, :, channel].T
    return wide.reshape(size, -1)


def levels_in_file(
    wide: Float[np.ndarray, "s row"], budget: Budget, part: slice = slice(None)
) -> Float[np.ndarray, "r side 3"]:
    """The bounded perturbation of a square region, at the photo's resolution, in 8-bit levels.

    `wide` is P's output as `upsampled_rows` made it. `part` asks for some of the rows only: a large
    region need not be in memory as floats.
    """
    side = wide.shape[1] // 3
    large = _enlarged(wide, side, part).reshape(-1, side, 3)
    return budgets.bound_levels(large, budget)


def _enlarged(rows: Float[np.ndarray, "s n"], side: int, part: slice) -> Float[np.ndarray, "r n"]:
    """A part of the `side` rows that these become."""
    size, width = rows.shape
    top, bottom, _ = part.indices(side)
    large = np.empty((bottom - top, width), np.float32)
    height = _strip_height(size, side, width)
    for start in range(top, bottom, height):
        end = min(start + height, bottom)
        weights, used = _band(size, side, start, end)
        np.matmul(weights, rows[used], out=large[start - top : end - top])
    return large


def _strip_height(size: int, side: int, width: int) -> int:
    """How many of `side` rows have a matrix product that is small enough for one thread.

    Libraries share larger ones out among threads of their own, and these would disturb the threads
    that protect photos side by side.
    """
    height = _STRIP
    while height > 1 and height * (height * size / side + 2) * width > _PRODUCTS:
        height //= 2
    return height


@functools.lru_cache(maxsize=4096)
def _band(old: int, new: int, start: int, end: int) -> tuple[Float[np.ndarray, "r k"], slice]:
    """Of `resize_matrix` these rows without the zeros left and right, and which columns remain."""
    rows = resize_matrix(old, new)[start:end]
    columns = np.flatnonzero(rows.any(0))
    used = slice(columns[0], columns[-1] + 1)
    return np.ascontiguousarray(rows[:, used]), used


class Received(NamedTuple):
    """What is left of a batch of perturbations at the attacker's, and what they cost the files."""

    deltas: Float[Array, "b _ _ _"]
    norms: Float[Array, " b"]  # of the delta in the file, in the norm that was asked for
    rms: Float[Array, " b"]


def through_file(
    rng: Array,
    raw: Float[Array, "b s s 3"],
    resizes: tuple[CropResize, ...],
    budget: Budget,
    norm: str,
) -> Received:
    """P's raw output through files with one of these regions, drawn at random for the batch."""

    def through(resize: CropResize, raw: Float[Array, "b 3 s s"]) -> Received:
        deltas = budgets.bound(_resize(raw, resize.enlarge), budget)
        written = pixels.round_levels(deltas)
        sizes = budgets.norms(deltas, norm), budgets.norms(deltas, "rms")
        return Received(_resize(written, resize.reduce), *sizes)

    # What a branch keeps for its gradient, the others would have to fill with zeros: keep nothing.
    branches = [jax.checkpoint(functools.partial(through, region)) for region in resizes]
    chosen = jax.random.randint(rng, (), 0, len(branches))
    # Channels go before rows: a TPU would pad a last axis of 3 to 128, and a region is large.
    # Nothing before or after may move into the branches: what is summed over chips would be summed
    # in each of them, apart from everything else.
    apart = jax.lax.optimization_barrier
    found = apart(jax.lax.switch(chosen, branches, apart(raw.transpose(0, 3, 1, 2))))
    return found._replace(deltas=found.deltas.transpose(0, 2, 3, 1))


def _resize(x: Float[Array, "b c h w"], matrix: Float[Array, "n h"]) -> Float[Array, "b c n n"]:
    tall = jnp.einsum("ij,bcjk->bcik", matrix, x)
    return jnp.einsum("ij,bckj->bcki", matrix, tall)
