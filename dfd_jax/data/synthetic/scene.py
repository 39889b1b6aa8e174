"""What surrounds the face: backdrop, clothes, neck, ears and glasses."""

import colorsys

import numpy as np

from dfd_jax.data.synthetic.geometry import (
    POINTS,
    Field,
    Shape,
    bell,
    noise,
    on_plane,
    project,
    smoothstep,
)
from dfd_jax.data.synthetic.light import Light, shade_skin
from dfd_jax.data.synthetic.parameters import FaceParameters
from dfd_jax.data.synthetic.skin import SKIN_TONES, linear, ramp


def _hue(hue: float, saturation: float, value: float) -> np.ndarray:
    return linear(255.0 * np.asarray(colorsys.hsv_to_rgb(hue % 1.0, saturation, value)))


def over(picture: np.ndarray, colour: np.ndarray, alpha: Field) -> None:
    """Lay a colour, (3,) or (3, h, w), over the picture in place."""
    colour = colour if colour.ndim == 3 else colour[:, None, None]
    picture += (colour - picture) * alpha


def background(face: FaceParameters, x: Field, y: Field) -> np.ndarray:
    """A backdrop out of focus, (3, h, w) in linear light."""
    seed, light = face.texture_seed + 40, face.background_light
    hue = face.background_hue
    cloud = noise(0.10 * x, 0.10 * y, 2.4, seed)
    tilt = np.float32(np.cos(7.0 * hue)) * x / POINTS + (y + 2.0) / POINTS
    if face.background == "studio":
        base = _hue(hue, 0.05 + 0.42 * (hue * 37 % 1) ** 2, 0.22 + 0.6 * light)[:, None, None]
        glow = 1.15 - 0.55 * smoothstep(
            30.0, 130.0, np.hypot(x - 20 * float(np.cos(9 * hue)), y - 10)
        )
        return base * (glow + 0.05 * cloud)
    low = _hue(hue, 0.05 + 0.3 * (hue * 31 % 1), 0.12 + 0.4 * light)
    high = _hue(hue + 0.08, 0.18, 0.4 + 0.5 * light)
    mixed = smoothstep(-0.6, 0.6, tilt + 0.18 * cloud)
    picture = low[:, None, None] * mixed + high[:, None, None] * (1.0 - mixed)
    if face.background == "bokeh":
        _discs(picture, seed, hue, light, x, y)
    if face.background == "room":
        _room(picture, seed, hue, light, x, y)
    return picture * (1.0 + 0.06 * cloud)


def _discs(picture: np.ndarray, seed: int, hue: float, light: float, x: Field, y: Field) -> None:
    """Lights and leaves far behind the focus: soft discs."""
    rng = np.random.default_rng(seed)
    for _ in range(14):
        cx, cy = rng.uniform(-95, 95), rng.uniform(-95, 60)
        radius = rng.uniform(7, 22)
        near = np.abs(hue + rng.normal(0, 0.08))
        tone = _hue(near, rng.uniform(0.05, 0.4), rng.uniform(0.15, 0.75) + 0.25 * light)
        disc = smoothstep(radius * 1.5, radius * 0.6, np.hypot(x - cx, y - cy))
        over(picture, tone, disc * np.float32(rng.uniform(0.15, 0.5)))


def _room(picture: np.ndarray, seed: int, hue: float, light: float, x: Field, y: Field) -> None:
    """Blurred upright shapes: shelves, a door, a window."""
    rng = np.random.default_rng(seed)
    for _ in range(5):
        cx, wide = rng.uniform(-90, 90), rng.uniform(6, 26)
        top, blur = rng.uniform(-120, 0), rng.uniform(5, 11)
        tone = _hue(
            hue + rng.normal(0, 0.1), rng.uniform(0.05, 0.4), rng.uniform(0.1, 0.6) + 0.35 * light
        )
        band = smoothstep(wide + blur, wide - blur, np.abs(x - cx))
        over(picture, tone, band * smoothstep(top - blur, top + blur, y) * 0.75)


def _neck_width(face: FaceParameters) -> float:
    return (29.0 if face.male else 23.0) + 1.5 * face.jaw_width


