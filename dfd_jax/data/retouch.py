"""Tools that alter one aligned face crop: masks, smooth fields, colours, warps, filters, JPEG.

A picture is float32 on 0 … 255 (it may overshoot), a field is one number per pixel. Randomness
comes from the generator that is passed in, so equal seeds give equal pixels.
"""

import io
from collections.abc import Callable, Sequence

import numpy as np
import scipy.ndimage
from jaxtyping import Float32, UInt8
from PIL import Image, ImageFilter

Pixels = UInt8[np.ndarray, "s s 3"]
Picture = Float32[np.ndarray, "s s 3"]
Field = Float32[np.ndarray, "s s"]

# Regions of the aligned crop: centre x, centre y, radius x, radius y, as shares of its side.
REGIONS = {
    "face": (0.50, 0.62, 0.25, 0.34),
    "inner": (0.50, 0.60, 0.20, 0.22),
    "lower": (0.50, 0.74, 0.20, 0.16),
    "eyes": (0.50, 0.51, 0.22, 0.09),
    "mouth": (0.50, 0.74, 0.14, 0.08),
    "nose": (0.50, 0.61, 0.09, 0.13),
}
HEAD = (0.50, 0.52, 0.38, 0.50)


def waves(size: int, cells: int, rng: np.random.Generator) -> Field:
    """A smooth random field in [-1, 1] with about `cells` bumps a side; white noise at `size`."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    field = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
    return np.clip(field, -1, 1)


def grating(size: int, rng: np.random.Generator) -> Float32[np.ndarray, "s s 1"]:
    """Straight waves in [-1, 1] across the picture, as [s, s, 1]."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    wave = 2 * np.pi / rng.uniform(2.0, size / 6)
    phase = (x * np.cos(angle) + y * np.sin(angle)) * wave + rng.uniform(0, 2 * np.pi)
    grating = np.sin(phase)
    return (np.sign(grating) if rng.random() < 0.3 else grating)[..., None].astype(np.float32)


def _ellipse(size: int, region: tuple[float, float, float, float], ragged: Field) -> Field:
    """How far inside the ragged ellipse each pixel is: above 0 inside, below outside."""
    y, x = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size
    cx, cy, rx, ry = region
    return 1.0 - ((x - cx) / rx) ** 2 - ((y - cy) / ry) ** 2 + 0.3 * ragged


def region_mask(
    size: int, rng: np.random.Generator, names: Sequence[str] = tuple(REGIONS)
) -> Field:
    """A deformed region of the face with a soft edge: 0 outside, 1 well inside."""
    cx, cy, rx, ry = REGIONS[str(rng.choice(names))]
    moved = (cx + rng.uniform(-0.03, 0.03), cy + rng.uniform(-0.03, 0.03))
    grown = (rx * rng.uniform(0.85, 1.2), ry * rng.uniform(0.85, 1.2))
    inside = _ellipse(size, (*moved, *grown), waves(size, 5, rng)) > 0
    edge = size * rng.uniform(0.005, 0.04)
    return scipy.ndimage.gaussian_filter(inside.astype(np.float32), edge)


def hair_mask(size: int, rng: np.random.Generator) -> Field:
    """Roughly where the hair is: inside the head, outside the face, above the mouth; soft edge."""
    ragged = waves(size, 6, rng)
    head = _ellipse(size, HEAD, ragged) > 0
    face = _ellipse(size, (0.5, 0.62, 0.24, 0.33), ragged) > 0
    mask = head & ~face
    mask[int(size * rng.uniform(0.55, 0.8)) :] = False
    return scipy.ndimage.gaussian_filter(mask.astype(np.float32), size * rng.uniform(0.01, 0.03))


# ---------------------------------------------------------------- picture tools


def tinted(picture: Picture, rng: np.random.Generator, levels: float) -> Picture:
    """Another white balance, brightness and contrast, by up to about `levels`."""
    gain = 1 + rng.uniform(-1, 1) * levels / 100
    shift = rng.uniform(-levels, levels, 3) + rng.uniform(-levels, levels) / 2
    return ((picture - 127.5) * gain + 127.5 + shift).astype(np.float32)


def refocused(picture: Picture, rng: np.random.Generator) -> Picture:
    """Sharper or softer than it was, or unchanged."""
    detail = picture - blurred(picture, rng.uniform(0.7, 1.5))
    return picture + detail * float(rng.choice([-1.0, 0.0, 1.0]))


def moved(picture: Picture, rng: np.random.Generator) -> Picture:
    """Turned by up to 5 degrees, scaled by up to 6 %, shifted by up to 4 % of the side."""
    size = len(picture)
    angle, scale = np.deg2rad(rng.uniform(-5, 5)), rng.uniform(0.94, 1.06)
    dx, dy = (rng.uniform(-0.04, 0.04, 2) * size).tolist()
    cos, sin = float(np.cos(angle)) / scale, float(np.sin(angle)) / scale
    centre = size / 2
    inverse = (
        cos, sin, centre - cos * (centre + dx) - sin * (centre + dy),
        -sin, cos, centre + sin * (centre + dx) - cos * (centre + dy),
    )  # fmt: skip
    return transformed(picture, inverse)


