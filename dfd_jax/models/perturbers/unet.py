"""U-Net perturber, one of the two families of Generative Adversarial Perturbations.

Poursaeed et al. 2018, "Generative Adversarial Perturbations". Upsampling is a sub-pixel convolution
(Shi et al. 2016), which draws fine patterns easily and whose weight gradient is fast on every
backend.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.convolution import Conv, Kernel
from dfd_jax.models.layers import InstanceNorm
from dfd_jax.models.tpu import cells


class UNet(nn.Module):
    """images (b h w 3, [-1, 1]; h and w multiples of `stride`) → unbounded delta of the same shape.

    `width` channels at full resolution, doubled at each of `depth` halvings up to 8 x width.

    With a `patch` of 2 or 4 the first one or two halvings are a rearrangement of patches of so many
    pixels a side: the widest maps, which few channels use badly, are left out on both ways.
    """

    width: int = 64
    depth: int = 4
    patch: int = 1  # 1, 2 or 4
    for_tpu: bool = False  # full resolution as cells, see cells.py
    dtype: Any = jnp.float32

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this."""
        return 2**self.depth

    def example_inputs(self, size: int) -> tuple[Array]:
        """Raw inputs of a batch of one."""
        side = max(size - size % self.stride, self.stride)
        return (jnp.zeros((1, side, side, 3)),)

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        channels = [self.width * min(2**level, 8) for level in range(self.depth + 1)]
        first = self._patch_levels()
        in_cells = self.for_tpu and self.depth > first
        images = cells.pack(images, first)
        enter = self._enter_cells if in_cells else self._block
        skips = [enter(images, channels[first], "enter")]
        for level in range(first + 1, self.depth + 1):
            halve = in_cells and level == first + 1
            features = channels[level]
            skips.append(self._block(skips[-1], features, f"down{level}", 2, from_cells=halve))
        x = self._block(skips.pop(), channels[-1], "middle")
        for level in reversed(range(first, self.depth)):
            x = self._block(x, channels[level], f"up{level}", upsample=True)
            if in_cells and level == first:
                break
            x = cells.unpack(x) if in_cells else x
            x = jnp.concatenate([x, skips.pop()], axis=-1)
        features = 3 * self.patch**2
        if in_cells:
            out = LeaveCells(features, dtype=self.dtype, name="leave")(x, skips.pop())
            return cells.unpack(out, 1 + first).astype(jnp.float32)
        out = Conv(features, 3, 1, (1, 1), True, self.for_tpu, self.dtype, name="leave")(x)
        return cells.unpack(out, first).astype(jnp.float32)

    def _patch_levels(self) -> int:
        """How many halvings the patches stand for. ValueError if there are not so many."""
        levels = self.patch.bit_length() - 1
        if self.patch not in (1, 2, 4) or levels > self.depth:
            raise ValueError(
                f"found patch {self.patch} and depth {self.depth}; expected 1, 2 or 4 and at least "
                "one halving for each doubling of the patch"
            )
        return levels

    def _enter_cells(self, images: Array, channels: int, name: str) -> Array:
        shape = (3, 3, images.shape[-1], channels)
        kernel = Kernel(shape, dtype=self.dtype, name=f"{name}_conv")()
        x = cells.spread(images.astype(self.dtype), kernel)
        return jax.nn.relu(InstanceNorm(dtype=self.dtype, name=f"{name}_norm")(x, offset=1))

    def _block(
        self,
        x: Array,
        channels: int,
        name: str,
        stride: int = 1,
        *,
        upsample: bool = False,
        from_cells: bool = False,
    ) -> Array:
        """A convolution, its norm and ReLU. Upsampled for a TPU: cells at offset 0."""
        if from_cells:
            shape = (4, 4, x.shape[-1] // 4, channels)
            x = cells.halve(x, Kernel(shape, dtype=self.dtype, name=f"{name}_conv")())
        else:
            side = 4 if stride == 2 else 3  # even under stride 2: every pixel is touched equally
            x = Conv(  # without bias, which the norm that follows would remove
                channels * (4 if upsample else 1),
                side,
                stride,
                (1, 1),
                for_tpu=self.for_tpu,
                dtype=self.dtype,
                name=f"{name}_conv",
            )(x)
        norm = InstanceNorm(dtype=self.dtype, name=f"{name}_norm")
        if upsample and self.for_tpu:
            return jax.nn.relu(norm(x, offset=0))
        return jax.nn.relu(norm(cells.unpack(x) if upsample else x))


class LeaveCells(nn.Module):
    """The 3x3 convolution of two maps side by side, from cells of offset 0 and 1 to cells of 0."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, first: Float[Array, "b h w c"], second: Float[Array, "b h2 w2 d"]
    ) -> Float[Array, "b h w f"]:
        c, d = first.shape[-1] // 4, second.shape[-1] // 4
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, c + d, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        kernel = kernel.astype(self.dtype)
        of_first = cells.gather(first, kernel[:, :, :c], offset=0)
        found = of_first + cells.gather(second, kernel[:, :, c:], offset=1) + jnp.tile(bias, 4)
        # What follows moves few channels about: sums for the bias's gradient do not belong there.
        return jax.lax.optimization_barrier(found.astype(self.dtype))
