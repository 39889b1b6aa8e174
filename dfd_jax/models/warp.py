"""PyTorch's grid_sample (images at given positions), and the resizes that go with it.

A bilinear lookup is four gathers, whose gradient is a scatter. It is also linear in the rows and in
the columns of the image: two matrix products with two weights per position. Forward and gradient of
one image in ms, measured on two CPU cores and estimated by the compiler for a TPU v5e:

    images          positions      CPU gathers, products     TPU gathers, products
    64 x 64 x 256   64 x 64                 58, 124                 0.36, 0.28
    64 x 64 x 3     11 x 64 x 64            12, 80                  1.52, 0.11

With products the gradient of the whole First Order Motion Model takes 1.2 (256 px) to 1.35 times
(small, 64 px) as long on CPU. On a TPU their weights are never written to memory. A CPU runs the
gathers, other platforms the products.
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
    their outer edges. Gradients flow to the images and to the grid; beyond the border they are 0.
    """
    _, h, w, _ = images.shape
    points = grid.reshape(len(grid), -1, 2)
    columns = _pixels(points[..., 0], w, align_corners)
    rows = _pixels(points[..., 1], h, align_corners)
    looked_up = jax.lax.platform_dependent(
        images, rows, columns, cpu=by_gathers, default=by_products
    )
    return looked_up.reshape(*grid.shape[:3], -1)


def by_gathers(
    images: Float[Array, "b h w c"], rows: Float[Array, "b p"], columns: Float[Array, "b p"]
) -> Float[Array, "b p c"]:
    """Images at p positions in pixels: gathers of the four neighbours."""
    b, h, w, c = images.shape
    flat = images.reshape(b, h * w, c)
    looked_up = jnp.zeros((), images.dtype)
    for y, row_weights in _neighbours(rows):
        for x, weights in _neighbours(columns):
            inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
            index = (jnp.clip(y, 0, h - 1) * w + jnp.clip(x, 0, w - 1)).astype(jnp.int32)
            pixels = jnp.take_along_axis(flat, index[..., None], axis=1, mode="clip")
            weights = jnp.where(inside, row_weights * weights, 0).astype(images.dtype)
            looked_up += weights[..., None] * pixels
    return looked_up


def by_products(
    images: Float[Array, "b h w c"], rows: Float[Array, "b p"], columns: Float[Array, "b p"]
) -> Float[Array, "b p c"]:
    """The same as matrix products, at JAX's default precision."""

    def weights(positions: Float[Array, "b p"], size: int) -> Float[Array, "b p n"]:
        (first, before), (_, after) = _neighbours(positions[..., None])
        steps = jnp.arange(size, dtype=positions.dtype) - first
        weight = jnp.where(steps == 0, before, jnp.where(steps == 1, after, 0))
        return weight.astype(images.dtype)

    _, h, w, _ = images.shape
    return jnp.einsum("bpy,bpx,byxc->bpc", weights(rows, h), weights(columns, w), images)


def resize_bilinear(
    maps: Float[Array, "b h w c"], height: int, width: int
) -> Float[Array, "b H W c"]:
    """PyTorch's `F.interpolate(mode="bilinear")`: no antialiasing, corners not aligned."""
    b, h, w, c = maps.shape
    if (h, w) == (height, width):
        return maps
    return jax.image.resize(maps, (b, height, width, c), "linear", antialias=False)


def shrink(images: Float[Array, "b h w c"], factor: int) -> Float[Array, "b H W c"]:
    """Images smoothed by a Gaussian (zeros outside), then every `factor`-th pixel from the first.

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


def _pixels(positions: Float[Array, "b p"], size: int, align_corners: bool) -> Float[Array, "b p"]:
    """Positions on an axis in pixels, clipped to a little beyond the border."""
    pixels = (
        (positions + 1) / 2 * (size - 1) if align_corners else (positions * size + size - 1) / 2
    )
    return jnp.clip(pixels, -2, size + 1)


def _neighbours(positions: Float[Array, "*p"]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The two pixels around each position, with their weights.

    The floor counts as constant, as in PyTorch: on a pixel the slope is that of the next interval.
    """
    first = jnp.floor(jax.lax.stop_gradient(positions))
    share = positions - first
    return (first, 1 - share), (first + 1, share)


def _smoothing(size: int, factor: int) -> Float[np.ndarray, "n size"]:
    window = gaussian(factor)
    reach = len(window) // 2
    padded = np.zeros((math.ceil(size / factor), size + 2 * reach))
    for row, start in enumerate(range(0, size, factor)):
        padded[row, start : start + len(window)] = window
    return padded[:, reach : reach + size]
