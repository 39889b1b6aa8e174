"""How long protecting a photo takes on one device of this machine."""

import time

import jax
import numpy as np
from jaxtyping import UInt8

from dfd_jax.evaluation.results import Speed
from dfd_jax.method.protector import Protector
from dfd_jax.models.frozen import Perturber
from dfd_jax.runtime import sharding

BATCHES = (1, 4, 16, 64)
REPEATS = 5


def measure(perturber: Perturber, crops: UInt8[np.ndarray, "n s s 3"]) -> Speed:
    """Milliseconds per photo of P's forward pass, compiled; medians of repeated calls."""
    milliseconds = {batch: _milliseconds(perturber, crops, batch) for batch in BATCHES}
    best = min(milliseconds, key=lambda batch: milliseconds[batch])
    return Speed(batch_1_ms=milliseconds[1], best_batch=best, best_batch_ms=milliseconds[best])


def _milliseconds(perturber: Perturber, crops: np.ndarray, batch: int) -> float:
    protector = Protector(perturber, batch, sharding.make_mesh(jax.local_devices()[:1]))
    crops = np.resize(crops, (batch, *crops.shape[1:]))
    protector.outputs(crops)  # compiles
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        protector.outputs(crops)
        seconds.append(time.perf_counter() - began)
    return 1e3 * float(np.median(seconds)) / batch
