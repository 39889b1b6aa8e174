"""The head as a surface in space: a warped ellipsoid with a relief, seen along parallel rays.

Lengths are points, 178 to the image's side (CelebA's crop). The origin is midway between the
pupils; x to the viewer's right, y down, z to the viewer. (u, v, w) are the same axes turning with
the head: pupils at (±20, 0), mouth near (0, 41), chin near (0, 72).
"""

import dataclasses
import functools

import numpy as np
from scipy import ndimage

from dfd_jax.data.synthetic.parameters import FaceParameters

POINTS = 178.0
EYES_AT = (89.0, 91.0)  # where the origin lies in the image, in points from its corner
PIVOT = np.array([0.0, 20.0, 18.0], np.float32)  # forward of the neck: turning keeps eyes in view
CENTRE_W = -6.0
TOP, BOTTOM = 65.0, 73.0  # the skull's reach above and below the pupils
RELIEF_U, RELIEF_V = (-54.0, 54.0), (-62.0, 84.0)
TILE = 512

Field = np.ndarray  # float32, one value per pixel


def smoothstep(low: float, high: float, x: Field) -> Field:
    """0 below `low`, 1 above `high`, smooth between; the other way round if high < low."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bell(x: Field, width: float) -> Field:
    """exp(-(x / width)²)."""
    scaled = x * (1.0 / width)
    return np.exp(-scaled * scaled)


def pixel_grid(size: int) -> tuple[Field, Field, float]:
    """x and y of every pixel's centre as (size, size) arrays, and the width of a pixel."""
    step = POINTS / size
    line = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(step)
    y, x = np.meshgrid(line - EYES_AT[1], line - EYES_AT[0], indexing="ij")
    return x, y, step


def rotation(face: FaceParameters) -> np.ndarray:
    """The 3x3 matrix from the head's axes to the camera's."""
    (sy, sp, sr), (cy, cp, cr) = (
        f(np.radians([face.yaw, face.pitch, face.roll])) for f in (np.sin, np.cos)
    )
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return (tilt @ turn @ nod).astype(np.float32)


def project(point: tuple[float, float, float], turned: np.ndarray) -> np.ndarray:
    """Where a point of the head lands in the image: x, y, z."""
    return PIVOT + turned @ (np.asarray(point, np.float32) - PIVOT)


def on_plane(x: Field, y: Field, turned: np.ndarray, w: float) -> tuple[Field, Field]:
    """(u, v) where each pixel's ray crosses the head's plane at depth w."""
    (ou, ov, ow), (du, dv, dw) = _rays(x, y, turned)
    z = (w - ow) / dw
    return ou + z * du, ov + z * dv


def _rays(x: Field, y: Field, turned: np.ndarray) -> tuple[list[Field], np.ndarray]:
    a, b, c = x - PIVOT[0], y - PIVOT[1], -PIVOT[2]
    origin = [PIVOT[i] + turned[0, i] * a + turned[1, i] * b + turned[2, i] * c for i in range(3)]
    return origin, turned[2]


@functools.lru_cache(maxsize=64)
def _tile(roughness: float, blur: float) -> np.ndarray:
    """Periodic noise with spectrum 1/f^roughness, mean 0, variance 1 before blurring."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(TILE), np.fft.rfftfreq(TILE), indexing="ij"))
    frequency[0, 0] = np.inf
    white = np.fft.rfft2(np.random.default_rng(7).normal(size=(TILE, TILE)))
    tile = np.fft.irfft2(white * frequency**-roughness, s=(TILE, TILE))
    tile /= tile.std()
    tile = ndimage.gaussian_filter(tile, blur, mode="wrap").astype(np.float32)
    return np.pad(tile, ((0, 1), (0, 1)), mode="wrap")


def bilinear(table: np.ndarray, x: Field, y: Field) -> Field:
    """The table's values between its points, at column x and row y; its edge beyond the edge."""
    height, width = table.shape
    x = np.minimum(np.maximum(x, np.float32(0)), np.float32(width - 1.001))
    y = np.minimum(np.maximum(y, np.float32(0)), np.float32(height - 1.001))
    column, row = np.floor(x), np.floor(y)
    x, y = x - column, y - row
    first = (row * np.float32(width) + column).astype(np.int32)
    cells = table.ravel()
    above, below = cells.take(first), cells.take(first + np.int32(width))
    above += (cells.take(first + np.int32(1)) - above) * x
    below += (cells.take(first + np.int32(width + 1)) - below) * x
    return above + (below - above) * y


def noise(
    x: Field, y: Field, roughness: float = 1.0, seed: int = 0, footprint: float = 0.0
) -> Field:
    """Noise at (x, y) in cells of a periodic tile, smoothed to a pixel `footprint` cells wide."""
    blur = 0.0 if footprint < 1.0 else 0.5 * 2.0 ** (round(2 * np.log2(footprint)) / 2)
    origin = np.random.default_rng(seed).uniform(0, TILE, 2)
    x, y = x + np.float32(origin[0]), y + np.float32(origin[1])
    x, y = (c - TILE * np.floor(c * np.float32(1 / TILE)) for c in (x, y))
    return bilinear(_tile(roughness, blur), x, y)


