"""Adversarial training of StarGAN and GANimation: Wasserstein with gradient penalty (WGAN-GP).

A critic scores every patch of a picture and reads its labels; the generator has to please both and
to find its way back to the photo. Losses follow Choi et al. 2018 (Eq. 1 to 6) and, for GANimation,
Pumarola et al. 2018 (Eq. 2 to 6); the weights are those of the authors' code. Pure functions.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Int

from dfd_jax import assembly, models, optimizer, pixels, processes
from dfd_jax.config import Config
from dfd_jax.models.frozen import Card, FrozenGenerator, FrozenNetwork
from dfd_jax.models.generators.ganimation import GANimation, compose

# images: uint8 [b s s 3]; attributes: [b a], in the card's order. Where it is known also targets:
# what the fakes should be, and target_attributes: what is asked for then. paired [b] is 1 where
# targets are the truth, and 0 where they stand in; without it they all are.
Batch = dict[str, Array]


class GanObjective(NamedTuple):
    """Weights of the losses. A weight of 0 leaves its term out."""

    critic_labels: float = 1.0  # the critic names the labels of real photos
    adversarial: float = 1.0  # the critic takes the generator's fakes for real
    labels: float = 1.0  # the generator's fakes have the labels that were asked for
    reconstruction: float = 10.0  # back under its own labels, the fake is the photo again
    penalty: float = 10.0  # the critic's gradient has norm 1 between photos and fakes
    attention: float = 0.0  # GANimation: the share of the photo that is kept must not be all
    smoothness: float = 0.0  # GANimation: total variation of the attention
    paired: float = 0.0  # where it is known what a fake should be, it is that
    painted: float = 0.0  # GANimation: and so is the colour alone, wherever something has to change


@struct.dataclass
class GanState:
    """What training changes; `averaged` are the generator's parameters that are shipped."""

    step: Int[Array, ""]  # updates of the generator
    batches: Int[Array, ""]  # updates of the critic
    generator: Any
    averaged: Any
    critic: Any
    generator_opt: Any
    critic_opt: Any


class GanTraining(NamedTuple):
    """Networks and settings of one training."""

    net: FrozenGenerator
    critic: FrozenNetwork  # models.generators.stargan.Discriminator
    generator_tx: optax.GradientTransformation
    critic_tx: optax.GradientTransformation
    objective: GanObjective
    averaging: float = 0.999
    batches_per_step: int = 5  # updates of the critic for one of the generator
    has_critic: bool = True  # without one, the truth alone teaches, and a step has one batch


def new_training(config: Config) -> GanTraining:
    """Fresh networks and optimizers. ValueError for a model that is trained in another way."""
    t, size = config.train, config.data.size
    labels, dtype = tuple(config.conditions), jnp.dtype(config.dtype)
    hyper = {**config.generator.hyper.to_dict(), "c_dim": len(labels)}
    card = Card(config.generator.model, hyper, size, condition=labels)
    net = assembly.started(models.build(card, config.seed, dtype), config.generator.start)
    if net.card.model not in ("stargan", "ganimation") or not isinstance(net, FrozenGenerator):
        raise ValueError(
            f"config.generator.model is {net.card.model!r}; expected stargan or ganimation"
        )
    critic_hyper = {
        **config.critic.hyper.to_dict(),
        "c_dim": len(labels),
        "image_size": size,
    }
    critic = models.build(Card("stargan_discriminator", critic_hyper, size), config.seed, dtype)
    critic = assembly.started(critic, config.critic.get("start", ""))  # older runs do not say
    return GanTraining(
        net,
        critic,
        make_optimizer(t.learning_rate, t.steps, t.get("beta", 0.5)),  # older runs do not say
        make_optimizer(t.learning_rate, t.steps * max(t.critic_updates, 1)),
        GanObjective(**config.objective.to_dict()),
        t.averaging,
        max(t.critic_updates, 1),
        t.critic_updates > 0,
    )


