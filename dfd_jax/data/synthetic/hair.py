"""Hair: a shell around the skull, open before the face, its strands falling from a parting."""

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
        "short": (2.0 + 3.0 * face.hair_volume, 5.0 + 8.0 * face.hair_volume, head.bottom, 0.0),
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
    recess = (face.receding + 0.3) * 13.0 * bell(au - 23.0, 8.5) + face.receding * 8.0 * bell(
        au, 30.0
    )
    recess = recess * (1.0 - face.fringe)
    side = {"tied": 2.0, "buzz": 5.0}.get(face.hair_style, 9.0)
    drop = (side - front) * smoothstep(30.0, 43.0, au) ** 1.3
    line = front - recess + drop + 2.0 * bell(au - 33.0, 5.0)
    line = line + face.fringe * (20.0 + 5.0 * bell(u - part, 16.0)) * smoothstep(42.0, 26.0, au)
    if face.hair_style == "bald":
        line = -90.0 + (96.0) * smoothstep(41.0, 50.0, au) * (face.receding > 0.25)
    if face.hair_style == "parted":
        line = line + 3.5 * bell(u + part, 20.0) - 2.0 * bell(u - part, 6.0)
    return line - v


def _opening(face: FaceParameters, u: Field, v: Field) -> Field:
    part = 14.0 * face.hair_part
    half = 36.5 - 3.0 * face.hair_volume + 3.5 * bell(v - 22.0, 25.0)
    half = half - 0.08 * np.maximum(v - 40.0, 0.0)
    high = np.clip(-v / 49.0, 0.0, None)
    lean = part * high * high
    power = 1.45 + 0.6 * (face.texture_seed % 11) / 10.0  # from a pointed to a round opening
    reach = ((np.abs(u - lean) / half) ** power + high**power) ** (1.0 / power)
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
    """The shell as the camera sees it: light leaving it, (3, h, w), and how much of it covers."""

    light: np.ndarray
    front: Field
    back: Field


def _strands(face: FaceParameters, s: Surface, step: float) -> tuple[Field, Field, Field]:
    """Longitude of each point's strand, and the strands' coarse and fine variation."""
    seed = face.texture_seed + 21
    part = 16.0 * face.hair_part * smoothstep(20.0, -60.0, s.v)
    lon = np.arctan2(s.u - part, s.w - CENTRE_W + 4.0)
    wave = noise(1.5 * lon, 0.35 * s.v, 2.0, seed)
    swing = np.sin(0.16 * s.v + 2.5 * wave + face.texture_seed % 7)
    long = 1.0 if face.hair_style in FALLING else 0.4
    lon = lon + long * face.hair_wave * (0.10 * swing + 0.10 * wave) + 0.02 * wave
    across, down = _combed(face, 52.0 * lon, s.v)
    short = 1.0 if face.hair_style in FALLING else 2.2
    coarse = noise(0.55 * across, 0.05 * short * down, 1.0, seed + 1, 0.55 * step)
    middle = noise(1.6 * across, 0.09 * short * down, 0.8, seed + 2, 1.6 * step)
    fine = noise(4.5 * across, 0.16 * short * down, 0.5, seed + 3, 4.5 * step)
    return lon, coarse, 0.6 * middle + 0.55 * fine


def _sweep(face: FaceParameters) -> float:
    """The angle by which short hair is combed aside on top, in radians."""
    side = 1.0 if face.hair_part < 0 else -1.0
    most = {"parted": 1.15, "short": 0.55, "tied": 0.9, "buzz": 0.3}.get(face.hair_style, 0.0)
    return side * most * (0.5 + 0.5 * abs(face.hair_part))


def _combed(face: FaceParameters, around: Field, v: Field) -> tuple[Field, Field]:
    angle = _sweep(face) * smoothstep(58.0, 30.0, np.abs(around)) * smoothstep(-10.0, -40.0, v)
    sine, cosine = np.sin(angle), np.cos(angle)
    return cosine * around + sine * (v + 50.0), cosine * (v + 50.0) - sine * around


def _directions(normal: np.ndarray, angle: float) -> np.ndarray:
    """Strands run down the shell or aside, by `angle`: that direction, made tangent to it."""
    flow = np.array([-np.sin(angle), np.cos(angle), 0.0], np.float32)
    along = flow[:, None, None] - np.tensordot(flow, normal, 1) * normal
    return along / np.sqrt((along * along).sum(0) + 1e-6)


def grow(
    face: FaceParameters,
    x: Field,
    y: Field,
    step: float,
    turned: np.ndarray,
    head: Shape,
    light: Light,
    bare: Field,
) -> Hair:
    """The hair of a face at every pixel; `bare`: how far each lies inside the head's outline."""
    shell = shell_shape(face, head)
    s = trace(x, y, turned, shell, None)
    lon, coarse, fine = _strands(face, s, step)
    ragged = 1.2 * coarse + 0.9 * fine
    falls = face.hair_style in FALLING
    u = s.u * (head.width / shell.width)
    if not falls:  # no gap between the temple and the hair beyond it
        u = u + np.sign(u) * np.maximum(46.0 - np.abs(u), 0.0) * smoothstep(0.5, -0.5, bare)
    edge = hair_edge(face, u, s.v) + ragged
    tuft = (1.3, 0.10) if falls else (1.1, 1.1)
    fuzz = noise(tuft[0] * x, tuft[1] * y, 0.9, face.texture_seed + 25, 1.2 * step)
    cover = smoothstep(-0.8 - 0.4 * step, 1.6 + 0.4 * step, s.margin + 0.45 * fuzz)
    cover = cover * _end(face, lon, s.v)
    combed_back = face.fringe == 0 and not falls
    soft = 2.2 if falls else 3.4 + 2.4 * combed_back
    front = cover * smoothstep(-soft, soft, edge)
    if face.hair_style in ("bald", "buzz"):
        front = front * (0.55 if face.hair_style == "bald" else 0.8)
    strands = np.exp(0.30 * coarse + 0.34 * fine)
    colour = hair_tone(face)[:, None, None] * strands
    if face.hair_colour == "blond":
        colour = colour * np.exp(0.1 * coarse * np.array([0.3, 0.6, 1.0])[:, None, None])
    root = 1.0 - 0.45 * smoothstep(9.0, 0.0, edge) * falls
    deep = root * (1.0 - 0.25 * smoothstep(20.0, 90.0, s.v))
    lightness = shade_hair(
        light, s.normal, _directions(s.normal, _sweep(face)), colour, 0.12 * coarse
    )
    back = cover if falls else np.zeros_like(cover)
    return Hair((lightness * deep).astype(np.float32), front, back)
