"""Maps in spatial-major layout, [h, w, b, c]: how a TPU keeps them in memory.

A TPU's arrays are tiles of 8 to 16 times 128 entries of the last two axes. With batch and channels
there, shifting a map by a pixel means reading from another address. A depthwise convolution is a
sum of nine shifted maps, which then fuses into the product that follows.

Which form is the fastest is the estimate of the compiler for v5e: see experiments/README.md.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models.tpu.space_to_depth import LANES

AXES = ("HWNC", "HWIO", "HWNC")


def from_images(x: Float[Array, "b h w c"]) -> Float[Array, "h w b c"]:
    """NHWC to this layout."""
    return x.transpose(1, 2, 0, 3)


def to_images(x: Float[Array, "h w b c"]) -> Float[Array, "b h w c"]:
    """This layout to NHWC."""
    return x.transpose(2, 0, 1, 3)


@jax.custom_vjp
def relu(x: Array) -> Array:
    """ReLU whose gradient uses its output. Without this rule XLA stores where x was positive as
    bits, which takes longer.
    """
    return jax.nn.relu(x)


def _relu_forward(x: Array) -> tuple[Array, Array]:
    y = jax.nn.relu(x)
    return y, y


def _relu_backward(y: Array, gradient: Array) -> tuple[Array]:
    return (jnp.where(jax.lax.optimization_barrier(y) > 0, gradient, 0),)


relu.defvjp(_relu_forward, _relu_backward)


def separable(
    x: Float[Array, "h w b c"],
    depthwise: Float[Array, "3 3 1 c"],
    pointwise: Float[Array, "1 1 c d"],
    before_product: bool = False,
) -> Float[Array, "h w b d"]:
    """A depthwise convolution, padded by one, then a pointwise one.

    With few channels both are one convolution with the product of the kernels; with a few more,
    the gradient is. `before_product`: the gradient of x is read by one such product alone and is
    computed where it is read.
    """
    if x.shape[-1] <= LANES:
        return _as_one(x, depthwise, pointwise)
    if max(pointwise.shape) <= 2 * LANES:
        return _back_as_one(x, depthwise, pointwise)
    return _as_two(x, depthwise, pointwise, before_product)


def _as_one(x: Array, depthwise: Array, pointwise: Array) -> Array:
    return _convolve(x, (depthwise.swapaxes(2, 3) * pointwise).astype(x.dtype))


def _as_two(x: Array, depthwise: Array, pointwise: Array, before_product: bool = False) -> Array:
    y: Any = _depthwise(x, depthwise.astype(x.dtype), before_product)
    return y @ pointwise[0, 0].astype(x.dtype)


@jax.custom_vjp
def _back_as_one(x: Array, depthwise: Array, pointwise: Array) -> Array:
    return _as_two(x, depthwise, pointwise)


_back_as_one.defvjp(
    lambda *arguments: (_as_two(*arguments), arguments),
    lambda arguments, y: jax.vjp(_as_one, *arguments)[1](y),
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _depthwise(x: Array, kernel: Array, before_product: bool) -> Array:
    return _sum_of_shifted(x, kernel)


def _depthwise_forward(
    x: Array, kernel: Array, before_product: bool
) -> tuple[Array, tuple[Array, Array]]:
    return _sum_of_shifted(x, kernel), (x, kernel)


def _depthwise_backward(
    before_product: bool, inputs: tuple[Array, Array], y: Array
) -> tuple[Array, Array]:
    x, kernel = inputs
    form = _sum_of_shifted if before_product else _convolve
    kernel_gradient = jax.vjp(lambda kernel: _convolve(x, kernel), kernel)[1](y)[0]
    return form(y, kernel[::-1, ::-1]), kernel_gradient


_depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def _sum_of_shifted(x: Array, kernel: Array) -> Array:
    """The depthwise convolution in float32 on the vector units."""
    (height, width), wide = x.shape[:2], jnp.promote_types(x.dtype, jnp.float32)
    padded = jnp.pad(x, ((1, 1), (1, 1), (0, 0), (0, 0)))
    total = jnp.zeros((), wide)
    for i in range(3):
        for j in range(3):
            part = padded[i : i + height, j : j + width].astype(wide)
            total += part * kernel[i, j, 0].astype(wide)
    return total.astype(x.dtype)


def _convolve(x: Array, kernel: Array) -> Array:
    """A 3x3 convolution padded by one; depthwise if the kernel has one input channel."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        ((1, 1), (1, 1)),
        dimension_numbers=AXES,
        feature_group_count=x.shape[-1] // kernel.shape[2],
    )


def conv_to_groups(
    x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c d"]
) -> Float[Array, "h2 g b e"]:
    """A convolution with kernel 3 and stride 2, not padded, of images with few channels, float32.

    It comes out in groups: as many pixels side by side as fill LANES with their channels. Pixels of
    the last group beyond the border are zero.

    Every row is multiplied with one matrix, most of which is zero. That takes less time than
    bringing so few channels into the layout of a convolution.
    """
    (rows, columns), count = ((side - 1) // 2 for side in x.shape[1:3]), per_group(kernel)
    groups = -(-columns // count)
    source, pixel = jnp.arange(x.shape[2])[:, None], jnp.arange(groups * count)[None]
    matrix = jnp.zeros((), x.dtype)
    for tap in range(3):
        meets = (source == 2 * pixel + tap) & (pixel < columns)
        weights = kernel[:, tap, :, None, None].astype(x.dtype)
        matrix += jnp.where(meets[:, :, None], weights, 0)  # row tap, channel, source, pixel, d
    matrix = matrix.reshape(*matrix.shape[:3], -1)
    lines = x.transpose(1, 0, 3, 2)
    read = jnp.stack([lines[tap : tap + 2 * rows - 1 : 2] for tap in range(3)], 2)
    y = jnp.einsum("hbtcw,tcwn->hbn", read, matrix, preferred_element_type=jnp.float32)
    return y.reshape(rows, len(x), groups, -1).transpose(0, 2, 1, 3)


def per_group(kernel: Float[Array, "_ _ _ d"]) -> int:
    """Pixels in a group of `conv_to_groups` with this kernel."""
    return max(LANES // kernel.shape[-1], 1)


def conv_from_groups(
    x: Float[Array, "h g b e"], kernel: Float[Array, "3 3 c d"], columns: int
) -> Float[Array, "h2 w2 b d"]:
    """A convolution with kernel 3, not padded, of the groups of a map with so many columns.

    Written as a transposed convolution: each group adds to the pixels around it.
    """
    count = x.shape[-1] // kernel.shape[2]
    taps = jnp.stack(
        [jnp.pad(kernel, ((0, 0), (count - 1 - at, at), (0, 0), (0, 0))) for at in range(count)], 2
    )
    taps = taps.reshape(3, count + 2, x.shape[-1], -1)
    after = columns - count * (x.shape[1] - 1) - 1
    return jax.lax.conv_general_dilated(
        x,
        taps,
        (1, 1),
        ((0, 0), (count - 1, after)),
        lhs_dilation=(1, count),
        dimension_numbers=AXES,
    )
