"""What makes the ellipsoid a face: brows, sockets, nose, cheeks, lips, chin - as a height map."""

import numpy as np
from scipy import ndimage

from dfd_jax.data.synthetic.geometry import (
    CENTRE_W,
    RELIEF_U,
    RELIEF_V,
    Field,
    Relief,
    Shape,
    bell,
    bilinear,
    noise,
    smoothstep,
)
from dfd_jax.data.synthetic.parameters import FaceParameters


def mouth_line(face: FaceParameters) -> dict[str, float]:
    """Where the mouth is: half width, height of middle and corners, and the gap's two halves."""
    gap = 13.0 * face.mouth_open + 1.6 * max(face.smile - 0.35, 0.0)
    wide, thin = 3.6 * face.lips_wide - 2.4 * face.lips_tight, 1.0 - 0.5 * face.lips_tight
    upper = 3.5 + 0.9 * face.lip_fullness - 0.9 * face.smile - (0.7 if face.male else 0.0)
    lower = 5.4 + 1.3 * face.lip_fullness - 0.9 * face.smile - (0.6 if face.male else 0.0)
    return {
        "half": 15.8 + 1.6 * face.mouth_width + 4.4 * face.smile - 2.0 * face.mouth_open + wide,
        "middle": 40.5 + 0.8 * face.smile - 1.6 * face.chin_up,
        "corner": 40.8 - 4.0 * face.smile + 4.0 * face.mouth_open + 5.5 * face.corners_down,
        "above": 0.18 * gap + 2.4 * face.sneer,
        "below": 0.82 * gap,
        "upper": thin * upper,
        "lower": thin * lower + 1.2 * face.chin_up,
    }


def _nose(face: FaceParameters, au: Field, v: Field) -> Field:
    length = 27.0 + 2.0 * face.nose_length
    wide = 1.0 + 0.18 * face.nose_width + (0.04 if face.male else -0.06) + 0.06 * face.smile
    wide += 0.12 * (face.skin_tone - 0.3)
    along = np.clip((v + 9.0) / (length + 9.0), 0.0, 1.2)
    underside = smoothstep(length + 4.0, length - 9.0, v)
    bridge = (2.5 + 12.5 * along**1.25) * smoothstep(-16.0, -2.0, v) * underside
    ridge = bridge * bell(au / (wide * (4.2 + 3.6 * along**2)), 1.0)
    tip = 10.5 * bell(au, 5.6 * wide) * bell(v - length + 0.8, 6.2)
    wing = 6.6 * bell(au - 8.0 * wide, 3.9) * bell(v - length - 1.0, 4.8)
    groove = -1.6 * bell(au - 11.8 * wide, 2.2) * bell(v - length + 1.0, 5.0)
    nostril = -2.2 * bell(au - 4.4 * wide, 2.3) * bell(v - length - 4.6, 1.6)
    return ridge + tip + wing + groove + nostril


def _sockets(face: FaceParameters, au: Field, v: Field) -> Field:
    heavy = 1.0 + (0.35 if face.male else -0.3)
    high = 13.0 + 1.5 * face.brow_raise - 2.5 * face.frown
    brow = 2.6 * heavy * bell(au - 19.0, 14.0) * bell(v + high, 5.5)
    socket = -5.4 * bell(au - 20.0, 12.0) * bell(v + 2.0, 8.5)
    corner = -3.8 * bell(au - 9.5, 5.0) * bell(v + 1.0, 8.0)
    ball = 4.0 * bell(au - 20.0, 8.2) * bell(v - 0.3, 6.2)
    tired = 0.5 + float(np.clip((face.age - 30) / 45, 0, 1))
    bag = 1.1 * tired * bell(au - 19.0, 8.0) * (bell(v - 8.0, 2.6) - 0.8 * bell(v - 12.0, 2.6))
    return brow + socket + corner + ball + bag


def _cheeks(face: FaceParameters, au: Field, v: Field) -> Field:
    old = float(np.clip((face.age - 35) / 40, 0, 1))
    bone = (3.6 + 1.4 * face.cheekbones) * bell(au - 31.0, 11.0) * bell(v - 15.0, 10.0)
    apple = (0.8 + 3.4 * face.smile) * bell(au - 25.0, 9.0) * bell(v - 20.0 + face.smile, 9.0)
    hollow = -(1.2 + 1.2 * face.cheekbones) * bell(au - 34.0, 9.0) * bell(v - 38.0, 11.0)
    # The fold from the nose's wing to beyond the mouth's corner.
    reach = np.clip((v - 24.0) / 22.0, -0.3, 1.4)
    beside = au - (12.5 + (8.5 + 2.5 * face.smile) * reach)
    along = bell(v - 34.0, 11.0)
    depth = 0.5 + 1.5 * face.smile + 1.2 * old + 1.5 * face.sneer
    fold = depth * along * (0.8 * bell(beside - 4.5, 4.0) - bell(beside, 2.6))
    temple = -2.4 * bell(au - 43.0, 9.0) * bell(v + 16.0, 14.0)
    jowl = 1.5 * old * bell(au - 27.0, 8.0) * bell(v - 55.0, 7.0)
    return bone + apple + hollow + fold + temple + jowl


