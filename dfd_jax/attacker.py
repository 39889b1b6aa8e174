"""The attacker's side of an evaluation: 8-bit photos in, fakes and verdicts out.

Everything here has been through 8 bits before it is looked at: the photos that arrive, and the
fakes that detectors judge. Batches are padded to one size, so that each network is compiled once.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from dfd_jax import pixels, steps
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator


class Networks(NamedTuple):
    """Everything an evaluation asks, by name."""

    generators: Mapping[str, FrozenGenerator]
    detectors: Mapping[str, FrozenDetector]
    batch_size: int = 16


class Fakes(NamedTuple):
    """One generator's fakes under one condition for every photo, and what each detector says of
    them.
    """

    images: UInt8[np.ndarray, "n s s 3"]
    p_reals: dict[str, Float[np.ndarray, " n"]]

    @property
    def units(self) -> Float[np.ndarray, "n s s 3"]:
        """The fakes on [-1, 1]."""
        return units(self.images)


def units(images: UInt8[np.ndarray, "n s s 3"]) -> Float[np.ndarray, "n s s 3"]:
    """8-bit pictures on [-1, 1], on the host."""
    return images.astype(np.float32) / pixels.LEVELS_PER_UNIT - 1.0


def conditions_of(generator: FrozenGenerator, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The conditions to evaluate: those wanted, or all that the generator knows."""
    unknown = [c for c in wanted if c not in generator.card.condition]
    if unknown:
        raise ValueError(
            f"unknown conditions {', '.join(unknown)}; "
            f"the generator has {', '.join(generator.card.condition)}"
        )
    return wanted or generator.card.condition


def make_fakes(
    networks: Networks,
    generator: str,
    photos: UInt8[np.ndarray, "n s s 3"],
    attributes: Float[np.ndarray, "n a"],
    condition: str,
) -> Fakes:
    """G(photo, condition) for every photo, as 8-bit pictures, with every detector's verdict."""
    net, judges = networks.generators[generator], tuple(networks.detectors.values())
    images, verdicts = [], []
    for batch, labels, count in _batches(networks.batch_size, photos, attributes):
        target = net.sample_condition(jax.random.key(0), jnp.asarray(labels), condition)
        seen = steps.fake_and_judge(net, judges, jnp.asarray(batch), target)
        images.append(np.asarray(seen.fakes)[:count])
        verdicts.append([np.asarray(p)[:count] for p in seen.p_reals])
    return Fakes(np.concatenate(images), _by_name(networks, verdicts))


def judge(
    networks: Networks, photos: UInt8[np.ndarray, "n s s 3"]
) -> dict[str, Float[np.ndarray, " n"]]:
    """Every detector's probability that each picture is real."""
    verdicts = []
    for batch, _, count in _batches(networks.batch_size, photos, photos):
        seen = steps.judge(tuple(networks.detectors.values()), jnp.asarray(batch))
        verdicts.append([np.asarray(p)[:count] for p in seen])
    return _by_name(networks, verdicts)


def _by_name(networks: Networks, verdicts: list[Any]) -> dict[str, Float[np.ndarray, " n"]]:
    return {
        name: np.concatenate([batch[i] for batch in verdicts])
        for i, name in enumerate(networks.detectors)
    }


def _batches(
    size: int, photos: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    for start in range(0, len(photos), size):
        rows = np.arange(start, start + size).clip(max=len(photos) - 1)  # the last one fills up
        yield photos[rows], labels[rows], min(size, len(photos) - start)
