"""Looking up images at moving positions: PyTorch's grid_sample, and the resizes around it.

A bilinear lookup is linear in the rows and in the columns of the image, so it is written as matrix
products with two weights per position, instead of four gathers whose gradient is a scatter. Forward
and gradient, in ms: measured on two CPU cores, and estimated by the TPU compiler for a v5e:

    images          positions      CPU products, gathers     TPU products, gathers
    64 x 64 x 256   64 x 64                124, 58                  0.28, 0.36
    64 x 64 x 3     11 x 64 x 64            80, 12                  0.11, 1.52

The weights never reach the memory of a TPU. On a CPU the gathers win, by less than a tenth of the
time of the network around them; one form for all is simpler.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def grid_sample(
    images: Float[Array, "b h w c"], grid: Float[Array, "b H W 2"], align_corners: bool
) -> Float[Array, "b H W c"]:
    """PyTorch's `F.grid_sample`: bilinear, zeros outside of the image.

    A position is (x, y); -1 and 1 are the middles of the corner pixels if `align_corners`, else
    their outer edges. Gradients flow to the images and to the grid; beyond the border both are 0.
    """
    b, h, w, c = images.shape
    points = grid.reshape(b, -1, 2)
    columns = _weights(points[..., 0], w, align_corners).astype(images.dtype)
    rows = _weights(points[..., 1], h, align_corners).astype(images.dtype)
    looked_up = jnp.einsum("bpy,bpx,byxc->bpc", rows, columns, images)
    return looked_up.reshape(*grid.shape[:3], c)


def resize_bilinear(
    maps: Float[Array, "b h w c"], height: int, width: int
) -> Float[Array, "b H W c"]:
    """PyTorch's `F.interpolate(mode="bilinear")`: no antialiasing, corners not aligned."""
    b, h, w, c = maps.shape
    if (h, w) == (height, width):
        return maps
    return jax.image.resize(maps, (b, height, width, c), "linear", antialias=False)


def shrink(images: Float[Array, "b h w c"], factor: int) -> Float[Array, "b H W c"]:
    """Every `factor`-th pixel, from the first on, of the images under a Gaussian, zeros outside.

    The standard deviation is (factor - 1) / 2 pixels, the window as wide as `gaussian` makes it.
    """
    if factor == 1:
        return images
    rows, columns = (
        jnp.asarray(_smoothing(size, factor), images.dtype) for size in images.shape[1:3]
    )
    exact = jax.lax.Precision.HIGHEST  # the gain of the weights must stay 1
    images = jnp.einsum("Ww,bhwc->bhWc", columns, images, precision=exact)
    return jnp.einsum("Hh,bhWc->bHWc", rows, images, precision=exact)


def gaussian(factor: int) -> Float[np.ndarray, " n"]:
    """The window of `shrink` along one axis: a sampled Gaussian of odd length with sum 1."""
    sigma = (factor - 1) / 2
    reach = round(4 * sigma)
    values = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    return values / values.sum()


def identity_grid(height: int, width: int) -> Float[np.ndarray, "h w 2"]:
    """Positions (x, y) of the pixels of an image whose corner pixels lie at -1 and 1."""
    y, x = np.meshgrid(_axis(height), _axis(width), indexing="ij")
    return np.stack([x, y], axis=-1)


def _axis(size: int) -> Float[np.ndarray, " n"]:
    return 2 * np.arange(size) / (size - 1) - 1


def _weights(
    positions: Float[Array, "b p"], size: int, align_corners: bool
) -> Float[Array, "b p n"]:
    """How much of each pixel of an axis a position takes: two neighbours, or fewer at the border.

    The floor counts as constant, as in PyTorch: on a pixel the slope is that of the next interval.
    """
    pixels = (
        (positions + 1) / 2 * (size - 1) if align_corners else (positions * size + size - 1) / 2
    )
    pixels = jnp.clip(pixels, -2, size + 1)  # what is out stays out, and infinities become finite
    first = jnp.floor(jax.lax.stop_gradient(pixels))
    share = (pixels - first)[..., None]
    steps = jnp.arange(size, dtype=pixels.dtype) - first[..., None]
    return jnp.where(steps == 0, 1 - share, jnp.where(steps == 1, share, 0))


def _smoothing(size: int, factor: int) -> Float[np.ndarray, "n size"]:
    window = gaussian(factor)
    reach = len(window) // 2
    padded = np.zeros((math.ceil(size / factor), size + 2 * reach))
    for row, start in enumerate(range(0, size, factor)):
        padded[row, start : start + len(window)] = window
    return padded[:, reach : reach + size]
