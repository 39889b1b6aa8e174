"""How long calls take that are to be compared: in turn, so that a machine's moods affect all."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.charts import Spread, spread_of

TRIALS = 3  # calls that decide which of several ways is the fastest


def keep_to_one_core() -> None:
    """For `clock="cpu"`, before JAX and PyTorch count the cores: waiting does not count then."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def timed(call: Callable[[], Any], clock: str) -> float:
    """Milliseconds of one call: of the wall clock, or ("cpu") of this process's processors."""
    now = time.perf_counter if clock == "wall" else time.process_time
    start = now()
    call()
    return 1000 * (now() - start)


def alternated(
    calls: Mapping[str, Callable[[], Any]], repeats: int, clock: str, photos: int = 1
) -> dict[str, Spread]:
    """Milliseconds per photo of calls that handle `photos` photos each, already compiled."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            taken[name].append(timed(call, clock) / photos)
    return {name: spread_of(times) for name, times in taken.items()}


def fastest(calls: Mapping[str, Callable[[], Any]], clock: str) -> str:
    """The call whose best of a few tries is the shortest, after one that warms it up."""
    best: dict[str, float] = {}
    for name, call in calls.items():
        call()
        best[name] = min(timed(call, clock) for _ in range(TRIALS))
    return min(best, key=lambda name: best[name])


def relative_l2(values: np.ndarray, expected: np.ndarray) -> float:
    """The distance of two arrays, relative to the size of the second."""
    return float(np.linalg.norm(values - expected) / np.linalg.norm(expected))