def _mouth(face: FaceParameters, u: Field, v: Field) -> Field:
    m = mouth_line(face)
    s = np.clip(np.abs(u) / m["half"], 0.0, 1.3)
    line = m["middle"] + (m["corner"] - m["middle"]) * s * s
    span = np.clip(1.0 - s * s, 0.0, 1.0)
    above, below = line - m["above"] * span, line + m["below"] * span
    muzzle = 3.6 * bell(u, 19.0) * bell(v - 41.0, 13.0)
    upper = 1.9 * span * bell(v - above + 2.2, 2.4)
    lower = 2.7 * span * bell(v - below - 2.6, 2.9)
    inner = (v - 0.5 * (above + below)) / (1.3 + below - above)
    between = -(1.5 + 3.0 * face.mouth_open) * bell(inner, 1.0)
    corner = -1.8 * bell(np.abs(u) - m["half"] - 1.0, 2.6) * bell(v - m["corner"], 3.0)
    philtrum = -0.9 * bell(u, 1.9) * bell(v - 34.0, 3.2)
    drop = 6.0 * face.mouth_open
    under = -3.0 * bell(u, 13.0) * bell(v - 51.5 - drop, 4.0)
    at = 63.0 + drop - 2.0 * face.chin_up
    chin = (11.0 + 1.5 * face.chin) * bell(u, 13.5) * bell(v - at, 9.0)
    cleft = -1.1 * max(face.chin, 0.0) * bell(u, 2.0) * bell(v - 64.0 - drop, 4.0)
    return muzzle + upper + lower + between * span + corner + philtrum + under + chin + cleft


def _wrinkles(face: FaceParameters, u: Field, v: Field) -> Field:
    au = np.abs(u)
    old = float(np.clip((face.age - 32) / 38, 0, 1))
    wander = noise(0.4 * u, 0.2 * v, 2.0, face.texture_seed) * 1.6
    forehead = np.zeros_like(u)
    for height in (-26.0, -32.5, -39.0):
        forehead -= bell(v - height + 0.0022 * u * u - wander, 1.2)
    depth = (0.75 * old + 0.5 * face.brow_raise) * bell(u, 27.0)
    angle = np.arctan2(v - 1.0, au - 30.0 + 1e-3)
    feet = (
        -smoothstep(0.2, 0.95, np.cos(9.0 * angle + wander)) * bell(au - 36.5, 4.5) * bell(v, 8.0)
    )
    frown = -bell(au - 4.5 - 0.12 * (v + 10), 1.3) * bell(v + 13.0, 5.0)
    lumps = 0.35 * noise(0.7 * u, 0.7 * v, 2.0, face.texture_seed + 1)
    feet = feet * (0.5 * old + 0.35 * face.smile * (0.3 + old))
    return depth * forehead + feet + (0.7 * old + 1.4 * face.frown) * frown + (0.5 + old) * lumps


def _sunlight(height: np.ndarray, light: np.ndarray, softness: float) -> np.ndarray:
    """How much of the lamp each point of a height field sees: 0 in its own shadow, else 1."""
    rows, columns = np.indices(height.shape, dtype=np.float32)
    blocked = np.full_like(height, -np.inf)
    slope = light[2] / max(float(np.hypot(light[0], light[1])), 0.05)
    across, down = light[:2] / max(float(np.hypot(light[0], light[1])), 0.05)
    for distance in (3.0, 5.0, 8.0, 11.0, 15.0, 20.0, 26.0):
        away = bilinear(height, columns + distance * across, rows + distance * down)
        blocked = np.maximum(blocked, (away - height) / distance - slope)
    width = 0.12 + 0.5 * softness
    return ndimage.gaussian_filter(smoothstep(width, -width, blocked), 0.8 + 1.5 * softness)


def build(face: FaceParameters, shape: Shape, light: np.ndarray) -> Relief:
    """The maps of one face under one lamp (`light`: unit vector towards it, in the head's axes)."""
    u, v = np.meshgrid(
        np.arange(RELIEF_U[0], RELIEF_U[1] + 1, dtype=np.float32),
        np.arange(RELIEF_V[0], RELIEF_V[1] + 1, dtype=np.float32),
    )
    au = np.abs(u + 0.35 * noise(0.3 * u, 0.3 * v, 2.0, face.texture_seed + 2))
    height = _nose(face, au, v) + _sockets(face, au, v) + _cheeks(face, au, v)
    height = height + _mouth(face, u, v) + _wrinkles(face, u, v)
    height = height * smoothstep(53.0, 44.0, au)
    inside = 1.0 - (u / shape.widths(v)[0]) ** 2 - shape.stretch(v) * v * v
    base = CENTRE_W + shape.axis(v)[0] + shape.depths(v) * np.sqrt(np.maximum(inside, 0.0))
    hollow = np.maximum(ndimage.gaussian_filter(height, 2.0) - height, 0.0) * 0.9
    hollow += np.maximum(ndimage.gaussian_filter(height, 7.0) - height, 0.0) * 0.7
    maps = {
        "height": height,
        "du": np.gradient(height, axis=1),
        "dv": np.gradient(height, axis=0),
        "open": np.exp(-0.28 * hollow),
        "lit": _sunlight(height + base, light, face.light_softness),
    }
    return Relief({name: values.astype(np.float32) for name, values in maps.items()})