def neck(
    face: FaceParameters, picture: np.ndarray, x: Field, y: Field, light: Light, chin: np.ndarray
) -> None:
    """A column of skin in the jaw's shadow, widening into the shoulders."""
    rows = np.flatnonzero(y[:, 0] > 25.0)
    if not rows.size:
        return
    cut = slice(int(rows[0]), None)
    x, y = x[cut], y[cut]
    step = float(x[0, 1] - x[0, 0])
    half = _neck_width(face) + 0.012 * np.maximum(y - 50.0, 0.0) ** 2
    middle = 0.25 * chin[0] * smoothstep(95.0, 40.0, y)
    s = (x - middle) / half
    normal = np.stack([np.clip(s, -1, 1), 0.12 + 0 * s, np.sqrt(np.maximum(1 - s * s, 0.02))])
    normal /= np.sqrt((normal**2).sum(0))
    tone = ramp(SKIN_TONES, face.skin_tone) * np.array([0.96, 0.93, 0.91], np.float32)
    seed = face.texture_seed + 30
    grain = (
        1.0
        + 0.04 * noise(0.6 * x, 0.6 * y, 1.6, seed)
        + 0.03 * noise(3 * x, 3 * y, 0.6, seed, 3 * step)
    )
    tendon = bell(np.abs(s) - 0.42 + 0.004 * (y - 60), 0.10) - bell(np.abs(s) - 0.30, 0.12)
    colour = tone.astype(np.float32)[:, None, None] * (grain + 0.05 * tendon)
    reach = y - (chin[1] - 5.0 - 0.006 * (x - chin[0]) ** 2 + 10.0 * light.towards[0] * s)
    dark = smoothstep(-6.0, 26.0, reach)
    shaded = shade_skin(
        light, normal, colour, np.full_like(x, 0.25), 0.15 + 0.85 * dark, 0.45 + 0.55 * dark
    )
    alpha = np.clip((1.0 - np.abs(s)) * half / step + 0.5, 0.0, 1.0)
    over(picture[:, cut], shaded, alpha)


def clothes(face: FaceParameters, picture: np.ndarray, x: Field, y: Field, light: Light) -> None:
    """Shoulders in cloth with a neckline."""
    rows = np.flatnonzero(y[:, 0] > 40.0)
    if not rows.size:
        return
    cut = slice(int(rows[0]), None)
    x, y, picture = x[cut], y[cut], picture[:, cut]
    step, seed, ax = float(x[0, 1] - x[0, 0]), face.texture_seed + 31, np.abs(x)
    neck_half = _neck_width(face)
    wide = 1.0 if face.male else 0.92
    slope = 66.0 + 0.16 * np.maximum(ax / wide - neck_half, 0.0) + 0.0016 * (ax / wide) ** 2
    slope = slope + (0.0 if face.male else 3.0)
    dip = {"crew": 14.0, "suit": 34.0, "shirt": 26.0, "vneck": 36.0}[face.clothes]
    if face.clothes == "crew":
        line = slope - 4.0 + dip * np.clip(1.0 - (ax / (neck_half + 3.0)) ** 2, 0.0, 1.0) ** 0.6
    else:
        line = slope - 5.0 + dip * np.clip(1.0 - ax / (neck_half + 2.0), 0.0, 1.0)
    body = np.clip((y - line) / step + 0.5, 0.0, 1.0)
    folds = noise(0.35 * x, 0.16 * y, 2.0, seed)
    weave = noise(3.5 * x, 3.5 * y, 0.3, seed + 1, 3.5 * step)
    round_ = 0.62 + 0.38 * np.clip(1.0 - 0.9 * light.towards[0] * -x / 89.0, 0.0, 1.6)
    shade = (
        round_
        * (1.0 + 0.16 * folds + 0.05 * weave)
        * (0.75 + 0.25 * smoothstep(0.0, 9.0, y - line))
    )
    power = float(light.lamp.mean() * 0.75 + light.sky.mean() * 0.5)
    value = 0.10 + (0.25 if face.clothes == "suit" else 0.75) * face.clothes_light
    tone = _hue(face.clothes_hue, 0.06 + 0.48 * (face.clothes_hue * 43 % 1) ** 2, value)
    if face.clothes in ("suit", "shirt"):
        _collar(face, picture, x, y, slope, neck_half, step, shade * power)
    if face.clothes == "suit":
        lapel = slope - 2.0 + 46.0 * np.clip(1.0 - ax / (neck_half + 7.0), 0.0, 1.0)
        body = np.clip((y - lapel) / step + 0.5, 0.0, 1.0)
    over(picture, tone[:, None, None] * (shade * power), body)


def _collar(
    face: FaceParameters,
    picture: np.ndarray,
    x: Field,
    y: Field,
    slope: Field,
    neck_half: float,
    step: float,
    shade: Field,
) -> None:
    """A shirt's collar, open or closed with a tie under a jacket."""
    ax, suit = np.abs(x), face.clothes == "suit"
    open_to = 20.0 if suit else 34.0
    throat = (
        slope
        + 2.0
        - 11.0 * smoothstep(neck_half + 13.0, neck_half + 4.0, ax)
        + open_to * np.clip(1.0 - ax / (neck_half + 2.0), 0.0, 1.0) ** 0.9
    )
    fall = np.clip((y - throat) / step + 0.5, 0.0, 1.0)
    cloth = (
        _hue(face.background_hue + 0.3, 0.06, 0.92) if suit else _hue(face.clothes_hue, 0.2, 0.85)
    )
    edge = 1.0 - 0.35 * bell(y - throat - 10.0, 1.2) - 0.2 * smoothstep(2.0, 0.0, y - throat)
    over(picture, cloth[:, None, None] * (0.85 * shade * edge), fall)
    if suit and face.male:
        tie = smoothstep(6.5 + step, 6.5 - step, ax + 0.05 * np.abs(y - 80.0)) * smoothstep(
            70.0, 72.0, y - 0.15 * ax
        )
        stripe = 1.0 + 0.25 * np.sign(np.sin(0.9 * (x + y))) * (face.background_light > 0.5)
        over(
            picture,
            _hue(face.background_hue + 0.5, 0.6, 0.45)[:, None, None] * (shade * stripe),
            tie * fall,
        )


