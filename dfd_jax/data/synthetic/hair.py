"""Hair: a shell around the skull, open in front of the face, with strands that fall from a parting."""

import dataclasses

import numpy as np

from dfd_jax.data.synthetic.geometry import (
    CENTRE_W,
    Field,
    Shape,
    Surface,
    bell,
    noise,
    smoothstep,
    trace,
)
from dfd_jax.data.synthetic.light import Light, shade_hair
from dfd_jax.data.synthetic.parameters import FaceParameters
from dfd_jax.data.synthetic.skin import hair_tone

FALLING = ("bob", "long")


def shell_shape(face: FaceParameters, head: Shape) -> Shape:
    """The outer surface of the hair."""
    thick, high, bottom, flare = {
        "bald": (0.2, 0.0, head.bottom, 0.0),
        "buzz": (1.0, 1.5, head.bottom, 0.0),
        "short": (2.0 + 2.5 * face.hair_volume, 4.0 + 7.0 * face.hair_volume, head.bottom, 0.0),
        "parted": (2.5 + 3.0 * face.hair_volume, 5.0 + 7.0 * face.hair_volume, head.bottom, 0.0),
        "tied": (1.5, 3.0 + 3.0 * face.hair_volume, head.bottom, 0.0),
        "bob": (7.0 + 6.0 * face.hair_volume, 7.0 + 5.0 * face.hair_volume, 88.0, 5.0),
        "long": (6.0 + 6.0 * face.hair_volume, 6.0 + 6.0 * face.hair_volume, 190.0, 3.0),
    }[face.hair_style]
    width = head.width + thick
    return Shape(
        width, flare + head.jaw * (flare == 0), head.depth + thick, head.top + high, bottom
    )


def hair_edge(face: FaceParameters, u: Field, v: Field) -> Field:
    """How far (u, v) lies inside the hair, in points; negative on the bare face."""
    au, part = np.abs(u), 12.0 * face.hair_part
    if face.hair_style in FALLING:
        return _opening(face, u, v)
    front = -45.0 + 2.0 * (not face.male)
    recess = face.receding * (13.0 * bell(au - 24.0, 11.0) + 8.0 * bell(au, 30.0))
    side = {"tied": 2.0, "buzz": 5.0}.get(face.hair_style, 9.0)
    drop = (side - front) * smoothstep(35.0, 47.0, au)
    line = front - recess + drop + 2.0 * bell(au - 33.0, 5.0)
    line = line + face.fringe * (20.0 + 5.0 * bell(u - part, 16.0)) * smoothstep(42.0, 26.0, au)
    if face.hair_style == "bald":
        line = -90.0 + (96.0) * smoothstep(41.0, 50.0, au) * (face.receding > 0.25)
    if face.hair_style == "parted":
        line = line + 3.5 * bell(u + part, 20.0) - 2.0 * bell(u - part, 6.0)
    return line - v


def _opening(face: FaceParameters, u: Field, v: Field) -> Field:
    part = 14.0 * face.hair_part
    half = 41.0 - 4.0 * face.hair_volume + 3.0 * bell(v - 25.0, 30.0)
    half = half + 0.06 * np.maximum(v - 40.0, 0.0)
    top = 45.0
    high = np.clip(-v / top, 0.0, None)
    lean = part * high * high
    reach = np.sqrt(((u - lean) / half) ** 2 + high**2.4)
    edge = (reach - 1.0) * half
    if face.fringe > 0:
        bangs = -46.0 + face.fringe * 25.0 + 0.004 * (u - part) ** 2
        edge = np.maximum(edge, (bangs - v) * smoothstep(46.0, 34.0, np.abs(u)))
    return edge