@dataclasses.dataclass(frozen=True)
class Shape:
    """The ellipsoid's half widths by height: across A(v), in depth B(v), and its two ends."""

    width: float
    jaw: float
    depth: float
    top: float
    bottom: float
    forward: float = 0.0  # how far the jaw's axis lies in front of the skull's

    def widths(self, v: Field) -> tuple[Field, Field]:
        """A(v) and dA/dv."""
        hump = self.jaw * bell(v - 48.0, 20.0)
        return self.width + hump, hump * (v - 48.0) * (-2.0 / 400.0)

    def depths(self, v: Field) -> Field:
        """B(v): the jaw reaches further forward than an ellipsoid would."""
        return self.depth + 15.0 * smoothstep(10.0, 78.0, v) - self.axis(v)[0]

    def axis(self, v: Field) -> tuple[Field, Field]:
        """How far the cross-section's centre lies before CENTRE_W, and its slope in v."""
        if not self.forward:
            return np.zeros(1, np.float32), np.zeros(1, np.float32)
        t = np.clip((v - 8.0) / 52.0, 0.0, 1.0)
        return self.forward * t * t * (3.0 - 2.0 * t), self.forward * 6.0 * t * (1.0 - t) / 52.0

    def stretch(self, v: Field) -> Field:
        """k² of the term (k v)²: an ellipse below the eyes, fuller above them."""
        return np.where(v < 0, np.maximum(-v, 0.0) / self.top**3, 1.0 / self.bottom**2)


def head_shape(face: FaceParameters) -> Shape:
    """The bare head; the chin drops with the jaw."""
    width = 43.8 + 2.2 * face.face_width + (0.9 if face.male else -0.7)
    jaw = 2.6 * face.jaw_width + (0.6 if face.male else -3.2)
    bottom = BOTTOM + 2.5 * face.chin + (1.0 if face.male else -1.5) + 5.0 * face.mouth_open
    return Shape(width, jaw, 56.0, TOP, bottom, 15.0)


@dataclasses.dataclass(frozen=True)
class Relief:
    """Maps over the front of the head: height, its slopes, openness to the sky and to the light."""

    maps: dict[str, np.ndarray]

    def __call__(self, name: str, u: Field, v: Field) -> Field:
        return bilinear(self.maps[name], u - np.float32(RELIEF_U[0]), v - np.float32(RELIEF_V[0]))


@dataclasses.dataclass(frozen=True)
class Surface:
    """What each ray meets: head coordinates, depth, unit normal, margin inside the outline.

    The normal and the depth are in the camera's axes; the margin is in points, negative outside.
    """

    u: Field
    v: Field
    w: Field
    z: Field
    normal: np.ndarray
    margin: Field

    def coverage(self, step: float) -> Field:
        """How much of each pixel, `step` wide, the surface fills."""
        return np.clip(self.margin / step + 0.5, 0.0, 1.0)


def trace(x: Field, y: Field, turned: np.ndarray, shape: Shape, relief: Relief | None) -> Surface:
    """Where rays meet the head: a quadratic, solved again as relief and widths move with it."""
    (ou, ov, ow), (du, dv, dw) = _rays(x, y, turned)
    ow = ow - CENTRE_W
    z = np.full_like(ou, 40.0)
    a = inside = np.ones_like(ou)
    for _ in range(4 if relief is not None else 3):
        u, v = ou + z * du, ov + z * dv
        rise = shape.axis(v)[0]
        if relief is not None:
            rise = rise + relief("height", u, v)
        across, depth, k2 = shape.widths(v)[0] ** -2, shape.depths(v) ** -2, shape.stretch(v)
        a = du * du * across + dw * dw * depth + dv * dv * k2
        b = ou * du * across + (ow - rise) * dw * depth + ov * dv * k2
        c = ou * ou * across + (ow - rise) ** 2 * depth + ov * ov * k2 - 1.0
        inside = b * b - a * c
        z = (np.sqrt(np.maximum(inside, 0.0)) - b) / a
    nearest = np.sqrt(np.maximum(1.0 - inside / a, 0.0))  # closest approach, 1 at the silhouette
    margin = (1.0 - nearest) * shape.width
    u, v, w = ou + z * du, ov + z * dv, ow + z * dw
    normal = _normals(shape, relief, u, v, w)
    return Surface(u, v, w + CENTRE_W, z, np.tensordot(turned, normal, 1), margin)


def _normals(shape: Shape, relief: Relief | None, u: Field, v: Field, w: Field) -> np.ndarray:
    """Unit gradients of the implicit surface, in the head's axes, as (3, ...)."""
    rise, slope_v = shape.axis(v)
    slope_u = np.float32(0.0)
    if relief is not None:
        slope_u, slope_v = relief("du", u, v), slope_v + relief("dv", u, v)
        rise = rise + relief("height", u, v)
    width, widening = shape.widths(v)
    forward = (w - rise) / shape.depths(v) ** 2
    vertical = np.where(v < 0, -1.5 * v * v / shape.top**3, v / shape.bottom**2)
    vertical = vertical - u * u * widening / width**3 - forward * slope_v
    normal = np.stack([u / width**2 - forward * slope_u, vertical, forward])
    return normal / np.sqrt((normal * normal).sum(0) + 1e-12)
