"""Keypoints with their local motions, and how a driving clip's movement becomes a photo's.

Coordinates are (x, y) in [-1, 1], where -1 and 1 are the middles of the corner pixels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class KeyPoints(NamedTuple):
    """Positions and, where the network estimates them, Jacobians of the motion around them."""

    value: Float[Array, "*b k 2"]
    jacobian: Float[Array, "*b k 2 2"] | None = None


class Motion(NamedTuple):
    """What drives each of b photos: f frames, and the frame from which their movement counts."""

    driving: KeyPoints  # [b f k ..]
    initial: KeyPoints  # [b k ..]


def normalize_kp(
    source: KeyPoints,
    motion: Motion,
    relative: bool = True,
    relative_jacobian: bool = True,
    adapt_movement_scale: bool = True,
) -> KeyPoints:
    """The keypoints [b f k ..] that each photo should get in each frame.

    Absolute: those of the frames. `relative`: those of the photo, moved as the driving keypoints
    moved since the initial frame; `relative_jacobian`: its Jacobians changed likewise, else those
    of the frames. `adapt_movement_scale` scales relative movements by the ratio of the face sizes,
    the square roots of the keypoints' convex hull areas, which carry no gradient.
    The authors' animation demo has all three on.
    """
    if not relative:
        return motion.driving
    moved = motion.driving.value - motion.initial.value[:, None]
    if adapt_movement_scale:
        ratio = jnp.sqrt(hull_area(source.value) / hull_area(motion.initial.value))
        moved = moved * jax.lax.stop_gradient(ratio)[:, None, None, None]
    return KeyPoints(
        source.value[:, None] + moved,
        _relative_jacobian(source, motion) if relative_jacobian else motion.driving.jacobian,
    )


def _relative_jacobian(source: KeyPoints, motion: Motion) -> Float[Array, "b f k 2 2"] | None:
    driving, initial = motion.driving.jacobian, motion.initial.jacobian
    if source.jacobian is None or driving is None or initial is None:
        return None
    return matmul_2x2(matmul_2x2(driving, inverse_2x2(initial)[:, None]), source.jacobian[:, None])


def hull_area(points: Float[Array, "*b k 2"]) -> Float[Array, "*b"]:
    """Area of the convex hull of k points, by its definition: no sorting along the hull.

    The hull's upper edge is, at any x, the highest of all chords between two points; it is straight
    between the points' x, and so is the lower edge. Points may coincide or lie on a line.
    """
    points = jnp.take_along_axis(points, jnp.argsort(points[..., :1], axis=-2), axis=-2)
    x, y = points[..., 0], points[..., 1]
    start, end, at = x[..., :, None, None], x[..., None, :, None], x[..., None, None, :]
    width = end - start
    share = jnp.where(width > 0, (at - start) / jnp.where(width > 0, width, 1), 0)
    heights = y[..., :, None, None] * (1 - share) + y[..., None, :, None] * share
    spans = (start <= at) & (at <= end)
    upper = jnp.where(spans, heights, -jnp.inf).max((-3, -2))
    lower = jnp.where(spans, heights, jnp.inf).min((-3, -2))
    thick = upper - lower
    return (jnp.diff(x) * (thick[..., 1:] + thick[..., :-1]) / 2).sum(-1)


def distances(points: Float[Array, "*b k 2"], target: Float[Array, "k 2"]) -> Float[Array, "*b"]:
    """Sum of squared distances between keypoints, each set centred and its hull's area made 1."""

    def normalised(values: Float[Array, "*b k 2"]) -> Float[Array, "*b k 2"]:
        centred = values - values.mean(-2, keepdims=True)
        return centred / jnp.sqrt(hull_area(centred))[..., None, None]

    return jnp.square(normalised(points) - normalised(target)).sum((-2, -1))


def inverse_2x2(a: Float[Array, "*b 2 2"]) -> Float[Array, "*b 2 2"]:
    """Inverses in closed form; infinite where a matrix is singular."""
    p, q, r, s = a[..., 0, 0], a[..., 0, 1], a[..., 1, 0], a[..., 1, 1]
    adjugate = jnp.stack([jnp.stack([s, -q], -1), jnp.stack([-r, p], -1)], -2)
    return adjugate / (p * s - q * r)[..., None, None]


def matmul_2x2(a: Float[Array, "*a 2 2"], b: Float[Array, "*b 2 2"]) -> Float[Array, "*c 2 2"]:
    """a @ b, without a matrix unit's rounding: these are coordinates."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)
