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
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dfd_jax import budget as budgets
from dfd_jax import pixels
from dfd_jax.budget import Budget

_STRIP = 32  # rows at most
_PRODUCTS = 1 << 18  # multiplications; OpenBLAS takes threads for more


class Region(NamedTuple):
    """The two resizes of a photo whose region is r pixels wide, for a network of s pixels."""

    enlarge: Float[Array, "r s"]
    reduce: Float[Array, "s r"]

    @classmethod
    def of_side(cls, side: int, size: int) -> "Region":
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


def widened(raw: Float[np.ndarray, "s s 3"], side: int) -> Float[np.ndarray, "s row"]:
    """The rows of P's raw output, each enlarged to a region's `side` pixels, as 3 * side numbers.

    It is the half of the enlargement that all strips of a region share, see `levels_in_file`.
    """
    rows = raw.reshape(len(raw), -1)
    return _mixed((rows.take(i, 1), w) for i, w in _channel_taps(raw.shape[1], side))


def levels_in_file(
    wide: Float[np.ndarray, "s row"], budget: Budget, part: slice = slice(None)
) -> Float[np.ndarray, "r side 3"]:
    """The bounded perturbation of a square region, at the photo's resolution, in 8-bit levels.

    `wide` is P's output as `widened` made it. `part` asks for some of the rows only: a large region
    need not be in memory as floats.
    """
    side = wide.shape[1] // 3
    top, bottom, _ = part.indices(side)
    large = np.empty((bottom - top, 3 * side), np.float32)
    height = _strip_height(len(wide), side)
    for start in range(top, bottom, height):
        end = min(start + height, bottom)
        weights, used = _band(len(wide), side, start, end)
        np.matmul(weights, wide[used], out=large[start - top : end - top])
    return budgets.bound_levels(large.reshape(-1, side, 3), budget)


def _strip_height(size: int, side: int) -> int:
    """Rows of a region of `side` pixels whose matrix product is small enough for one thread.

    Libraries share larger ones out among threads of their own, and these would disturb the threads
    that protect photos side by side.
    """
    height = _STRIP
    while height > 1 and height * (height * size / side + 2) * 3 * side > _PRODUCTS:
        height //= 2
    return height


@functools.lru_cache(maxsize=4096)
def _band(old: int, new: int, start: int, end: int) -> tuple[Float[np.ndarray, "r k"], slice]:
    """Of `resize_matrix` these rows without the zeros left and right, and which columns remain."""
    rows = resize_matrix(old, new)[start:end]
    columns = np.flatnonzero(rows.any(0))
    used = slice(columns[0], columns[-1] + 1)
    return np.ascontiguousarray(rows[:, used]), used


def _mixed(
    parts: Iterable[tuple[Float[np.ndarray, "*s"], Float[np.ndarray, "..."]]],
) -> Float[np.ndarray, "*s"]:
    """The sum of arrays by their weights. The arrays are used up: memory is dearer than sums."""
    total = None
    for array, weights in parts:
        array *= weights
        total = array if total is None else np.add(total, array, out=total)
    assert total is not None
    return total


@functools.lru_cache(maxsize=64)
def _taps(old: int, new: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """`resize_matrix` without zeros: of each new pixel the 1st, 2nd … old one and its weight."""
    matrix = resize_matrix(old, new)
    count = int((matrix > 0).sum(1).max())
    first = np.minimum((matrix > 0).argmax(1), old - count)
    return [(first + tap, matrix[np.arange(new), first + tap]) for tap in range(count)]


@functools.lru_cache(maxsize=64)
def _channel_taps(old: int, new: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """`_taps` of rows of RGB pixels as rows of numbers, which NumPy goes through faster."""
    channels = np.arange(3)
    return [((3 * i[:, None] + channels).reshape(-1), np.repeat(w, 3)) for i, w in _taps(old, new)]


class Arrival(NamedTuple):
    """What is left of a batch of perturbations at the attacker's, and what they cost the files."""

    deltas: Float[Array, "b _ _ _"]
    norms: Float[Array, " b"]  # of the delta in the file, in the norm that was asked for
    rms: Float[Array, " b"]


def arrive(
    rng: Array,
    raw: Float[Array, "b s s 3"],
    regions: tuple[Region, ...],
    budget: Budget,
    norm: str,
) -> Arrival:
    """P's raw output through files with one of these regions, drawn at random for the batch."""

    def through(region: Region, raw: Float[Array, "b 3 s s"]) -> Arrival:
        deltas = budgets.bound(_resize(raw, region.enlarge), budget)
        written = pixels.round_levels(deltas)
        sizes = budgets.norms(deltas, norm), budgets.norms(deltas, "rms")
        return Arrival(_resize(written, region.reduce), *sizes)

    # What a branch keeps for its gradient, the others would have to fill with zeros: keep nothing.
    branches = [jax.checkpoint(functools.partial(through, region)) for region in regions]
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
