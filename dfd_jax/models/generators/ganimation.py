"""GANimation (Pumarola et al. 2018): a face with other action units, painted where it must change.

StarGAN's trunk with two heads. Submodules carry the key names of the authors' PyTorch code, whose
attention head is spelled `attetion_reg`; its public re-implementation in the literature on
disrupting deepfakes (Ruiz et al. 2020) is the same network under other names.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from dfd_jax.data.expressions import ACTION_UNITS, EXPRESSIONS, expression_vectors
from dfd_jax.models.frozen import FrozenGenerator
from dfd_jax.models.generators.stargan import Trunk

OWN = "own"  # the condition that asks for the photo's own action units
BASIC_EMOTIONS = ("happiness_5", "sadness_5", "surprise_5", "fear_5", "anger_5", "disgust_5")


class AttentionGenerator(Trunk):
    """Images in [-1, 1] and action units in [0, 1] → (colour, attention), in this order, float32.

    Colour is in [-1, 1]; attention in [0, 1] is the share of the photo in the fake (`compose`).
    Sides: multiples of 4. `saturate_mask` is the authors' option do_saturate_mask: the attention is
    pushed towards 0 and 1 (`saturated`).
    """

    c_dim: int = len(ACTION_UNITS)
    saturate_mask: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"], c: Float[Array, "b c_dim"]
    ) -> tuple[Float[Array, "b h w 3"], Float[Array, "b h w 1"]]:
        features = self.features(x, c)
        self.sow("intermediates", "features", features)
        colour = jnp.tanh(self.head("img_reg.0", features, 3))
        attention = nn.sigmoid(self.head("attetion_reg.0", features, 1))
        return colour, saturated(attention) if self.saturate_mask else attention


def saturated(attention: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The attention after the authors' do_saturate_mask: 0.55 tanh(3 (a - 0.5)) + 0.5.

    Their clipping to [0, 1] is left out: it never acts, for [0, 1] becomes [0.002, 0.998].
    """
    return 0.55 * jnp.tanh(3.0 * (attention - 0.5)) + 0.5


def compose(
    images: Float[Array, "b h w 3"],
    colour: Float[Array, "b h w 3"],
    attention: Float[Array, "b h w 1"],
) -> Float[Array, "b h w 3"]:
    """The fake: the photo itself where the attention is 1, the colour where it is 0 (Eq. 1)."""
    return attention * images + (1.0 - attention) * colour


@struct.dataclass
class GANimation(FrozenGenerator):
    """A trained GANimation generator. A condition is the action units that the fake should have.

    The labels of a photo are its own action units in [0, 1], which "own" asks for. Every other
    condition is the same for all photos, so that unknown labels (zeros) do no harm.
    """

    @property
    def conditions(self) -> tuple[str, ...]:
        """The 81 expressions, if all units of the card are known by name, and "own"."""
        return (*self._expressions, OWN)

    @property
    def test_conditions(self) -> tuple[str, ...]:
        """The six basic emotions at full intensity."""
        return BASIC_EMOTIONS if self._expressions else (OWN,)

    def __call__(
        self, images: Float[Array, "b h w 3"], condition: Float[Array, "b a"]
    ) -> Float[Array, "b s s 3"]:
        """G(x, c): what attention leaves of the very images it is given, and new colour."""
        x = self._normalised(images)
        colour, attention = self.apply(self.variables, x, condition)
        return compose(x, colour, attention)

    def sample_condition(
        self, rng: Array, labels: Float[Array, "b a"], target: str
    ) -> Float[Array, "b a"]:
        """Action units to ask for, for photos with these own ones ([0, 1], in the card's order).

        `target` is an expression or its index ("0" to "80"), "own", or "random": for every photo
        one of the 81 expressions, drawn uniformly. `rng` is used for "random" only. ValueError if
        the target is unknown.
        """
        names = self.card.condition
        if labels.shape[-1] != len(names):
            raise ValueError(
                f"photos have {labels.shape[-1]} labels, this generator knows {len(names)}: "
                f"{', '.join(names)}; pass them in that order"
            )
        if target == OWN:
            return jnp.asarray(labels, jnp.float32)
        known = self._expressions
        batch = labels.shape[:1]
        if target == "random" and known:
            chosen = jax.random.randint(rng, batch, 0, len(known))
        elif target in known:
            chosen = jnp.full(batch, known.index(target))
        elif target.isdecimal() and int(target) < len(known):
            chosen = jnp.full(batch, int(target))
        else:
            raise ValueError(_unknown(target, bool(known)))
        return jnp.asarray(expression_vectors(names))[chosen]

    @property
    def _expressions(self) -> tuple[str, ...]:
        units = set(self.card.condition)
        return EXPRESSIONS if units and units <= set(ACTION_UNITS) else ()


def _unknown(target: str, has_expressions: bool) -> str:
    if not has_expressions:
        return (
            f"unknown target {target!r}; the card does not name this generator's conditions by "
            f"action units ({ACTION_UNITS[0]} … {ACTION_UNITS[-1]}), so only {OWN!r} can be asked "
            "for. Convert the checkpoint with --condition and their names"
        )
    return (
        f"unknown target {target!r}; this generator knows {EXPRESSIONS[0]}, {EXPRESSIONS[1]} … "
        f"{EXPRESSIONS[-1]}, an index 0 to {len(EXPRESSIONS) - 1}, {OWN!r} or 'random'"
    )
