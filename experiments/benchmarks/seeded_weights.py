"""Random weights that keep activations at their size, for networks whose own are not at hand."""

import zlib

import numpy as np


def seeded_arrays(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Random arrays by our names: activations keep their size, norms and biases are not trivial."""
    return {name: _seeded(name, shape) for name, shape in shapes.items()}


def _seeded(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    leaf = name.rsplit("/", 1)[1]
    if leaf == "kernel":
        values = rng.normal(scale=np.prod(shape[:-1]) ** -0.5, size=shape)
    elif leaf in ("scale", "var"):
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = rng.normal(scale=0.1, size=shape)
    return values.astype(np.float32)
