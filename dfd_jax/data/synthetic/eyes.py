"""Eyes: lids, lashes, white, iris and the lamp's reflection."""

import numpy as np

from dfd_jax.data.synthetic.geometry import Field, bell, noise, smoothstep
from dfd_jax.data.synthetic.parameters import FaceParameters
from dfd_jax.data.synthetic.skin import EYE_TONES, Paint, linear, ramp

AT = (20.0, 0.0)  # the pupil of a face that looks at the camera


def _lids(face: FaceParameters, x: Field, y: Field) -> tuple[Field, Field, Field]:
    """Signed distances below the upper lid and above the lower one, and s: -1 nose, 1 temple."""
    half = 9.8 * (1.0 + 0.08 * face.eye_size)
    s = (x - 0.3) / half
    span = np.clip(1.0 - s * s, 0.0, 1.0)
    squint = 0.75 * face.smile
    height = 4.0 + 0.55 * face.eye_size - (0.35 if face.male else 0.0) + 0.5 * face.brow_raise
    lower = 3.3 - squint
    upper = height * face.eye_openness - (lower - 0.5) * (1.0 - face.eye_openness)
    tilt = -(0.05 + 0.07 * face.eye_tilt) * x
    skew = 1.0 - 0.16 * s  # the upper lid peaks towards the nose
    below = y - tilt + upper * span**0.72 * skew
    above = lower * span**0.85 * (1.0 + 0.12 * s) - (y - tilt)
    return below, above, s


def _ball(face: FaceParameters, paint: Paint, x: Field, y: Field, alpha: Field, aa: float) -> None:
    radius = 4.35
    dx, dy = x, y + 0.4
    r = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, dx)
    white = linear((214, 205, 199))[:, None] * (1.0 - 0.45 * face.skin_tone)
    white = white * (1.0 - 0.35 * smoothstep(4.0, 11.0, np.abs(x)))
    paint.lay(white, alpha)
    fibres = noise(9.0 * angle, 0.8 * r, 0.8, face.texture_seed + 11)
    tone = ramp(EYE_TONES, face.eye_colour)[:, None] * np.exp(0.28 * fibres)
    tone = tone * (0.75 + 0.6 * smoothstep(-3.0, 4.0, dy))  # light gathers opposite the lamp
    tone = tone * (1.0 - 0.75 * smoothstep(0.72 * radius, radius, r))
    paint.lay(tone, alpha * smoothstep(radius + aa, radius - aa, r))
    paint.lay(linear((8, 7, 7)), alpha * smoothstep(1.75 + aa, 1.75 - aa, r))


def _eye(face: FaceParameters, paint: Paint, x: Field, y: Field, side: int, step: float) -> None:
    """One eye; x grows towards the temple, (0, 0) is the middle of the opening."""
    aa = max(0.5, 0.45 * step)
    below, above, s = _lids(face, x, y)
    edge = smoothstep(1.06, 0.94, np.abs(s))
    opened = smoothstep(-aa, aa, below) * smoothstep(-aa, aa, above) * edge
    lids = np.array([0.86, 0.74, 0.72]) * (1 - 0.25 * face.make_up)
    shadow = smoothstep(-6.5, -1.0, below) * smoothstep(1.0, 0.0, below) * bell(s, 1.0)
    paint.tint(tuple(lids), shadow)
    crease = bell(below + 2.9 + 0.6 * (1.0 - face.eye_openness) - 0.5 * s, 0.85) * bell(s, 0.95)
    paint.tint((0.55, 0.45, 0.43), crease * 0.75 * min(1.0, 1.6 * face.eye_openness))
    rim = bell(above + 0.5, 0.8) * edge
    paint.tint((0.92, 0.7, 0.68), rim * 0.7)
    dx, dy = side * 2.6 * face.gaze_x, 1.8 * face.gaze_y
    _ball(face, paint, x - dx, y - dy, opened, 0.8 * aa)
    paint.lay(linear((196, 120, 108)), opened * smoothstep(-0.78, -0.98, s) * 0.7)
    # The upper lid shades the ball; lashes darken its edge.
    paint.tint((0.36, 0.34, 0.36), opened * smoothstep(3.4, 0.0, below))
    thick = (0.62 if face.male else 1.05) + 0.35 * face.make_up
    lash = bell(below + 0.25 * thick, thick) * smoothstep(-1.1, -0.6, s) * smoothstep(1.16, 0.98, s)
    paint.lay(linear((20, 15, 14)), lash * (0.62 if face.male else 0.88))
    paint.tint((0.5, 0.42, 0.4), bell(above + 0.2, 0.6) * edge * (0.35 + 0.3 * face.make_up))
    paint.gloss *= 1.0 - 0.8 * np.maximum(opened, lash)
    lamp = np.radians(face.light_azimuth), np.radians(face.light_elevation)
    gx, gy = dx + side * 1.7 * np.sin(lamp[0]), dy - 0.4 - 1.1 - 0.9 * np.sin(lamp[1])
    spark = bell(np.hypot(x - gx, (y - gy)), 0.95 + 0.2 * step)
    paint.glint += 0.75 * spark * opened * smoothstep(0.0, 1.5, below)


def eyes(face: FaceParameters, paint: Paint, u: Field, v: Field, step: float) -> None:
    """Both eyes, painted on the points (u, v)."""
    for side in (-1, 1):
        x, y = side * u - AT[0], v - AT[1]
        where = np.flatnonzero((np.abs(x) < 15.0) & (np.abs(y) < 13.0))
        if where.size:
            part = paint.part(where)
            _eye(face, part, x[where], y[where], side, step)
            paint.put(where, part)
