"""Running generators and detectors over 8-bit photos.

Everything is rounded to 8 bits before it is looked at: the photos, and the fakes that detectors
judge. Batches are padded to one size, so that each network is compiled once.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from dfd_jax import pixels
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator
from dfd_jax.runtime.batching import padded_batches
from dfd_jax.training import steps

Conditions = Mapping[str, tuple[str, ...]]  # generator → the conditions to evaluate


class Networks(NamedTuple):
    """The generators and detectors of an evaluation, by name."""

    generators: Mapping[str, FrozenGenerator]
    detectors: Mapping[str, FrozenDetector]
    label_names: tuple[str, ...]  # what the photos' attributes are
    batch_size: int = 16

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sides of the squares that the generators take, each once."""
        return tuple(dict.fromkeys(map(self.size, self.generators)))

    def size(self, generator: str) -> int:
        """The side of the squares that a generator takes."""
        return self.generators[generator].card.input_size

    def only(self, generator: str) -> "Networks":
        """One generator and every detector."""
        return self._replace(generators={generator: self.generators[generator]})


class Fakes(NamedTuple):
    """One generator's fakes under one condition, and each detector's probability of "real".

    k is 1, or the number of driving frames of the condition.
    """

    images: UInt8[np.ndarray, "n k s s 3"]
    p_reals: dict[str, Float[np.ndarray, "n k"]]

    @property
    def units(self) -> Float[np.ndarray, "m s s 3"]:
        """All n x k fakes on [-1, 1], those of the first photo first."""
        return pixels.from_uint8(self.images.reshape(-1, *self.images.shape[2:]))


def conditions_of(
    generators: Mapping[str, FrozenGenerator], wanted: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """For each generator the wanted conditions that it knows, or its own choice if it knows none.

    ValueError if no generator knows a wanted condition.
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
    net, detectors = networks.generators[generator], tuple(networks.detectors.values())
    labels = steps.pick_labels(net, attributes, networks.label_names)
    images, verdicts = [], []
    for rows, real in padded_batches(len(photos), networks.batch_size):
        target = net.test_condition(jnp.asarray(labels[rows]), condition)
        seen = steps.fake_and_judge(net, detectors, jnp.asarray(photos[rows]), target)
        images.append(_by_photo(seen.fakes, len(rows))[:real])
        verdicts.append([_by_photo(p, len(rows))[:real] for p in seen.p_reals])
    return Fakes(np.concatenate(images), _by_name(networks, verdicts))


def judge(
    networks: Networks, photos: UInt8[np.ndarray, "n s s 3"]
) -> dict[str, Float[np.ndarray, " n"]]:
    """Every detector's probability that each picture is real."""
    verdicts = []
    for rows, real in padded_batches(len(photos), networks.batch_size):
        p_reals = steps.judge(tuple(networks.detectors.values()), jnp.asarray(photos[rows]))
        verdicts.append([np.asarray(p)[:real] for p in p_reals])
    return _by_name(networks, verdicts)


def _by_photo(array: Any, photos: int) -> np.ndarray:
    """[photos * frames, …], photo by photo, as [photos, frames, …]."""
    values = np.asarray(array)
    return values.reshape(photos, -1, *values.shape[1:])


def _by_name(networks: Networks, verdicts: list[Any]) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate([batch[i] for batch in verdicts])
        for i, name in enumerate(networks.detectors)
    }
