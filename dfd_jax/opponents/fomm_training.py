"""Training of the First Order Motion Model without labels (Siarohin et al. 2019, section 3.3).

It needs pairs of pictures of one person: the first, animated to the pose of the second, should
equal the second. Keypoints, motion and decoder are trained by this reconstruction; the equivariance
losses (Eq. 10 to 12) keep keypoints at the same places of a face. Pure functions.

The authors compare pictures by features of an ImageNet network, which is a download. Here they are
compared by the features of perceptual.py and by their pixels, at several sizes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Int, UInt8

from dfd_jax import models, pixels
from dfd_jax.method import perceptual
from dfd_jax.models import warp
from dfd_jax.models.frozen import Card, Network
from dfd_jax.models.generators.fomm import FOMM, motion
from dfd_jax.models.generators.fomm.motion import KeyPoints
from dfd_jax.runtime import processes
from dfd_jax.runtime.config import Config
from dfd_jax.training import optimizer, setup

# source, driving: uint8 [b s s 3], two pictures of one person each. If the batch has drawn people
# also source_spots, driving_spots [b k 2] in [-1, 1], where -1 and 1 are the pictures' edges, and
# known [b]: 1 where they are valid, else 0.
Batch = dict[str, Array]


class MotionObjective(NamedTuple):
    """Weights of the losses. A weight of 0 leaves its term out."""

    pixels: float = 2.0  # mean absolute difference, at every size of the pyramid
    perceptual: float = 1.0  # perceptual.py's distance, at every size of the pyramid
    equivariance_value: float = 1.0  # keypoints move as the picture is bent
    equivariance_jacobian: float = 1.0  # and so do the motions around them
    spots: float = 0.0  # keypoints lie on the spots of the face (data/spots.py), where known
    sizes: int = 3  # of the pyramid: the picture, its half, its quarter, …


@struct.dataclass
class MotionState:
    """What training changes; `averaged` are the variables that are shipped."""

    step: Int[Array, ""]
    variables: Any  # params and batch_stats
    averaged: Any
    opt: Any


class MotionTraining(NamedTuple):
    """Networks and settings of one training."""

    net: FOMM
    judge: Network  # whose features compare pictures
    tx: optax.GradientTransformation
    objective: MotionObjective
    averaging: float = 0.999
    batches_per_step: int = 1


def new_training(config: Config) -> MotionTraining:
    """New networks and optimizer. ValueError for another model than fomm."""
    t = config.train
    card = Card(
        config.generator.model,
        config.generator.hyper.to_dict(),
        config.data.size,
        input_mean=(0.0, 0.0, 0.0),
        input_std=(1.0, 1.0, 1.0),
    )
    built = models.build(card, config.seed, jnp.dtype(config.dtype))
    net = setup.starting_from(built, config.generator.start)
    if not isinstance(net, FOMM):
        raise ValueError(f"config.generator.model is {card.model!r}; expected fomm")
    return MotionTraining(
        net,
        perceptual.network(),
        optimizer.make_optimizer(t.learning_rate, t.steps, warmup=100, clip=1.0),
        MotionObjective(**config.objective.to_dict()),
        t.averaging,
    )


def create_state(training: MotionTraining) -> MotionState:
    """The state before the first step."""
    variables = jax.tree.map(jnp.array, training.net.variables)
    return MotionState(
        step=jnp.zeros((), jnp.int32),
        variables=variables,
        averaged=jax.tree.map(jnp.copy, variables),
        opt=training.tx.init(variables["params"]),
    )


def averaged_net(training: MotionTraining, state: MotionState) -> FOMM:
    """The generator as it would be shipped now."""
    return training.net.with_variables(state.averaged)  # pyright: ignore[reportReturnType]


@jax.jit
def reenact(
    net: FOMM, source: UInt8[Array, "b s s 3"], driving: UInt8[Array, "b s s 3"]
) -> UInt8[Array, "b s s 3"]:
    """Each source, animated to the pose of its driving picture as in training."""
    wanted = net.keypoints(pixels.from_uint8(driving))
    photos = (pixels.from_uint8(source) + 1) / 2
    return pixels.to_uint8(2 * net.apply(net.variables, photos, wanted) - 1)


Update = Callable[[MotionState, Network, Batch, Array], tuple[MotionState, dict[str, Array]]]


class MotionStep(NamedTuple):
    """`step(state, batches, key) → (state, metrics)`: an update on each batch, metrics of the last.

    Randomness comes from `key` and the state's counter alone.
    """

    update: Update
    judge: Network

    def __call__(
        self, state: MotionState, batches: Sequence[Batch], key: Array
    ) -> tuple[MotionState, dict[str, Array]]:
        logged: dict[str, Array] = {}
        for batch in batches:
            state, logged = self.update(state, self.judge, batch, key)
        return state, logged

    def compiled(self, state: MotionState, batches: Sequence[Batch], key: Array) -> "MotionStep":
        """The step, compiled for arguments like these (see processes.compile_step), with the judge
        on the devices of the state.
        """
        judge = jax.device_put(jax.device_get(self.judge), state.step.sharding)
        update = processes.compile_step(self.update, state, judge, batches[-1], key)
        return MotionStep(update, judge)


def make_train_step(training: MotionTraining) -> MotionStep:
    """The step of this training, not compiled yet."""

    def update(
        state: MotionState, judge: Network, batch: Batch, key: Array
    ) -> tuple[MotionState, dict[str, Array]]:
        def loss(params: Any) -> Any:
            variables = {**state.variables, "params": params}
            rng = jax.random.fold_in(key, state.step)
            return _loss(training._replace(judge=judge), variables, batch, rng)

        params = state.variables["params"]
        grads, (statistics, logged) = jax.grad(loss, has_aux=True)(params)
        updates, opt = training.tx.update(grads, state.opt, params)
        variables = {"params": optax.apply_updates(params, updates), **statistics}
        averaged = optimizer.moved_average(
            state.averaged, variables, training.averaging, state.step
        )
        return MotionState(state.step + 1, variables, averaged, opt), logged

    return MotionStep(jax.jit(update, donate_argnums=0), training.judge)


def _loss(training: MotionTraining, variables: Any, batch: Batch, rng: Array) -> Any:
    """The weighted sum of the terms, with the updated batch statistics and the terms."""
    source, driving = (pixels.from_uint8(batch[name]) for name in ("source", "driving"))
    bend = random_bend(rng, len(driving))
    bent = bend.picture(driving)
    (fakes, start, before, after), statistics = _forward(
        training.net, variables, source, driving, bent
    )
    weights = training.objective
    terms = {
        "equivariance_value": jnp.abs(before.value - bend.places(after.value)).mean(),
        "equivariance_jacobian": _jacobians_differ(bend, before, after),
        **_unlike(training, fakes, driving),
    }
    if weights.spots and "known" in batch:
        terms["spots"] = _off_spots(start, before, batch, source.shape[1])
    loss = sum((getattr(weights, name) * value for name, value in terms.items()), jnp.zeros(()))
    change = jnp.abs(fakes - source).mean()
    return loss, (statistics, {"loss": loss, **terms, "change": change})


def _forward(
    net: FOMM, variables: Any, source: Array, driving: Array, bent: Array
) -> tuple[tuple[Float[Array, "b s s 3"], KeyPoints, KeyPoints, KeyPoints], dict[str, Any]]:
    """Fakes in [-1, 1], keypoints of `source`, `driving` and `bent`, and the updated statistics."""

    def run(module: Any) -> tuple[Array, KeyPoints, KeyPoints, KeyPoints]:
        shown = [(picture + 1) / 2 for picture in (source, driving, bent)]
        points = module.keypoints(jnp.concatenate(shown), train=True)
        start, end, after = (
            jax.tree.map(lambda a, i=i: jnp.split(a, len(shown))[i], points) for i in range(3)
        )
        flow = module.flow(shown[0], start, end, train=True)
        features = module.encode(shown[0], train=True)
        return 2 * module.decode(features, flow, train=True) - 1, start, end, after

    return nn.apply(run, net.module, mutable=["batch_stats"])(variables)


def _off_spots(source: KeyPoints, driving: KeyPoints, batch: Batch, size: int) -> Float[Array, ""]:
    """Mean distance of the keypoints from the known spots, in their order."""
    off = jnp.zeros(())
    for points, name in ((source, "source_spots"), (driving, "driving_spots")):
        wanted = batch[name] * (size / (size - 1))  # keypoints: ±1 are centres of corner pixels
        count = min(wanted.shape[1], points.value.shape[1])
        apart = jnp.abs(points.value[:, :count] - wanted[:, :count]).mean((1, 2))
        off += (batch["known"] * apart).sum() / (batch["known"].sum() + 1e-3)
    return off / 2


def _unlike(training: MotionTraining, fakes: Array, wanted: Array) -> dict[str, Array]:
    """Distances of the pictures, summed over the sizes of the pyramid."""
    apart = {"pixels": jnp.zeros(()), "perceptual": jnp.zeros(())}
    for _ in range(training.objective.sizes):
        apart["pixels"] += jnp.abs(fakes - wanted).mean()
        if training.objective.perceptual and min(fakes.shape[1:3]) >= perceptual.SMALLEST:
            apart["perceptual"] += perceptual.between(training.judge, fakes, wanted).mean()
        fakes, wanted = (nn.avg_pool(x, (2, 2), (2, 2)) for x in (fakes, wanted))
    return apart


def _jacobians_differ(bend: "Bend", before: KeyPoints, after: KeyPoints) -> Float[Array, ""]:
    """Eq. 12: how far J(driving)^-1 (dT/dp) J(bent) is from the identity."""
    if before.jacobian is None or after.jacobian is None:
        return jnp.zeros(())
    carried = motion.matmul_2x2(bend.jacobians(after.value), after.jacobian)
    product = motion.matmul_2x2(motion.inverse_2x2(before.jacobian), carried)
    return jnp.abs(product - jnp.eye(2)).mean()


# -------------------------------------------------------------------------- bending pictures


@struct.dataclass
class Bend:
    """A smooth map of the plane for each picture: affine, and thin plates pushed at a few spots."""

    matrix: Float[Array, "b 2 2"]
    shift: Float[Array, "b 2"]
    spots: Float[Array, "b s 2"]
    pushes: Float[Array, "b s 2"]

    def places(self, points: Float[Array, "b k 2"]) -> Float[Array, "b k 2"]:
        """Where the picture before the bend shows what the bent one has at these points (x, y)."""
        return jax.vmap(jax.vmap(_bent, (None, 0)))(self, points)

    def jacobians(self, points: Float[Array, "b k 2"]) -> Float[Array, "b k 2 2"]:
        """The derivatives of `places`: [.. i j] is d place_i / d point_j."""
        return jax.vmap(jax.vmap(jax.jacfwd(_bent, argnums=1), (None, 0)))(self, points)

    def picture(self, pictures: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """The bent pictures. Beyond a picture's border its last pixels go on."""
        b, h, w, _ = pictures.shape
        grid = jnp.asarray(warp.identity_grid(h, w), jnp.float32).reshape(1, h * w, 2)
        looked_up = self.places(jnp.broadcast_to(grid, (b, h * w, 2))).reshape(b, h, w, 2)
        return warp.grid_sample(pictures, jnp.clip(looked_up, -1, 1), align_corners=True)


def random_bend(
    rng: Array, count: int, affine: float = 0.05, plates: float = 0.005, side: int = 5
) -> Bend:
    """Bends as strong as in the authors' configuration: standard deviations of the affine map's six
    entries, and of the pushes at `side` x `side` spots.
    """
    of_matrix, of_shift, of_pushes = jax.random.split(rng, 3)
    spots = jnp.asarray(warp.identity_grid(side, side), jnp.float32).reshape(-1, 2)
    return Bend(
        matrix=jnp.eye(2) + affine * jax.random.normal(of_matrix, (count, 2, 2)),
        shift=affine * jax.random.normal(of_shift, (count, 2)),
        spots=jnp.broadcast_to(spots, (count, *spots.shape)),
        pushes=plates * jax.random.normal(of_pushes, (count, side * side, 2)),
    )


def _bent(bend: Bend, point: Float[Array, "2"]) -> Float[Array, "2"]:
    """One point of one picture."""
    squared = jnp.square(point - bend.spots).sum(-1)
    plates = squared * jnp.log(squared + 1e-6)
    return bend.matrix @ point + bend.shift + plates @ bend.pushes