def _end(face: FaceParameters, lon: Field, v: Field) -> Field:
    """1 on the hair, 0 below its ends; short hair also ends at the nape and sideburns."""
    lowest = {"bob": 58.0, "long": 150.0}.get(face.hair_style)
    if lowest is None:
        return smoothstep(16.0, 6.0, v)
    ragged = 3.0 * noise(9.0 * lon, 0.02 * v, 0.8, face.texture_seed + 20)
    return smoothstep(lowest + 6.0, lowest - 4.0, v + ragged)


@dataclasses.dataclass(frozen=True)
class Hair:
    """The shell as the camera sees it: light leaving it (3, ...), how much of it covers, its edge."""

    light: np.ndarray
    front: Field
    back: Field
    surface: Surface


def _strands(face: FaceParameters, s: Surface, step: float) -> tuple[Field, Field, Field]:
    """Longitude of each point's strand, and the strands' coarse and fine variation."""
    depth = np.maximum(s.w - CENTRE_W, 0.0)
    seed = face.texture_seed + 21
    part = 16.0 * face.hair_part * smoothstep(20.0, -60.0, s.v)
    lon = np.arctan2(s.u - part, depth + 4.0)
    if face.hair_style not in FALLING:  # short hair sweeps across instead of falling
        lon = lon + 0.012 * face.hair_part * (s.v + 60.0)
    wave = noise(1.5 * lon, 0.35 * s.v, 2.0, seed)
    swing = np.sin(0.16 * s.v + 2.5 * wave + face.texture_seed % 7)
    long = 1.0 if face.hair_style in FALLING else 0.4
    lon = lon + long * face.hair_wave * (0.10 * swing + 0.10 * wave) + 0.02 * wave
    around = 52.0 * lon
    coarse = noise(0.55 * around, 0.05 * s.v, 1.0, seed + 1, 0.55 * step)
    middle = noise(1.6 * around, 0.09 * s.v, 0.8, seed + 2, 1.6 * step)
    fine = noise(4.5 * around, 0.16 * s.v, 0.5, seed + 3, 4.5 * step)
    return lon, coarse, 0.6 * middle + 0.55 * fine


def _directions(normal: np.ndarray) -> np.ndarray:
    """Strands run down the shell: the vertical, made tangent to it."""
    along = -normal[1] * normal
    along[1] += 1.0
    return along / np.sqrt((along * along).sum(0) + 1e-6)


def grow(
    face: FaceParameters,
    x: Field,
    y: Field,
    step: float,
    turned: np.ndarray,
    head: Shape,
    light: Light,
) -> Hair:
    """The hair of a face at every pixel."""
    shell = shell_shape(face, head)
    s = trace(x, y, step, turned, shell, None)
    lon, coarse, fine = _strands(face, s, step)
    ragged = 1.2 * coarse + 0.9 * fine
    soft = 2.2 if face.hair_style in FALLING else 3.2
    edge = hair_edge(face, s.u, s.v) + ragged
    outline = smoothstep(-0.4, 1.2 + 0.5 * step, (s.coverage - 0.5) * step + 1.0 + 0.35 * fine)
    cover = np.minimum(s.coverage, outline) * _end(face, lon, s.v)
    front = cover * smoothstep(-soft, soft, edge)
    if face.hair_style in ("bald", "buzz"):
        front = front * (0.55 if face.hair_style == "bald" else 0.8)
    strands = np.exp(0.30 * coarse + 0.34 * fine)
    colour = hair_tone(face)[:, None, None] * strands
    if face.hair_colour == "blond":
        colour = colour * np.exp(0.1 * coarse * np.array([0.3, 0.6, 1.0])[:, None, None])
    root = 1.0 - 0.45 * smoothstep(9.0, 0.0, edge) * (face.hair_style in FALLING)
    deep = root * (1.0 - 0.25 * smoothstep(20.0, 90.0, s.v))
    lightness = shade_hair(light, s.normal, _directions(s.normal), colour, 0.12 * coarse)
    back = cover if face.hair_style in FALLING else np.zeros_like(cover)
    return Hair((lightness * deep).astype(np.float32), front, back, s)
