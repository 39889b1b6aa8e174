"""Full-size networks and their training step as shapes, and chips to compile them for: no weights,
no computation, no TPU.
"""

import math
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dfd_jax import models
from dfd_jax.method import channel
from dfd_jax.method.budget import Budget
from dfd_jax.method.forward import Opponents
from dfd_jax.method.objective import Objective
from dfd_jax.models.frozen import Card, FrozenDetector, FrozenGenerator, Perturber
from dfd_jax.models.generators.fomm import FOMM
from dfd_jax.training import optimizer, steps
from dfd_jax.training.state import create_state

LABELS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
SIZES = {"xception": 299, "multi_attentional": 380, "efficientnet": 380}  # of detectors
HYPER = {"width": 64, "depth": 5, "patch": 2}  # of P, as in configs/common.py's `paper`
ACCELERATORS = {"v5e": "v5litepod"}  # how libtpu calls them, where it is not their name
DATA = PartitionSpec("data")


class Networks(NamedTuple):
    """What a training step is made of; variables are shapes."""

    perturber: Perturber
    generators: tuple[FrozenGenerator, ...]
    detectors: tuple[FrozenDetector, ...]


def network(model: str, size: int, dtype: Any, frames: int = 1, platform: str | None = None) -> Any:
    """The full-size network of a model: detectors at the size that their authors use, others at
    `size`; one that animates makes `frames` frames of each photo. `platform`: see `models.outline`.
    """
    frozen = models.MODELS[model].frozen
    if issubclass(frozen, FrozenDetector):
        card = Card(model, {}, SIZES.get(model, 224), real_index=0)
    elif issubclass(frozen, Perturber):
        card = Card(model, HYPER, size, budget={"eps_255": 6.375, "bound": "tanh"})
    else:
        card = Card(model, {}, size, condition=LABELS if model == "stargan" else ())
    return of_card(card, dtype, frames, platform)


def of_card(card: Card, dtype: Any, frames: int = 1, platform: str | None = None) -> Any:
    """The network of a card; if it animates, with a motion that makes `frames` frames a photo."""
    net = models.outline(card, dtype, platform)
    if isinstance(net, FOMM):
        still = jnp.zeros((2, card.input_size, card.input_size, 3), jnp.uint8)
        return net.with_motions({"still": still}, frames)
    return net


def training_step(
    nets: Networks, batch: int, sides: tuple[int, ...] = (), mesh: Mesh | None = None
) -> tuple[Any, tuple[Any, ...]]:
    """The jitted step and the shapes of its arguments: (state, opponents, batch, key).

    `sides` are those of the face crops in the files; none: the network's own size. The batch is
    split over the `mesh`, if there is one.
    """
    size = nets.perturber.card.input_size
    labels = tuple(dict.fromkeys(name for net in nets.generators for name in net.labels))
    tx = optimizer.make_optimizer(2e-4, 100, warmup=10)
    step = steps.make_train_step(nets.perturber, tx, Budget(), Objective(), labels, mesh=mesh)
    resizes = tuple(channel.CropResize.of_side(side, size) for side in sides or (size,))
    state = jax.eval_shape(lambda net: create_state(net, tx), nets.perturber)
    photos = {
        "images": jax.ShapeDtypeStruct((batch, size, size, 3), jnp.uint8),
        "attributes": jax.ShapeDtypeStruct((batch, len(labels)), jnp.float32),
    }
    against = Opponents(nets.generators, nets.detectors, resizes)
    return step, (state, against, photos, jax.eval_shape(lambda: jax.random.key(0)))


def mesh_of(topology: str, count: int | None = None) -> Mesh:
    """The first `count` chips of a TPU topology such as `v5e:16x16` (None: all), with the one axis
    of dfd_jax/runtime/sharding.py. ValueError if libtpu is missing or does not know the topology.
    """
    name, _, shape = topology.partition(":")
    chips = math.prod(map(int, shape.split("x")))
    # Read by libtpu when it is loaded, which has not happened yet.
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # no chip is touched
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", f"{ACCELERATORS.get(name, name)}-{chips}")
    from jax.experimental import topologies

    try:
        described = topologies.get_topology_desc(platform="tpu", topology_name=topology)
    except (RuntimeError, NotImplementedError) as error:
        raise ValueError(
            f"no compiler for {topology!r} ({error}); it is in the package libtpu: "
            "pip install 'dfd-jax[tpu]'"
        ) from error
    return Mesh(described.devices[:count], ("data",))


def placed(values: Any, sharding: NamedSharding | None) -> Any:
    """The shapes of a tree of arrays, on these chips (None: this machine)."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), values)


def gib(memory: Any) -> dict[str, float]:
    """GiB on one chip by kind, of a compiled program's memory analysis."""
    return {
        "arguments": memory.argument_size_in_bytes / 2**30,
        "outputs": (memory.output_size_in_bytes - memory.alias_size_in_bytes) / 2**30,
        "temporary": memory.temp_size_in_bytes / 2**30,
    }


def count(net: Any) -> int:
    """How many parameters a network has."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(net.variables["params"]))
