"""Adversarial training of StarGAN and GANimation: Wasserstein with gradient penalty (WGAN-GP).

A critic scores every patch of a picture and predicts its labels; the generator's fakes should
satisfy both and translate back to the photo. Losses follow Choi et al. 2018 (Eq. 1 to 6) and, for
GANimation, Pumarola et al. 2018 (Eq. 2 to 6), weighted as in the authors' code. Pure functions.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Int

from dfd_jax import models, pixels
from dfd_jax.models.frozen import Card, FrozenGenerator, Network
from dfd_jax.models.generators.ganimation import GANimation, compose
from dfd_jax.runtime import processes
from dfd_jax.runtime.config import Config
from dfd_jax.training import optimizer, setup

# images: uint8 [b s s 3]; attributes: [b a], in the card's order. If targets are known also
# targets: what the fakes should be, and target_attributes: their labels. paired [b] is 1 where the
# target is known and 0 where it is a placeholder; without it, all are known.
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
    paired: float = 0.0  # the fake is its target, where that is known
    painted: float = 0.0  # GANimation: so is its colour alone, where the target differs


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
    critic: Network  # models.generators.stargan.Discriminator
    generator_tx: optax.GradientTransformation
    critic_tx: optax.GradientTransformation
    objective: GanObjective
    averaging: float = 0.999
    batches_per_step: int = 5  # with a critic: its updates for one of the generator
    has_critic: bool = True  # without one, only targets and reconstruction train the generator


def new_training(config: Config) -> GanTraining:
    """New networks and optimizers. ValueError for another model than stargan or ganimation."""
    t, size = config.train, config.data.size
    labels, dtype = tuple(config.conditions), jnp.dtype(config.dtype)
    hyper = {**config.generator.hyper.to_dict(), "c_dim": len(labels)}
    card = Card(config.generator.model, hyper, size, condition=labels)
    net = setup.starting_from(models.build(card, config.seed, dtype), config.generator.start)
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
    critic_updates = max(t.critic_updates, 1)  # without a critic, a step takes one batch
    return GanTraining(
        net,
        setup.starting_from(critic, config.critic.start),
        make_optimizer(t.learning_rate, t.steps, t.beta),
        make_optimizer(t.learning_rate, t.steps * critic_updates),
        GanObjective(**config.objective.to_dict()),
        t.averaging,
        critic_updates,
        has_critic=t.critic_updates > 0,
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


def critic_net(training: GanTraining, state: GanState) -> Network:
    """The critic as it is now, from which another training can start."""
    return training.critic.with_variables({"params": state.critic})


Update = Callable[[GanState, Batch, Array], tuple[GanState, dict[str, Array]]]


class GanStep(NamedTuple):
    """`step(state, batches, key) → (state, metrics)`: a critic update on each batch, then one of
    the generator on the last. Randomness comes from `key` and the state's counters alone.
    """

    update_critic: Update | None  # None: the training has no critic
    update_generator: Update

    def __call__(
        self, state: GanState, batches: Sequence[Batch], key: Array
    ) -> tuple[GanState, dict[str, Array]]:
        of_critic: dict[str, Array] = {}
        if self.update_critic is not None:
            for batch in batches:
                state, of_critic = self.update_critic(state, batch, key)
        state, of_generator = self.update_generator(state, batches[-1], key)
        return state, {**of_critic, **of_generator}

    def compiled(self, state: GanState, batches: Sequence[Batch], key: Array) -> "GanStep":
        """The step, compiled for arguments like these (see processes.compile_step)."""
        critic = self.update_critic
        arguments = state, batches[-1], key
        return GanStep(
            None if critic is None else processes.compile_step(critic, *arguments),
            processes.compile_step(self.update_generator, *arguments),
        )


def make_train_step(training: GanTraining) -> GanStep:
    """The step of this training, not compiled yet."""

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

    update_generator = jax.jit(generator_step, donate_argnums=0)
    if not training.has_critic:
        return GanStep(None, update_generator)
    return GanStep(jax.jit(critic_step, donate_argnums=0), update_generator)


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
    net: Network, critic: Any, images: Array, fakes: Array, rng: Array
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
    terms, attentions, loss = {}, [attention], jnp.zeros(())
    if training.has_critic:
        score, read = training.critic.apply({"params": critic}, fakes)
        terms = {"adversarial": -score.mean(), "labels": label_loss(training.net, read, asked)}
        loss += weights.adversarial * terms["adversarial"] + weights.labels * terms["labels"]
    if weights.reconstruction:
        back, attention_back = translate(training.net, generator, fakes, labels)
        attentions.append(attention_back)
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
    for share in attentions:
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
    """Mean absolute error of the fakes whose targets are known: over all pixels, and over those
    where photo and target differ. An edit leaves most of a face as it is, so by the first alone the
    photo itself would be nearly right.
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
