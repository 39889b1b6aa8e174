"""StarGAN (Choi et al. 2018): one generator for several facial attributes, and its discriminator.

Submodules carry the key names of the authors' PyTorch code, so `main.0` here is `main.0` there.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from dfd_jax.data.faces import HAIR_COLOURS
from dfd_jax.models.frozen import FrozenGenerator
from dfd_jax.models.layers import Conv, ConvTranspose, InstanceNorm

LEAKY_SLOPE = 0.01


class Trunk(nn.Module):
    """What StarGAN's and GANimation's generators have in common: all but their last layers.

    A subclass calls `features`, and `head` for its heads, from its own compact `__call__`.
    """

    conv_dim: int = 64
    c_dim: int = 5
    blocks: int = 6
    dtype: Any = jnp.float32

    def features(self, x: Float[Array, "b h w 3"], c: Float[Array, "b c_dim"]) -> Array:
        """Images in [-1, 1] and a condition → what `head` takes. Sides: multiples of 4."""
        x = self.downsample(x, c)
        self.sow("intermediates", "encoded", x)
        for index in range(9, 9 + self.blocks):
            x = self._residual(index, x)
        self.sow("intermediates", "transformed", x)
        return self.upsample(x)

    def downsample(
        self, x: Float[Array, "b h w 3"], c: Float[Array, "b c_dim"]
    ) -> Float[Array, "b h4 w4 d"]:
        """Two halvings. The condition enters as planes of one value each beside the image."""
        planes = jnp.broadcast_to(c[:, None, None], (*x.shape[:3], self.c_dim))
        x = jnp.concatenate([x, planes.astype(x.dtype)], axis=-1)
        x = self.norm(1, self.conv("main.0", x, self.conv_dim, 7))
        x = self.norm(4, self.conv("main.3", x, self.conv_dim * 2, 4, stride=2))
        return self.norm(7, self.conv("main.6", x, self.conv_dim * 4, 4, stride=2))

    def upsample(self, x: Float[Array, "b h4 w4 d"]) -> Array:
        """Two doublings."""
        index = 9 + self.blocks
        x = self.norm(index + 1, self.conv_transpose(f"main.{index}", x, self.conv_dim * 2))
        return self.norm(index + 4, self.conv_transpose(f"main.{index + 3}", x, self.conv_dim))

    def head(self, name: str, x: Array, features: int) -> Float[Array, "b h w features"]:
        """The last convolution, of what `features` returns; float32."""
        return self.conv(name, x, features, 7).astype(jnp.float32)

    def conv(self, name: str, x: Array, features: int, size: int, stride: int = 1) -> Array:
        """A convolution without bias, padded so that only the stride changes the size."""
        padding = ((size - 1) // 2, (size - 1) // 2)
        return Conv(features, size, stride, padding, dtype=self.dtype, name=name)(x)

    def conv_transpose(self, name: str, x: Array, features: int) -> Array:
        """A convolution that doubles the sides."""
        return ConvTranspose(features, dtype=self.dtype, name=name)(x)

    def norm(self, index: int | str, x: Array) -> Array:
        """Instance norm and ReLU."""
        return nn.relu(InstanceNorm(dtype=self.dtype, name=f"main.{index}")(x))

    def example_inputs(self, size: int) -> tuple[Array, Array]:
        """An image and a condition, zeros, batch of one."""
        return jnp.zeros((1, size, size, 3)), jnp.zeros((1, self.c_dim))

    def _residual(self, index: int, x: Array) -> Array:
        y = self.conv(f"main.{index}.main.0", x, self.conv_dim * 4, 3)
        y = self.conv(f"main.{index}.main.3", self.norm(f"{index}.main.1", y), self.conv_dim * 4, 3)
        return x + InstanceNorm(dtype=self.dtype, name=f"main.{index}.main.4")(y)


class Generator(Trunk):
    """Images in [-1, 1] and target labels → images in [-1, 1], float32. Sides: multiples of 4."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"], c: Float[Array, "b c_dim"]
    ) -> Float[Array, "b h w 3"]:
        return jnp.tanh(self.head(f"main.{15 + self.blocks}", self.features(x, c), 3))


class Discriminator(nn.Module):
    """Images in [-1, 1] of one size → (src: real/fake score of every patch, cls: label logits)."""

    image_size: int = 128
    conv_dim: int = 64
    c_dim: int = 5
    layers: int = 6
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b s s 3"]
    ) -> tuple[Float[Array, "b p p 1"], Float[Array, "b c_dim"]]:
        for layer in range(self.layers):
            x = self._conv(f"main.{2 * layer}", x, self.conv_dim * 2**layer, 4, 2, 1)
            x = nn.leaky_relu(x, LEAKY_SLOPE)
            self.sow("intermediates", f"main_{2 * layer + 1}", x)
        whole = self.image_size // 2**self.layers
        src = self._conv("conv1", x, 1, 3, 1, 1, bias=False)
        cls = self._conv("conv2", x, self.c_dim, whole, 1, 0, bias=False)
        return src.astype(jnp.float32), cls.reshape(x.shape[0], self.c_dim).astype(jnp.float32)

    def example_inputs(self, size: int) -> tuple[Array]:
        """An image of zeros, batch of one."""
        return (jnp.zeros((1, size, size, 3)),)

    def _conv(
        self,
        name: str,
        x: Array,
        features: int,
        size: int,
        stride: int,
        pad: int,
        bias: bool = True,
    ) -> Array:
        return Conv(features, size, stride, (pad, pad), bias, dtype=self.dtype, name=name)(x)


@struct.dataclass
class StarGAN(FrozenGenerator):
    """A trained StarGAN generator. A condition is the label vector the fake should have."""

    def sample_condition(
        self, rng: Array, labels: Float[Array, "b a"], target: str
    ) -> Float[Array, "b a"]:
        """Target labels for photos with these labels (0 or 1, in the card's condition order).

        `target` is a name of the card's condition, or "random": for every photo one of them, drawn
        uniformly. `rng` is used for "random" only. ValueError if the target is unknown.
        """
        names = self.card.condition
        if labels.shape[-1] != len(names):
            raise ValueError(
                f"photos have {labels.shape[-1]} attributes, this generator knows "
                f"{len(names)}: {', '.join(names)}; pass them in that order"
            )
        if target == "random":
            chosen = jax.random.randint(rng, labels.shape[:1], 0, len(names))
        elif target in names:
            chosen = jnp.full(labels.shape[:1], names.index(target))
        else:
            raise ValueError(
                f"unknown target {target!r}; this generator knows {', '.join(names)}, or 'random'"
            )
        return target_condition(labels, names, chosen)


def target_condition(
    attributes: Float[Array, "b a"], names: Sequence[str], target_index: Int[Array, " b"]
) -> Float[Array, "b a"]:
    """Labels with one attribute changed per photo, by the StarGAN authors' rule.

    A hair colour is switched on and the other hair colours off; any other attribute is flipped.
    """
    labels = jnp.asarray(attributes, jnp.float32)
    is_target = jax.nn.one_hot(target_index, len(names))
    is_hair = jnp.asarray([name in HAIR_COLOURS for name in names])
    coloured = jnp.where(is_hair, is_target, labels)
    flipped = jnp.abs(labels - is_target)
    wants_hair = is_hair[target_index][:, None]
    return jnp.where(wants_hair, coloured, flipped)