def ears(
    face: FaceParameters,
    picture: np.ndarray,
    x: Field,
    y: Field,
    light: Light,
    turned: np.ndarray,
    shape: Shape,
    head_z: Field,
) -> None:
    """Both ears: flat shells beside the head, wherever the head is not in front of them."""
    step = float(x[0, 1] - x[0, 0])
    tone = ramp(SKIN_TONES, face.skin_tone) * np.array([1.0, 0.86, 0.83], np.float32)
    for side in (-1, 1):
        centre = project((side * (shape.width + 0.6), 11.0, -4.0), turned)
        wide = (5.8 if face.male else 5.0) * float(
            np.clip(1.0 + 1.6 * side * -np.sin(np.radians(face.yaw)), 0.3, 1.8)
        )
        where = np.ix_(np.abs(y[:, 0] - centre[1]) < 22.0, np.abs(x[0] - centre[0]) < 16.0)
        dx, dy = side * (x[where] - centre[0]), y[where] - centre[1]
        if not dx.size:
            continue
        dx = dx + 0.16 * dy + side * np.float32(np.radians(face.roll)) * dy
        q = np.sqrt(
            (dx / (wide * (1.0 - 0.018 * dy))) ** 2 + (dy / (17.0 if face.male else 15.5)) ** 2
        )
        alpha = np.clip((1.0 - q) * wide / step + 0.5, 0.0, 1.0)
        alpha = alpha * smoothstep(3.0, -3.0, head_z[where] - centre[2])
        bowl = bell(q - 0.35, 0.28) * smoothstep(9.0, 2.0, dy)
        rim = bell(q - 0.82, 0.14)
        normal = np.stack(
            [side * 0.75 * np.clip(q, 0, 1.2), dy / 40.0, 0.9 - 0.4 * np.clip(q, 0, 1)]
        )
        normal = normal / np.sqrt((normal**2).sum(0))
        colour = tone.astype(np.float32)[:, None, None] * (1.0 - 0.45 * bowl + 0.1 * rim)
        shaded = shade_skin(
            light, normal, colour, np.full_like(dx, 0.3), np.full_like(dx, 0.8), 0.85 - 0.4 * bowl
        )
        target = picture[(slice(None), *where)]
        picture[(slice(None), *where)] = target + (shaded - target) * alpha


def glasses(
    face: FaceParameters, picture: np.ndarray, x: Field, y: Field, turned: np.ndarray, light: Light
) -> None:
    """Frames in a plane before the eyes, faintly tinted lenses with a reflection."""
    if not face.glasses:
        return
    step = float(x[0, 1] - x[0, 0])
    u, v = on_plane(x, y, turned, 52.0)
    au, style = np.abs(u), face.glasses_style
    half_u, half_v = 16.5 + 1.5 * (style * 5 % 1), 10.5 + 4.0 * (style * 3 % 1)
    power = 2.0 + 2.5 * (style * 7 % 1)
    px, py = np.abs(au - 20.5) / half_u, np.abs(v - 2.5 - 0.02 * (au - 20)) / half_v
    q = (px**power + py**power) ** (1.0 / power)
    thin = 0.75 + 1.3 * (style > 0.5)
    ring = smoothstep(
        thin + 0.6 * step, thin - 0.6 * step, np.abs(q - 1.0) * 0.5 * (half_u + half_v)
    )
    bridge = bell(v + 1.5 + 0.05 * au * au, thin) * smoothstep(5.5, 4.0, au)
    arm = bell(v + 2.0, thin) * smoothstep(36.0, 37.5, au) * smoothstep(45.0, 43.5, au)
    arm = arm * smoothstep(9.0, 2.0, face.yaw * np.sign(u))  # the far one hides behind its lens
    lens = smoothstep(1.0, 0.94, q)
    glare = bell(
        u * np.sign(light.towards[0]) * 0.7 + v - 8.0 * np.sign(light.towards[0]) - 4.0, 4.5
    )
    picture *= 1.0 - 0.07 * lens
    picture += 0.06 * lens * glare * light.lamp[:, None, None]
    shadow = bell(q - 1.0, 0.12) * smoothstep(-4.0, 6.0, v) * (1.0 - ring)
    picture *= 1.0 - 0.22 * shadow
    tone = linear((26, 22, 21)) if style > 0.5 else linear((92, 80, 66))
    shine = 1.0 + 2.2 * bell(q - 1.0 - 0.03 * np.sign(-v), 0.03) * smoothstep(2.0, -9.0, v)
    over(
        picture,
        tone[:, None, None] * shine,
        np.clip(np.maximum(np.maximum(ring, bridge), arm), 0, 1),
    )
