"""Batches of one size, so that every jitted function is compiled once."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int


def padded_batches(count: int, size: int) -> Iterator[tuple[Int[np.ndarray, " size"], int]]:
    """For each batch: the indices of its `size` items, and how many of those are real.

    The last batch repeats the last item until it is full: `f(items[rows])[:real]`.
    """
    for start in range(0, count, size):
        yield np.arange(start, start + size).clip(max=count - 1), min(size, count - start)
