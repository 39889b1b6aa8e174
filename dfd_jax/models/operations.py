"""Convolutions and pooling. This file chooses which form of each a platform runs.

GPUs and TPUs run the library's own operations, a CPU the forms in `cpu/`: the same sums, several
times faster there (docs/performance.md has the figures). The choice is made when a program is
lowered, so a program that is exported for another platform gets the forms of that platform.

Whole networks whose memory layout differs on a TPU are in `tpu/`; see `dfd_jax.models.MODELS`.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dfd_jax.models.cpu import convolution, depthwise, pooling

AXES = ("NHWC", "HWIO", "NHWC")
Form = Callable[..., Array]  # of arrays, then of numbers and tuples that are static


def conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k c d"],
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
) -> Float[Array, "b h2 w2 d"]:
    """A convolution with a square kernel and `padding` zeros (before, after) rows and columns."""
    return _choose(convolution.conv, library_conv, (stride, padding), x, kernel)


def conv_transpose(
    x: Float[Array, "b h w d"], kernel: Float[Array, "4 4 c d"]
) -> Float[Array, "b H W c"]:
    """The transposed convolution with kernel 4, stride 2, padding 1: twice the sides.

    Written as a convolution of x with zeros between its pixels.
    """
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return jax.lax.conv_general_dilated(
        x, turned, (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2), dimension_numbers=AXES
    )


def depthwise_conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k 1 c"],
    stride: int = 1,
    padding: tuple[int, int] = (1, 1),
) -> Float[Array, "b h2 w2 c"]:
    """A convolution of each channel with its own square kernel."""
    return _choose(depthwise.conv, library_depthwise_conv, (stride, padding), x, kernel)


def grouped_conv(
    x: Float[Array, "b h w g c"], kernel: Float[Array, "k k c _"]
) -> Float[Array, "b h w g _"]:
    """A convolution of each of g groups of channels with its own odd kernel, as wide as the map."""
    (*sides, groups, channels), around = x.shape, len(kernel) // 2
    y = jax.lax.conv_general_dilated(
        x.reshape(*sides, groups * channels),
        kernel,
        (1, 1),
        ((around, around), (around, around)),
        dimension_numbers=AXES,
        feature_group_count=groups,
    )
    return y.reshape(*sides, groups, -1)


def max_pool_3x3(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Max pooling over 3x3 pixels with stride 2, padded by one with minus infinity.

    The first of equal values gets the gradient, as in PyTorch. NaN stays NaN.
    """
    return _choose(pooling.max_pool_3x3, library_max_pool_3x3, (), x)


def library_conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k c d"],
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
) -> Float[Array, "b h2 w2 d"]:
    """`conv` by XLA's own convolution."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), (padding, padding), dimension_numbers=AXES
    )


def library_depthwise_conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k 1 c"],
    stride: int = 1,
    padding: tuple[int, int] = (1, 1),
) -> Float[Array, "b h2 w2 c"]:
    """`depthwise_conv` by XLA's own grouped convolution."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        (padding, padding),
        dimension_numbers=AXES,
        feature_group_count=x.shape[-1],
    )


def library_max_pool_3x3(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """`max_pool_3x3` by XLA's own reduction over windows."""
    least, around = np.asarray(-jnp.inf, x.dtype), ((0, 0), (1, 1), (1, 1), (0, 0))
    return jax.lax.reduce_window(x, least, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), around)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _choose(cpu: Form, library: Form, settings: tuple[Any, ...], *arrays: Array) -> Array:
    """The operation on these arrays in the form of the platform, and so its gradients."""
    return _value(cpu, library, settings, *arrays)


def _forward(
    cpu: Form, library: Form, settings: tuple[Any, ...], *arrays: Array
) -> tuple[Array, tuple[Array, ...]]:
    return _value(cpu, library, settings, *arrays), arrays


def _backward(
    cpu: Form, library: Form, settings: tuple[Any, ...], arrays: tuple[Array, ...], y: Array
) -> tuple[Array, ...]:
    return tuple(
        _gradient(cpu, library, settings, index, y, *arrays) for index in range(len(arrays))
    )


_choose.defvjp(_forward, _backward)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))  # traced once for all layers of one shape
def _value(cpu: Form, library: Form, settings: tuple[Any, ...], *arrays: Array) -> Array:
    return jax.lax.platform_dependent(
        *arrays,
        cpu=lambda *arrays: cpu(*arrays, *settings),
        default=lambda *arrays: library(*arrays, *settings),
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _gradient(
    cpu: Form, library: Form, settings: tuple[Any, ...], index: int, y: Array, *arrays: Array
) -> Array:
    """The gradient of one array. Each is a program of its own: frozen kernels need none."""

    def of(form: Form) -> Form:
        def gradient(y: Array, *arrays: Array) -> Array:
            def vary(x: Array) -> Array:
                return form(*arrays[:index], x, *arrays[index + 1 :], *settings)

            return jax.vjp(vary, arrays[index])[1](y)[0]

        return gradient

    return jax.lax.platform_dependent(y, *arrays, cpu=of(cpu), default=of(library))
