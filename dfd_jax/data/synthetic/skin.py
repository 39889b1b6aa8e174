"""The colour of a face before light falls on it: skin, lips and mouth, brows, beard, eyes."""

import dataclasses

import numpy as np

from dfd_jax.data.synthetic.geometry import Field, bell, noise, smoothstep
from dfd_jax.data.synthetic.parameters import FaceParameters
from dfd_jax.data.synthetic.relief import mouth_line

SKIN_TONES = (
    (241, 208, 190),
    (228, 184, 160),
    (206, 157, 126),
    (168, 117, 86),
    (118, 77, 55),
    (76, 48, 37),
)
HAIR_TONES = {  # darkest and lightest of each name
    "black": ((14, 12, 13), (34, 28, 26)),
    "brown": ((52, 33, 22), (112, 74, 46)),
    "blond": ((164, 122, 70), (224, 190, 132)),
    "gray": ((112, 110, 108), (208, 206, 202)),
}
EYE_TONES = ((38, 22, 14), (92, 58, 30), (104, 100, 58), (84, 124, 120), (84, 124, 170))


def linear(levels: tuple[float, ...] | np.ndarray) -> np.ndarray:
    """8-bit sRGB levels as linear light in [0, 1]."""
    return (np.asarray(levels, np.float32) / np.float32(255)) ** np.float32(2.2)


def ramp(tones: tuple[tuple[float, ...], ...], at: float) -> np.ndarray:
    """A colour from a list of sRGB tones at `at` in [0, 1], in linear light."""
    table = np.asarray(tones, np.float32)
    where = np.linspace(0, 1, len(tones))
    return linear(np.array([np.interp(at, where, table[:, i]) for i in range(3)]))


def hair_tone(face: FaceParameters) -> np.ndarray:
    """The hair's colour in linear light."""
    return ramp(HAIR_TONES[face.hair_colour], face.hair_shade)


@dataclasses.dataclass
class Paint:
    """What covers each of n points: colour (3, n), shininess (n) and light of its own (n)."""

    colour: np.ndarray
    gloss: Field
    glint: Field

    def lay(self, colour: np.ndarray, alpha: Field) -> None:
        """Cover with `colour`, (3,) or (3, n), where alpha is 1."""
        colour = colour if colour.ndim > 1 else colour[:, None]
        self.colour += (colour - self.colour) * alpha

    def tint(self, factor: tuple[float, float, float], alpha: Field) -> None:
        """Multiply by `factor` where alpha is 1."""
        self.colour *= 1.0 + (np.asarray(factor, np.float32)[:, None] - 1.0) * alpha

    def part(self, where: np.ndarray) -> "Paint":
        """A copy of some of the points, to work on a small region."""
        return Paint(self.colour[:, where], self.gloss[where], self.glint[where])

    def put(self, where: np.ndarray, part: "Paint") -> None:
        """Write such a copy back."""
        self.colour[:, where], self.gloss[where], self.glint[where] = (
            part.colour,
            part.gloss,
            part.glint,
        )


def skin(face: FaceParameters, u: Field, v: Field, step: float) -> Paint:
    """Bare skin: blotches, pores, freckles, redness of cheeks and nose, lines of age."""
    seed, au = face.texture_seed, np.abs(u)
    base = ramp(SKIN_TONES, face.skin_tone)
    base = base * np.array([1.0, 0.97 + 0.06 * face.skin_warmth, 1.04 - 0.16 * face.skin_warmth])
    paint = Paint(
        np.repeat(base.astype(np.float32)[:, None], u.size, 1),
        np.full(u.size, 0.45, np.float32),
        np.zeros(u.size, np.float32),
    )
    old = float(np.clip((face.age - 30) / 45, 0, 1))
    fair = 1.0 - face.skin_tone
    blotch = noise(0.6 * u, 0.6 * v, 1.6, seed + 3, 0.6 * step)
    pores = noise(3.1 * u, 3.1 * v, 0.6, seed + 4, 3.1 * step)
    paint.colour *= 1.0 + 0.035 * blotch + (0.03 + 0.03 * old) * pores
    flush = bell(au - 27.0, 13.0) * bell(v - 20.0, 11.0) + 0.8 * bell(au, 8.0) * bell(v - 25.0, 8.0)
    flush = np.clip(flush + 0.12 * noise(0.9 * u, 0.9 * v, 1.4, seed + 5, 0.9 * step), 0, 1)
    rouge = 0.55 + 0.6 * face.make_up
    paint.tint((1.03, 1 - 0.17 * rouge, 1 - 0.15 * rouge), flush * (0.5 + 0.5 * fair))
    paint.tint((0.80, 0.76, 0.80), (0.35 + 0.5 * old) * bell(au - 17.0, 9.0) * bell(v - 8.5, 4.5))
    paint.tint((0.82, 0.75, 0.74), 0.7 * bell(au - 20.0, 12.0) * bell(v + 3.5, 5.5))
    if face.freckles + old > 0.05:
        spots = noise(1.7 * u, 1.7 * v, 0.9, seed + 6, 1.7 * step)
        spots = smoothstep(1.3, 2.4, spots + 0.5 * bell(v - 15.0, 16.0) * bell(au - 18.0, 22.0))
        paint.tint((0.66, 0.52, 0.42), spots * (0.85 * face.freckles + 0.30 * old**2))
    oily = bell(au, 14.0) * (bell(v + 36.0, 16.0) + bell(v - 20.0, 14.0))
    paint.gloss += 0.35 * oily + 0.12 * pores
    return paint


