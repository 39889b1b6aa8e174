"""The attacker's side of an evaluation: 8-bit photos in, fakes and verdicts out.

Everything here has been through 8 bits before it is looked at: the photos that arrive, and the
fakes that detectors judge. Batches are padded to one size, so that each network is compiled once.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from dfd_jax import pixels
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator
from dfd_jax.training import steps

Photos = Mapping[int, UInt8[np.ndarray, "n s s 3"]]  # the same photos at every generator's size


class Networks(NamedTuple):
    """Everything an evaluation asks, by name."""

    generators: Mapping[str, FrozenGenerator]
    detectors: Mapping[str, FrozenDetector]
    label_names: tuple[str, ...]  # what the photos' attributes are
    batch_size: int = 16

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sides of the squares that the generators take, each once."""
        return tuple(dict.fromkeys(g.card.input_size for g in self.generators.values()))


class Fakes(NamedTuple):
    """One generator's fakes under one condition, and what each detector says of them.

    k is 1, or the number of driving frames of the condition.
    """

    images: UInt8[np.ndarray, "n k s s 3"]
    p_reals: dict[str, Float[np.ndarray, "n k"]]

    @property
    def units(self) -> Float[np.ndarray, "m s s 3"]:
        """All n x k fakes on [-1, 1], those of the first photo first."""
        return units(self.images.reshape(-1, *self.images.shape[2:]))


def units(images: UInt8[np.ndarray, "n s s 3"]) -> Float[np.ndarray, "n s s 3"]:
    """8-bit pictures on [-1, 1], on the host."""
    return images.astype(np.float32) / pixels.LEVELS_PER_UNIT - 1.0


def conditions_of(
    generators: Mapping[str, FrozenGenerator], wanted: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """The conditions to evaluate, by generator: those wanted that it knows, else its own choice.

    ValueError if a condition is wanted that no generator knows.
    """
    known = {c for net in generators.values() for c in net.conditions}
    unknown = [c for c in wanted if c not in known]
    if unknown:
        raise ValueError(
            f"unknown conditions {', '.join(unknown)}; "
            f"the generators have {', '.join(sorted(known))}"
        )
    return {
        name: tuple(c for c in wanted if c in net.conditions) or net.test_conditions
        for name, net in generators.items()
    }


def make_fakes(
    networks: Networks,
    generator: str,
    photos: UInt8[np.ndarray, "n s s 3"],
    attributes: Float[np.ndarray, "n a"],
    condition: str,
) -> Fakes:
    """G(photo, condition) for every photo, as 8-bit pictures, with every detector's verdict."""
    net, judges = networks.generators[generator], tuple(networks.detectors.values())
    labels = steps.pick_labels(net, attributes, networks.label_names)
    images, verdicts = [], []
    for rows, count in full_batches(len(photos), networks.batch_size):
        target = net.test_condition(jnp.asarray(labels[rows]), condition)
        seen = steps.fake_and_judge(net, judges, jnp.asarray(photos[rows]), target)
        images.append(_by_photo(seen.fakes, len(rows))[:count])
        verdicts.append([_by_photo(p, len(rows))[:count] for p in seen.p_reals])
    return Fakes(np.concatenate(images), _by_name(networks, verdicts))


def judge(
    networks: Networks, photos: UInt8[np.ndarray, "n s s 3"]
) -> dict[str, Float[np.ndarray, " n"]]:
    """Every detector's probability that each picture is real."""
    verdicts = []
    for rows, count in full_batches(len(photos), networks.batch_size):
        seen = steps.judge(tuple(networks.detectors.values()), jnp.asarray(photos[rows]))
        verdicts.append([np.asarray(p)[:count] for p in seen])
    return _by_name(networks, verdicts)


def _by_photo(array: Any, photos: int) -> np.ndarray:
    """Photo-major results with the frames of each photo on an axis of their own."""
    found = np.asarray(array)
    return found.reshape(photos, -1, *found.shape[1:])


def _by_name(networks: Networks, verdicts: list[Any]) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate([batch[i] for batch in verdicts])
        for i, name in enumerate(networks.detectors)
    }


def full_batches(count: int, size: int) -> Iterator[tuple[Int[np.ndarray, " size"], int]]:
    """Which of `count` photos are in each batch of `size`, and how many of those are not there just
    to fill up the last one (by repeating its last photo).
    """
    for start in range(0, count, size):
        yield np.arange(start, start + size).clip(max=count - 1), min(size, count - start)
