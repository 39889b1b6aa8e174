"""Batches of one size: every item once, and the last batch filled up."""

import numpy as np
import pytest

from dfd_jax.runtime.batching import padded_batches


@pytest.mark.parametrize(("count", "size"), [(7, 3), (6, 3), (2, 5), (1, 1)])
def test_every_item_is_in_one_full_batch(count: int, size: int) -> None:
    items, seen = np.arange(count) + 10, []
    for rows, real in padded_batches(count, size):
        assert len(rows) == size
        seen.append(items[rows][:real])
        assert set(items[rows][real:]) <= {items[-1]}
    np.testing.assert_array_equal(np.concatenate(seen), items)


def test_nothing_makes_no_batch() -> None:
    assert list(padded_batches(0, 4)) == []