def make_optimizer(
    learning_rate: float, updates: int, beta: float = 0.5
) -> optax.GradientTransformation:
    """Adam (beta, 0.999); the rate is constant for the first half and then falls linearly to 0."""
    half = max(updates // 2, 1)
    falling = optax.linear_schedule(learning_rate, 0.0, max(updates - half, 1))
    schedule = optax.join_schedules([optax.constant_schedule(learning_rate), falling], [half])
    return optax.adam(schedule, beta, 0.999)


def create_state(training: GanTraining) -> GanState:
    """The state before the first step."""
    generator, critic = (
        jax.tree.map(jnp.array, net.variables["params"]) for net in (training.net, training.critic)
    )
    zero = jnp.zeros((), jnp.int32)
    return GanState(
        step=zero,
        batches=jnp.copy(zero),
        generator=generator,
        averaged=jax.tree.map(jnp.copy, generator),
        critic=critic,
        generator_opt=training.generator_tx.init(generator),
        critic_opt=training.critic_tx.init(critic),
    )


def averaged_net(training: GanTraining, state: GanState) -> FrozenGenerator:
    """The generator as it would be shipped now."""
    return training.net.with_variables({"params": state.averaged})


def critic_net(training: GanTraining, state: GanState) -> FrozenNetwork:
    """The critic as it is now, from which a later training can go on."""
    return training.critic.with_variables({"params": state.critic})


GanStep = Callable[[GanState, Sequence[Batch], Array], tuple[GanState, dict[str, Array]]]


def make_train_step(training: GanTraining) -> GanStep:
    """`step(state, batches, key) → (state, metrics)`: a critic update on each batch, then one of
    the generator on the last. Randomness comes from `key` and the state's counters alone.
    """

    def critic_step(state: GanState, batch: Batch, key: Array) -> tuple[GanState, dict[str, Array]]:
        rng = jax.random.fold_in(jax.random.fold_in(key, 0), state.batches)
        grads, logged = jax.grad(_critic_loss, has_aux=True)(
            state.critic, state.generator, training, batch, rng
        )
        updates, opt = training.critic_tx.update(grads, state.critic_opt, state.critic)
        critic = optax.apply_updates(state.critic, updates)
        return state.replace(  # pyright: ignore[reportAttributeAccessIssue]
            batches=state.batches + 1, critic=critic, critic_opt=opt
        ), logged

    def generator_step(
        state: GanState, batch: Batch, key: Array
    ) -> tuple[GanState, dict[str, Array]]:
        rng = jax.random.fold_in(jax.random.fold_in(key, 1), state.step)
        grads, logged = jax.grad(_generator_loss, has_aux=True)(
            state.generator, state.critic, training, batch, rng
        )
        updates, opt = training.generator_tx.update(grads, state.generator_opt, state.generator)
        generator = optax.apply_updates(state.generator, updates)
        averaged = optimizer.moved_average(
            state.averaged, generator, training.averaging, state.step
        )
        return state.replace(  # pyright: ignore[reportAttributeAccessIssue]
            step=state.step + 1, generator=generator, averaged=averaged, generator_opt=opt
        ), logged

    update_critic = processes.together(jax.jit(critic_step, donate_argnums=0))
    update_generator = processes.together(jax.jit(generator_step, donate_argnums=0))

    def step(
        state: GanState, batches: Sequence[Batch], key: Array
    ) -> tuple[GanState, dict[str, Array]]:
        of_critic: dict[str, Array] = {}
        for batch in batches if training.has_critic else ():
            state, of_critic = update_critic(state, batch, key)
        state, of_generator = update_generator(state, batches[-1], key)
        return state, {**of_critic, **of_generator}

    return step


def translate(
    net: FrozenGenerator, params: Any, images: Float[Array, "b s s 3"], condition: Array
) -> tuple[Float[Array, "b s s 3"], Array | None]:
    """Fakes, and GANimation's attention (None for a generator that paints the whole picture)."""
    fakes, _, attention = painted(net, params, images, condition)
    return fakes, attention


def painted(
    net: FrozenGenerator, params: Any, images: Float[Array, "b s s 3"], condition: Array
) -> tuple[Float[Array, "b s s 3"], Float[Array, "b s s 3"], Array | None]:
    """Fakes, the colour in them before the photo is mixed in, and GANimation's attention."""
    if isinstance(net, GANimation):
        colour, attention = net.apply({"params": params}, images, condition)
        return compose(images, colour, attention), colour, attention
    fakes = net.apply({"params": params}, images, condition)
    return fakes, fakes, None


def label_loss(
    net: FrozenGenerator, logits: Float[Array, "b a"], labels: Float[Array, "b a"]
) -> Float[Array, ""]:
    """How far a critic's reading of the labels is off: action units by their squared error,
    attributes by the cross-entropy, summed over attributes (both per photo).
    """
    if isinstance(net, GANimation):
        return jnp.square(logits - labels).mean()
    return optax.sigmoid_binary_cross_entropy(logits, labels).sum(1).mean()


def _critic_loss(
    critic: Any, generator: Any, training: GanTraining, batch: Batch, rng: Array
) -> tuple[Array, dict[str, Array]]:
    weights, images, labels = training.objective, *_real(batch)
    target_rng, mix_rng = jax.random.split(rng)
    asked = _asked(target_rng, batch, labels)
    fakes = jax.lax.stop_gradient(translate(training.net, generator, images, asked)[0])
    real_score, real_labels = training.critic.apply({"params": critic}, images)
    fake_score, _ = training.critic.apply({"params": critic}, fakes)
    distance = real_score.mean() - fake_score.mean()
    read = label_loss(training.net, real_labels, labels)
    penalty = _gradient_penalty(training.critic, critic, images, fakes, mix_rng)
    loss = -distance + weights.critic_labels * read + weights.penalty * penalty
    return loss, {"wasserstein": distance, "critic_labels": read, "penalty": penalty}


def _gradient_penalty(
    net: FrozenNetwork, critic: Any, images: Array, fakes: Array, rng: Array
) -> Float[Array, ""]:
    """Mean squared deviation from 1 of the score's gradient norm, between photos and fakes."""
    share = jax.random.uniform(rng, (len(images), 1, 1, 1))
    between = share * images + (1 - share) * fakes

    def score(x: Array) -> Array:
        return net.apply({"params": critic}, x)[0].sum()  # the authors' is the sum over patches

    squares = jnp.square(jax.grad(score)(between)).sum((1, 2, 3))
    return jnp.square(jnp.sqrt(squares + 1e-12) - 1).mean()


def _generator_loss(
    generator: Any, critic: Any, training: GanTraining, batch: Batch, rng: Array
) -> tuple[Array, dict[str, Array]]:
    weights, images, labels = training.objective, *_real(batch)
    asked = _asked(rng, batch, labels)
    fakes, colour, attention = painted(training.net, generator, images, asked)
    terms, kept, loss = {}, [attention], jnp.zeros(())
    if training.has_critic:
        score, read = training.critic.apply({"params": critic}, fakes)
        terms = {"adversarial": -score.mean(), "labels": label_loss(training.net, read, asked)}
        loss += weights.adversarial * terms["adversarial"] + weights.labels * terms["labels"]
    if weights.reconstruction:
        back, attention_back = translate(training.net, generator, fakes, labels)
        kept.append(attention_back)
        terms["reconstruction"] = jnp.abs(images - back).mean()
        loss += weights.reconstruction * terms["reconstruction"]
    if "targets" in batch and (weights.paired or weights.painted):
        known = batch.get("paired", jnp.ones(len(images)))
        targets = pixels.from_uint8(batch["targets"])
        everywhere, changed = _off_target(images, fakes, targets, known)
        terms["paired"] = everywhere + changed
        loss += weights.paired * terms["paired"]
        if weights.painted:
            terms["painted"] = _off_target(images, colour, targets, known)[1]
            loss += weights.painted * terms["painted"]
    for share in kept:
        if share is not None:
            loss += weights.attention * share.mean() + weights.smoothness * _variation(share)
    if attention is not None:
        terms["attention"] = attention.mean()
    return loss, {"loss": loss, **terms, "change": jnp.abs(fakes - images).mean()}


def _off_target(
    images: Float[Array, "b s s 3"],
    fakes: Float[Array, "b s s 3"],
    targets: Float[Array, "b s s 3"],
    known: Float[Array, " b"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean absolute difference of the pairs that are known, over all, and where photo and target
    differ: most of a face stays as it is, and a fake that is only the photo would be nearly right.
    """
    known = known[:, None, None, None]
    off = known * jnp.abs(fakes - targets)
    differs = known * jnp.minimum(jnp.abs(targets - images).sum(-1, keepdims=True), 1.0)
    everywhere = off.sum() / (known.sum() * images[0].size + 1.0)
    return everywhere, (differs * off).sum() / (3 * differs.sum() + 1.0)


def _variation(attention: Float[Array, "b h w 1"]) -> Float[Array, ""]:
    """Absolute differences of neighbours, summed over the whole batch as in the authors' code."""
    rows = jnp.abs(jnp.diff(attention, axis=1)).sum()
    return rows + jnp.abs(jnp.diff(attention, axis=2)).sum()


def _real(batch: Batch) -> tuple[Float[Array, "b s s 3"], Float[Array, "b a"]]:
    return pixels.from_uint8(batch["images"]), batch["attributes"].astype(jnp.float32)


def _asked(rng: Array, batch: Batch, labels: Float[Array, "b a"]) -> Float[Array, "b a"]:
    """The labels of the targets, or of other photos of the batch: what real people look like."""
    if "target_attributes" in batch:
        return batch["target_attributes"].astype(jnp.float32)
    return jax.random.permutation(rng, labels)