def recropped(picture: Picture, rng: np.random.Generator) -> Picture:
    """Mirrored half the time; zoomed and shifted by a few percent half the time."""
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    if rng.random() < 0.5:
        return picture
    size = len(picture)
    zoom = rng.uniform(0.9, 1.0)
    x, y = rng.uniform(0, 1 - zoom, 2) * size
    return transformed(picture, (zoom, 0.0, float(x), 0.0, zoom, float(y)))


def relit(picture: Picture, rng: np.random.Generator) -> Picture:
    """Other brightness, contrast, saturation and white balance, and a little gamma."""
    gamma = rng.uniform(0.85, 1.18)
    picture = 255 * (np.clip(picture, 0, 255) / 255) ** gamma
    grey = picture.mean(-1, keepdims=True)
    picture = grey + (picture - grey) * rng.uniform(0.7, 1.3)
    mean = picture.mean()
    gain = rng.uniform(0.85, 1.15) * rng.uniform(0.96, 1.04, 3)
    return ((picture - mean) * gain + mean + rng.uniform(-18, 18)).astype(np.float32)


def bulged(picture: Picture, centre: tuple[float, float], rng: np.random.Generator) -> Picture:
    """Pixels around a point drawn towards it or pushed away."""
    size = len(picture)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    dx, dy = x - centre[0] * size, y - centre[1] * size
    radius = size * rng.uniform(0.12, 0.25)
    strength = rng.uniform(0.45, 0.75) * rng.choice([-1, 1])
    weight = (strength * np.exp(-(dx**2 + dy**2) / radius**2)).astype(np.float32)
    return displaced(picture, -dx * weight, -dy * weight)


def displaced(picture: Picture, dx: Field, dy: Field) -> Picture:
    """The picture whose pixel (y, x) is the old one's (y + dy, x + dx), bilinear."""
    y, x = np.mgrid[: len(picture), : len(picture)].astype(np.float32)
    places = (y + dy, x + dx)
    channels = [
        scipy.ndimage.map_coordinates(picture[..., c], places, order=1, mode="nearest")
        for c in range(3)
    ]
    return np.stack(channels, axis=-1)


def transformed(
    picture: Picture, inverse: tuple[float, float, float, float, float, float]
) -> Picture:
    """The picture under an affine map given by its inverse (x, y in pixels); edges continued."""
    edge = len(picture) // 8
    padded = np.pad(picture, ((edge, edge), (edge, edge), (0, 0)), mode="edge")
    a, b, c, d, e, f = inverse
    c, f = c + edge, f + edge
    coefficients = (a, b, c, d, e, f)
    side = (len(picture), len(picture))
    return _per_channel(
        padded,
        lambda channel: channel.transform(
            side, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
        ),
    )


def blended(target: Picture, source: Float32[np.ndarray, "..."], mask: Field) -> Picture:
    weight = mask[..., None].astype(np.float32)
    return (target * (1 - weight) + source * weight).astype(np.float32)


def blurred(picture: Picture, sigma: float) -> Picture:
    return scipy.ndimage.gaussian_filter(picture, (sigma, sigma, 0), truncate=3.0)


def shrunk(picture: Picture, share: float, back: Image.Resampling) -> Picture:
    """Resized to `share` of its side and back."""
    small = resized(picture, max(2, round(len(picture) * share)), Image.Resampling.BOX)
    return resized(small, len(picture), back)


def resized(picture: Picture, size: int, how: Image.Resampling) -> Float32[np.ndarray, "t t 3"]:
    return _per_channel(picture, lambda channel: channel.resize((size, size), how))


def _per_channel(
    picture: Float32[np.ndarray, "h w 3"], alter: Callable[[Image.Image], Image.Image]
) -> Float32[np.ndarray, "t t 3"]:
    """`alter` on each channel as a float image (Pillow's own RGB images hold whole levels only)."""
    channels = (Image.fromarray(np.ascontiguousarray(picture[..., c])) for c in range(3))
    return np.stack([np.asarray(alter(channel)) for channel in channels], axis=-1)


def rank_filtered(picture: Picture, kernel: ImageFilter.Filter) -> Picture:
    image = Image.fromarray(to_pixels(picture)).filter(kernel)
    return np.asarray(image, np.float32)


def jpeg(picture: Picture, quality: int) -> Picture:
    file = io.BytesIO()
    subsampling = 0 if quality > 85 else 2
    Image.fromarray(to_pixels(picture)).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file), np.float32)


def to_pixels(picture: Picture) -> Pixels:
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
