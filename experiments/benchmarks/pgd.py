"""P and PGD on the same photos, as table 9 and the benchmark time them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from dfd_jax import pixels
from dfd_jax.method import attacks
from dfd_jax.method.forward import Opponents
from dfd_jax.method.protector import Protector
from dfd_jax.models.frozen import FrozenGenerator
from experiments.benchmarks import timing
from experiments.charts import Spread

BATCHES = (1, 4, 16, 64)


class Attacked(NamedTuple):
    """The generator that both disrupt, under one condition, and the attack."""

    generator: FrozenGenerator
    condition: str
    plan: attacks.Attack


def calls(
    attacked: Attacked, protector: Protector, photos: UInt8[np.ndarray, "b s s 3"]
) -> dict[str, Callable[[], Any]]:
    """Each computes the perturbations of photos in memory and hands them to the host."""
    net, condition, plan = attacked
    images = pixels.from_uint8(jnp.asarray(photos))
    target = net.test_condition(jnp.zeros((len(photos), len(net.labels))), condition)
    # The fakes of the clean photos are made before: an attack needs them to start with, but they
    # are not part of its steps.
    references = (jax.jit(lambda net, x, c: net(x, c))(net, images, target),)
    against, key = Opponents((net,), (), ()), jax.random.key(0)

    def pgd() -> np.ndarray:
        return np.asarray(
            attacks.attack(against, images, [(target,)], plan, key, references=references)
        )

    return {"pgd": pgd, "p": lambda: protector.outputs(photos)}


def timed(both: Mapping[str, Callable[[], Any]], repeats: int, clock: str, photos: int) -> Any:
    """Milliseconds per photo of both, in turn, after a turn that compiles."""
    for call in both.values():
        call()
    return timing.alternated(both, repeats, clock, photos)


def ratio(times: Mapping[str, Spread]) -> float:
    """How many times P is as fast as PGD."""
    return times["pgd"]["median"] / times["p"]["median"]


def at_best(by_batch: Mapping[int, Mapping[str, Spread]]) -> dict[str, Spread]:
    """Each one's fastest batch."""
    return {
        name: min((times[name] for times in by_batch.values()), key=lambda of: of["median"])
        for name in ("pgd", "p")
    }
