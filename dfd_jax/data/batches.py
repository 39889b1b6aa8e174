"""From a stream of examples to batches, with little work for each example beside its own.

grain's `to_iter_dataset().batch()` hands every single example from thread to thread, which takes as
long as a small photo's decoding; here threads make a few at a time. Batches and positions are the
same as grain's.
"""

import collections
import os
from typing import Any

import grain
import numpy as np

_MOST_TOGETHER = 16  # examples that a thread makes at a time
_MOST_THREADS = 4  # more would delay the first batch

Example = dict[str, np.ndarray]
Placed = tuple[int, Example]  # and its place in the stream


class Batches(grain.IterDataset[Example]):
    """Batches of `size` examples in the order of `examples`, those that are None left out.

    Without `drop_remainder` the last batch of a finite stream may be smaller.
    """

    def __init__(
        self, examples: grain.MapDataset[Example], size: int, drop_remainder: bool
    ) -> None:
        super().__init__(examples)
        self._size, self._drop_remainder = size, drop_remainder

    @property
    def _examples(self) -> grain.MapDataset[Example]:
        assert isinstance(self._parent, grain.MapDataset)
        return self._parent

    def set_slice(self, sl: slice, sequential_slice: bool = False) -> None:
        """Take a part of the examples only. grain calls it in each of several worker processes."""
        assert not sequential_slice
        self._parents = (self._examples.slice(sl),)

    def __iter__(self) -> grain.DatasetIterator[Example]:
        threads = min(_MOST_THREADS, _cores())
        # All threads make the first batch: a training waits for it.
        together = min(-(-self._size // threads), _MOST_TOGETHER)
        ahead = max(-(-2 * self._size // together), threads)
        reading = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
        groups = iter(_Groups(self._examples, together).to_iter_dataset(reading))
        count = len(self._examples)
        return _Iterator(groups, together, count, self._size, self._drop_remainder)


def _cores() -> int:
    """Those that this process may use, where the system tells: threads beyond them only wait."""
    has_limits = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_limits else os.cpu_count() or 1


class _Groups(grain.MapDataset[list[Placed]]):
    """A few examples at a time, those that are not None."""

    def __init__(self, examples: grain.MapDataset[Example], together: int) -> None:
        super().__init__(examples)
        self._together = together

    def __len__(self) -> int:
        return -(-len(self._parent) // self._together)

    def __getitem__(self, index: Any) -> Any:
        start = index * self._together
        places = range(start, min(start + self._together, len(self._parent)))
        examples = ((place, self._parent[place]) for place in places)
        return [(place, example) for place, example in examples if example is not None]


class _Iterator(grain.DatasetIterator[Example]):
    """Its position is the place after the last example that was given out."""

    def __init__(
        self,
        groups: grain.DatasetIterator[list[Placed]],
        together: int,
        end: int,
        size: int,
        drop_remainder: bool,
    ) -> None:
        super().__init__(groups)
        self._together, self._end = together, end
        self._size, self._drop_remainder = size, drop_remainder
        self._next = 0
        self._waiting: collections.deque[Placed] = collections.deque()

    def __next__(self) -> Example:
        batch: list[Example] = []
        while len(batch) < self._size:
            if not self._waiting:
                try:
                    self._waiting.extend(next(self._parent))
                except StopIteration:
                    self._next = self._end
                    break
                continue
            place, example = self._waiting.popleft()
            if place >= self._next:  # a restored position may lie within a group
                batch.append(example)
                self._next = place + 1
        if not batch or (self._drop_remainder and len(batch) < self._size):
            raise StopIteration
        return {name: np.array([example[name] for example in batch]) for name in batch[0]}

    def start_prefetch(self) -> None:
        """Begin before the first batch is asked for."""
        self._parent.start_prefetch()

    def get_state(self) -> dict[str, Any]:
        """The position, as grain's own iterators give it."""
        return {"next_index": self._next}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go to a position."""
        self._next = state["next_index"]
        self._parent.set_state({"next_index": self._next // self._together})
        self._waiting.clear()