def stubble(face: FaceParameters, paint: Paint, u: Field, v: Field, step: float) -> None:
    """A shaved shadow, stubble or a full beard, by `beard`, with the bare places men have."""
    if not face.male or face.beard <= 0.02:
        return
    m = mouth_line(face)
    au, seed = np.abs(u), face.texture_seed
    rough = noise(1.1 * u, 1.1 * v, 1.0, seed + 7, 1.1 * step)
    edge = 39.0 - 30.0 * smoothstep(18.0, 41.0, au)  # cheek line: low in front, up to the ear
    jaw = smoothstep(-5.0, 6.0, v - edge + 1.8 * rough)
    floor = m["middle"] + m["below"] + m["lower"]
    bare = bell(au - 9.0, 4.0) * bell(v - floor - 2.5, 3.0)
    lip = m["middle"] - m["above"] - m["upper"] + 6.0 * (au / (m["half"] + 4.0)) ** 2
    moustache = smoothstep(-6.0, -3.0, v - lip + 0.5 * rough) * smoothstep(24.0, 17.0, au)
    cover = np.clip(np.maximum(jaw, moustache) * (1.0 - 0.75 * bare), 0.0, 1.0)
    fine = noise(4.0 * u + 0.5 * v, 1.6 * v, 0.7, seed + 8, 4.0 * step)
    if face.beard < 0.5:
        paint.tint((0.74, 0.76, 0.82), cover * face.beard * 2.4 * (0.8 + 0.25 * fine))
        return
    strand = hair_tone(face) * (1.0 - 0.3 * (face.hair_colour == "blond"))
    full = np.clip(cover * (0.45 + 0.75 * face.beard) + 0.12 * cover * fine, 0.0, 0.97)
    paint.lay(strand[:, None] * np.exp(0.38 * fine + 0.25 * rough), full)
    paint.gloss *= 1.0 - 0.75 * full


def brows(face: FaceParameters, paint: Paint, u: Field, v: Field, step: float) -> None:
    """Two tapering arcs of short hairs, darker than the head's."""
    au = np.abs(u)
    t = (au - 8.5 + 2.5 * face.frown) / (24.5 if face.male else 24.0)
    arch = (3.2 if face.male else 4.6) + 1.6 * face.brow_arch
    lift = (0.0 if face.male else -1.4) - 5.0 * face.brow_raise
    bend = np.where(t < 0.66, (t - 0.66) / 0.78, (t - 0.66) / 0.44)
    line = -11.2 + lift - arch * (1.0 - bend * bend) + 4.5 * face.frown * bell(au - 9.0, 16.0)
    thick = (2.5 if face.male else 1.75) * (1.0 + 0.3 * face.brow_thickness)
    thick = thick * np.clip(1.15 - 0.75 * np.clip(t, 0.0, 1.0) ** 1.5, 0.1, 1.2)
    hairs = noise(2.6 * u + 3.0 * np.sign(u) * v, 1.1 * v, 0.7, face.texture_seed + 9, 2.6 * step)
    off = np.abs(v - line) / thick - 0.22 * hairs
    alpha = smoothstep(1.15, 0.45, off) * smoothstep(-0.06, 0.12, t) * smoothstep(1.06, 0.85, t)
    dark = hair_tone(face) * {"blond": 0.42, "gray": 0.55}.get(face.hair_colour, 0.8)
    dark = np.minimum(dark, 0.6 * ramp(SKIN_TONES, face.skin_tone))
    paint.lay(dark[:, None] * np.exp(0.3 * hairs), alpha * (0.86 if face.male else 0.78))
    paint.gloss *= 1.0 - 0.7 * alpha


