"""Batches made a few examples at a time are those that grain makes one by one."""

import itertools

import grain
import numpy as np
import pytest

from dfd_jax.data.batches import Batches


def examples(count, missing=()):
    """Numbers in another order, some of which are not there."""
    numbers = grain.MapDataset.range(count).seed(1).shuffle()
    return numbers.map(lambda n: None if n in missing else {"n": np.array([n])})


def theirs(stream, size, drop):
    reading = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return iter(stream.to_iter_dataset(reading).batch(size, drop_remainder=drop))


def all_of(batches):
    return [(batch["n"].tolist(), batches.get_state()) for batch in batches]


@pytest.mark.parametrize("missing", [(), (3,), range(5, 31), range(40)])
@pytest.mark.parametrize("size", [1, 3, 8, 20, 50])
@pytest.mark.parametrize("drop", [True, False])
def test_batches_and_positions_are_grains(size, drop, missing):
    stream = examples(40, missing)
    expected = all_of(theirs(stream, size, drop))
    assert all_of(iter(Batches(stream, size, drop))) == expected


def test_every_position_of_grains_can_be_gone_on_from():
    stream = examples(40, missing=range(10, 22))
    for count in range(8):
        before = theirs(stream, 5, False)
        list(itertools.islice(before, count))
        batches = iter(Batches(stream, 5, False))
        next(batches)
        batches.set_state(before.get_state())
        assert all_of(batches) == all_of(before)


def test_an_error_in_an_example_reaches_the_reader():
    def broken(number):
        raise ValueError(f"number {number} is broken")

    with pytest.raises(ValueError, match="is broken"):
        next(iter(Batches(grain.MapDataset.range(5).map(broken), 2, False)))
