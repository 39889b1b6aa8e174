"""One lamp, a sky and a floor; what they make of skin and hair; and the camera's film."""

import dataclasses

import numpy as np

from dfd_jax.data.synthetic.geometry import Field, smoothstep
from dfd_jax.data.synthetic.parameters import FaceParameters

WRAP = (0.34, 0.20, 0.14)  # light bleeds through skin past the terminator, red furthest


@dataclasses.dataclass(frozen=True)
class Light:
    """Unit vector towards the lamp (camera's axes) and linear colours of lamp, sky and floor."""

    towards: np.ndarray
    lamp: np.ndarray
    sky: np.ndarray
    floor: np.ndarray


def light_of(face: FaceParameters) -> Light:
    """The lighting of a face; a softer lamp leaves more to the sky."""
    a, e = np.radians(face.light_azimuth), np.radians(face.light_elevation)
    towards = np.array([np.sin(a) * np.cos(e), -np.sin(e), np.cos(a) * np.cos(e)], np.float32)
    warm = face.light_warmth - 0.5
    lamp = np.array([1.0 + 0.16 * warm, 1.0, 1.0 - 0.30 * warm], np.float32)
    sky = np.array([0.98 - 0.10 * warm, 1.0, 1.05 + 0.12 * warm], np.float32)
    power = 0.80 + 0.45 * face.exposure
    soft = face.light_softness
    return Light(
        towards,
        lamp * power * (0.98 - 0.30 * soft),
        sky * power * (0.34 + 0.26 * soft),
        np.array([1.0, 0.93, 0.88], np.float32) * power * (0.15 + 0.10 * soft),
    )


def shade_skin(
    light: Light, normal: np.ndarray, colour: np.ndarray, gloss: Field, lit: Field, sheltered: Field
) -> np.ndarray:
    """Light leaving the skin, (3, n): soft diffusion, sky and floor by `sheltered`, a sheen."""
    _, ny, nz = normal
    facing = np.tensordot(light.towards, normal, 1)
    up = 0.5 - 0.5 * ny
    out = np.empty_like(colour)
    for i in range(3):
        direct = np.clip((facing + WRAP[i]) / (1.0 + WRAP[i]), 0.0, 1.0)
        shadow = lit ** np.float32(1.0 - 0.3 * (i == 0))
        sky = (light.sky[i] * up + light.floor[i] * (1.0 - up)) * (0.55 + 0.45 * nz)
        out[i] = colour[i] * (light.lamp[i] * direct * shadow + sky * sheltered ** (0.8 + 0.25 * i))
    halfway = light.towards + np.array([0, 0, 1], np.float32)
    halfway /= np.sqrt((halfway**2).sum())
    shine = np.maximum(np.tensordot(halfway, normal, 1), 0.0)
    s4 = (shine * shine) ** 2
    s16 = (s4 * s4) ** 2
    fresnel = (1.0 - np.clip(nz, 0.0, 1.0)) ** 3
    sheen = gloss * lit * (0.055 * s4 * s4 + 0.17 * s16 * s16) + 0.05 * fresnel * sheltered
    sheen = sheen * (0.6 + 0.4 * sheltered)
    side = np.clip(-np.sign(light.towards[0]) * normal[0], 0.0, 1.0)
    rim = 0.30 * fresnel * side * sheltered
    return out + np.multiply.outer(light.lamp, sheen) + rim * (0.3 + 0.7 * colour)


def shade_hair(
    light: Light, normal: np.ndarray, along: np.ndarray, colour: np.ndarray, shift: Field
) -> np.ndarray:
    """Light leaving hair, (3, h, w): bands across strands that run `along` (Kajiya and Kay)."""
    halfway = light.towards + np.array([0, 0, 1], np.float32)
    halfway /= np.sqrt((halfway**2).sum())
    tl = np.tensordot(light.towards, along, 1)
    th = np.tensordot(halfway, along, 1) + shift
    facing = np.clip((np.tensordot(light.towards, normal, 1) + 0.35) / 1.35, 0.0, 1.0)
    direct = facing * (0.35 + 0.65 * np.sqrt(np.maximum(1.0 - tl * tl, 0.0)))
    up = 0.5 - 0.5 * normal[1]
    lamp, sky, floor = (tone[:, None, None] for tone in (light.lamp, light.sky, light.floor))
    base = lamp * direct + sky * up + floor * (1 - up)
    band = np.maximum(1.0 - th * th, 0.0)
    wide = band**6
    gleam = facing * (0.035 * band**24 * lamp + 0.55 * wide * colour)
    return colour * base * 0.85 + gleam


def film(linear_light: np.ndarray) -> np.ndarray:
    """Linear light (3, h, w) as sRGB levels in [0, 255]: a soft shoulder, then gamma 2.2."""
    x = np.maximum(linear_light, 0.0)
    over = np.maximum(x - 0.62, 0.0)
    x = np.minimum(x, 0.62) + 0.38 * (1.0 - np.exp(-over / 0.38))
    return 255.0 * x ** np.float32(1 / 2.2)


def vignette(x: Field, y: Field) -> Field:
    """How much light the lens lets through away from its axis."""
    return 1.0 - 0.16 * smoothstep(50.0, 135.0, np.hypot(x, y))