def mouth(face: FaceParameters, paint: Paint, u: Field, v: Field, step: float) -> None:
    """Lips, and between them teeth, tongue and darkness."""
    m, aa = mouth_line(face), max(0.55, 0.5 * step)
    s = u / m["half"]
    span = np.clip(1.0 - s * s, 0.0, 1.0)
    line = m["middle"] + (m["corner"] - m["middle"]) * s * s
    above, below = line - m["above"] * span, line + m["below"] * span**0.8
    bow = 1.0 + 0.22 * bell(np.abs(s) - 0.2, 0.13) - 0.12 * bell(s, 0.1)
    top = above - m["upper"] * span**0.75 * bow
    bottom = below + m["lower"] * span**0.65
    lips = smoothstep(-aa - 0.5, aa + 0.5, v - top) * smoothstep(aa + 0.9, -aa - 0.9, v - bottom)
    lips = lips * smoothstep(1.04, 0.9, np.abs(s))
    ridges = noise(2.4 * u, 0.5 * v, 0.8, face.texture_seed + 10, 2.4 * step)
    natural = ramp(SKIN_TONES, face.skin_tone) * np.array([0.80, 0.50, 0.52], np.float32)
    red = natural * (1 - 0.55 * face.make_up) + linear((168, 42, 56)) * 0.55 * face.make_up
    shade = 1.0 - 0.22 * smoothstep(1.0, -1.0, v - above) + 0.07 * ridges
    paint.lay(red.astype(np.float32)[:, None] * shade, lips * (0.72 if face.male else 0.9))
    paint.gloss += lips * (0.35 + 0.5 * face.make_up) * smoothstep(-0.5, 2.5, v - below)
    _teeth(face, paint, u, v, above, below, aa)
    seam = bell(v - np.clip(v, above, below), 0.75) * smoothstep(1.12, 0.95, np.abs(s))
    outside = (v <= above) | (v >= below)
    paint.tint((0.30, 0.20, 0.20), seam * outside * 0.8)


def _teeth(
    face: FaceParameters,
    paint: Paint,
    u: Field,
    v: Field,
    above: Field,
    below: Field,
    aa: float,
) -> None:
    gap = below - above
    inside = smoothstep(-0.3 * aa, aa, v - above) * smoothstep(0.3 * aa, -aa, v - below)
    inside = inside * smoothstep(0.2, 0.9, gap)
    deep = linear((46, 14, 14))[:, None] * (0.35 + 0.65 * smoothstep(0.0, 8.0, gap))
    tongue = smoothstep(0.55, 0.95, (v - above) / np.maximum(gap, 0.1)) * bell(u, 9.0)
    paint.lay(deep + linear((120, 48, 48))[:, None] * 0.6 * tongue, inside)
    shown = 1.6 + 3.6 * min(face.smile, 0.8) + 0.6 * face.mouth_open
    edge = above + shown - 0.9 * (u / 14.0) ** 2
    row = inside * smoothstep(aa * 0.7, -aa * 0.7, v - edge) * smoothstep(13.5, 10.5, np.abs(u))
    # Teeth narrow towards the corners; the gaps between them are faint.
    bite = np.abs((np.abs(u) ** 0.9 / 3.3) % 1.0 - 0.5)
    ivory = linear((226, 216, 198)) * (1.0 - 0.14 * np.clip((face.age - 25) / 50, 0, 1))
    shade = (1.0 - 0.16 * smoothstep(0.42, 0.5, bite)) * (1.0 - 0.6 * (u / 14.0) ** 2)
    shade = shade * (0.62 + 0.38 * smoothstep(0.0, 2.2, v - above))
    paint.lay(ivory[:, None] * np.clip(shade, 0.05, 1.0), row)
    paint.gloss += 0.5 * row
