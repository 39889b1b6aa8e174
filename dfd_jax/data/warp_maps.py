"""Where a new expression or pose of a face takes its pixels from: the maps behind warps.py.

Muscles are smooth bumps that pull at what lies under them; lids and lips are cut where they part;
a turn is the parallax of a head whose depth falls off from its middle.

Places are (a, b) in eye distances: the origin lies halfway between the pupils, a points to the
viewer's right eye and b down the face. All maps go backwards: from a place in the new picture to
the place in the photo that is seen there.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

Field = Float32[np.ndarray, "s s"]
Vector = Float32[np.ndarray, "2"]

NARROWEST = 0.08  # least eye distance, in shares of the side: in a profile the pupils may meet
LID, LOWER_LID = -0.10, 0.10  # where open lids are, above and below a pupil
BROW, CHEEK = -0.25, 0.28  # what a blink does not move any more
LIPS_PART, JAW_DROP, WIDEST = 0.08, 0.26, 0.32  # how far units 25 and 26, and both, open a mouth
HEAD_CENTRE, HEAD_RADIUS = (0.0, 0.2), (1.45, 2.0)
HEAD_DEPTH, NOSE_DEPTH, NOSE_RADIUS = 0.85, 0.22, 0.22
STILL = 0.2  # the share of a head's motion that the far background follows, as a camera would


class Bump(NamedTuple):
    """A pull at full intensity. Those beside the middle line act on both sides of the face."""

    at: str  # "eye", "corner" (of the mouth), "nose" or "mouth"
    offset: tuple[float, float]  # from there, outwards and down
    pull: tuple[float, float]  # outwards and down
    width: tuple[float, float]


BUMPS: dict[str, tuple[Bump, ...]] = {
    "AU01": (Bump("eye", (-0.25, -0.42), (0.0, -0.13), (0.20, 0.18)),),
    "AU02": (Bump("eye", (0.22, -0.40), (0.02, -0.13), (0.22, 0.18)),),
    "AU04": (Bump("eye", (-0.20, -0.38), (-0.06, 0.12), (0.28, 0.15)),),
    "AU06": (Bump("eye", (0.08, 0.42), (0.0, -0.09), (0.30, 0.18)),),
    "AU09": (
        Bump("nose", (0.22, -0.05), (0.03, -0.10), (0.17, 0.20)),
        Bump("eye", (-0.35, -0.25), (-0.03, 0.07), (0.15, 0.20)),
    ),
    "AU10": (Bump("mouth", (0.18, -0.10), (0.0, -0.10), (0.22, 0.14)),),
    "AU12": (
        Bump("corner", (0.0, 0.0), (0.12, -0.14), (0.24, 0.22)),
        Bump("eye", (0.15, 0.62), (0.03, -0.06), (0.30, 0.20)),
    ),
    "AU14": (Bump("corner", (0.04, 0.0), (0.08, 0.01), (0.14, 0.12)),),
    "AU15": (Bump("corner", (0.0, 0.0), (0.0, 0.15), (0.22, 0.18)),),
    "AU17": (Bump("mouth", (0.0, 0.30), (0.0, -0.13), (0.34, 0.19)),),
    "AU20": (Bump("corner", (0.0, 0.0), (0.17, 0.04), (0.24, 0.20)),),
    "AU23": (
        Bump("corner", (0.0, 0.0), (-0.10, 0.0), (0.18, 0.15)),
        Bump("mouth", (0.0, -0.12), (0.0, 0.05), (0.30, 0.09)),
        Bump("mouth", (0.0, 0.14), (0.0, -0.06), (0.30, 0.10)),
    ),
}


class Pose(NamedTuple):
    """How a head differs from the photo. Signs are those of `synthetic.FaceParameters`."""

    yaw: float = 0.0  # degrees; positive moves the nose to the viewer's right
    pitch: float = 0.0  # degrees; positive lifts it
    roll: float = 0.0  # degrees; positive tilts the head clockwise
    shift: tuple[float, float] = (0.0, 0.0)  # right and down, in shares of the picture's side
    scale: float = 1.0


class Face(NamedTuple):
    """Where a face is in the picture, and its parts in it."""

    centre: Vector  # between the pupils, in pixels
    across: Vector  # unit vector from the left to the right pupil
    unit: float  # eye distance in pixels
    nose: Vector  # (a, b), as all that follow
    corners: Float32[np.ndarray, "2 2"]  # left and right

    def places(self, pixels: Float32[np.ndarray, "... 2"]) -> Float32[np.ndarray, "... 2"]:
        """Pixels (x, y) as places (a, b)."""
        cos, sin = self.across / self.unit
        x, y = pixels[..., 0] - self.centre[0], pixels[..., 1] - self.centre[1]
        return np.stack([x * cos + y * sin, y * cos - x * sin], axis=-1)

    def pixels(self, a: Field, b: Field) -> tuple[Field, Field]:
        """Places as pixels (x, y)."""
        cos, sin = self.across * self.unit
        return self.centre[0] + a * cos - b * sin, self.centre[1] + a * sin + b * cos


def locate(points: Float[np.ndarray, "5 2"], size: int) -> Face:
    points = points.astype(np.float32)
    left, right = points[0], points[1]
    span = float(np.linalg.norm(right - left))
    across = (right - left) / np.float32(span) if span > 0 else np.array([1, 0], np.float32)
    face = Face((left + right) / 2, across, max(span, NARROWEST * size), points[2], points[3:])
    return face._replace(nose=face.places(face.nose), corners=face.places(face.corners))


# -------------------------------------------------------------------------------- expressions


def pulled_back(face: Face, asked: dict[str, float], a: Field, b: Field) -> tuple[Field, Field]:
    """Undo the bumps. Each is centred where it pulls to, so its middle arrives there exactly."""
    moved_a, moved_b = a, b
    for unit, bumps in BUMPS.items():
        if not asked[unit]:
            continue
        for bump in bumps:
            pull_b = bump.pull[1] * asked[unit]
            middle = bump.offset[0] == 0 and bump.at in ("nose", "mouth")
            for side in (1,) if middle else (-1, 1):
                pull_a = side * bump.pull[0] * asked[unit]
                at_a, at_b = _anchor(face, bump.at, side)
                off_a = (a - (at_a + side * bump.offset[0] + pull_a)) / bump.width[0]
                off_b = (b - (at_b + bump.offset[1] + pull_b)) / bump.width[1]
                weight = np.exp(-0.5 * (off_a * off_a + off_b * off_b))
                moved_a, moved_b = moved_a - pull_a * weight, moved_b - pull_b * weight
    return moved_a, moved_b


def _anchor(face: Face, name: str, side: int) -> tuple[float, float]:
    if name == "eye":
        return 0.5 * side, 0.0
    if name == "nose":
        return float(face.nose[0]), float(face.nose[1])
    place = face.corners.mean(0) if name == "mouth" else face.corners[(side + 1) // 2]
    return float(place[0]), float(place[1])


def lids_back(asked: dict[str, float], a: Field, b: Field) -> tuple[Field, Field]:
    """Undo what the lids do: a lowered one stretches the skin above the eye and hides the eye."""
    tight = asked["AU07"]
    upper = LID + 0.19 * asked["AU45"] + 0.05 * tight - 0.07 * asked["AU05"]
    lower = LOWER_LID - 0.03 * tight - 0.03 * asked["AU06"]
    upper = min(upper, lower - 0.02)
    if (upper, lower) == (LID, LOWER_LID):
        return a, b
    # a lid comes down from under the brow: what is stretched most is the skin right above the eye
    fold = BROW + 0.05 + 0.15 * max(upper - LID, 0)
    new = (BROW, BROW + 0.05, upper, lower, CHEEK)
    shift = np.interp(b, new, (BROW, fold, LID, LOWER_LID, CHEEK)) - b
    shift = np.where((b > BROW) & (b < CHEEK), shift, 0).astype(np.float32)
    beside = (np.abs(a) - 0.5) / 0.25
    return a, b + shift * np.exp(-(beside**4))


def mouth_closed(
    face: Face, asked: dict[str, float], a: Field, b: Field
) -> tuple[Field, Field, Field | None]:
    """Undo the opening of the mouth: places with it closed, and how much of each is its inside."""
    drop = min(LIPS_PART * asked["AU25"] + JAW_DROP * asked["AU26"], WIDEST)
    if drop == 0:
        return a, b, None
    line, across = _lips(face, asked, a)
    below, parted = b - line, np.maximum(1 - across * across, 0)
    up, down = 0.25 * min(drop, 0.12) * parted, drop * parted
    under, over = np.maximum(below - down, 0), np.minimum(below + up, 0)
    jaw = np.exp(-0.5 * (across / 1.3) ** 2)  # it is wider than the mouth
    spread = _smoothstep(0.0, 0.5, under)
    kept = 1 - _smoothstep(0.7, 1.7, under)  # the chin ends there, the neck stays
    lower = below - drop * (parted * (1 - spread) + jaw * spread) * kept
    upper = below + up * np.exp(over / 0.2)
    closed = np.where(below > down, lower, np.where(below < -up, upper, 0))
    opening = np.clip(np.minimum(below + up, down - below) * np.float32(face.unit), 0, 1)
    return a, b + (closed - below), opening


def _lips(face: Face, asked: dict[str, float], a: Field) -> tuple[Field, Field]:
    """The b at which the lips part, and how far each a is from the middle: ±1 at the opening's end.

    A smile hangs between its corners; that a photo shows one is read off the width of its mouth
    (in the medians of labelled portraits, 0.85 eye distances without and 1.02 with one).
    """
    pull = [asked[unit] * np.array(BUMPS[unit][0].pull) for unit in ("AU12", "AU15", "AU20")]
    outwards, downwards = np.sum(pull, axis=0).tolist()
    middle_a, middle_b = face.corners.mean(0).tolist()
    width = float(face.corners[1, 0] - face.corners[0, 0])
    across = (a - middle_a) / max(0.45 * width + outwards, 0.25)
    hangs = min(max(0.02 + 0.5 * (width - 0.82), 0.02), 0.13) - 0.06 * asked["AU10"]
    bent = np.minimum(across * across, 1)
    return middle_b + downwards * bent + hangs * (1 - bent), across


def _smoothstep(start: float, end: float, x: Field) -> Field:
    t = np.clip((x - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


# --------------------------------------------------------------------------------------- poses


def turned_back(face: Face, pose: Pose, size: int, a: Field, b: Field) -> tuple[Field, Field]:
    """Undo a pose: the places whose motion ends at (a, b), by fixed-point iteration."""
    was_a, was_b = a, b
    for _ in range(4):
        step_a, step_b = _motion(face, pose, size, was_a, was_b)
        was_a, was_b = a - step_a, b - step_b
    return was_a, was_b


def _motion(face: Face, pose: Pose, size: int, a: Field, b: Field) -> tuple[Field, Field]:
    """How far each place of the photo moves."""
    (yaw_sin, pitch_sin, roll_sin), (yaw_cos, pitch_cos, roll_cos) = (
        f(np.radians(pose[:3])).tolist() for f in (np.sin, np.cos)
    )
    x, y = a - HEAD_CENTRE[0], b - HEAD_CENTRE[1]
    square = (x / HEAD_RADIUS[0]) ** 2 + (y / HEAD_RADIUS[1]) ** 2
    dome = np.maximum(1 - square, 0)
    nose = (a - face.nose[0]) ** 2 + (b - face.nose[1]) ** 2
    depth = HEAD_DEPTH * dome + NOSE_DEPTH * np.exp(nose / (-2 * NOSE_RADIUS**2))
    turned_x = x + depth * yaw_sin + (yaw_cos - 1) * x * dome
    turned_y = y - depth * pitch_sin + (pitch_cos - 1) * y * dome
    follows = STILL + (1 - STILL) * (1 - _smoothstep(0.7, 2.6, square))
    cos, sin = pose.scale * roll_cos, pose.scale * roll_sin
    right, down = _shift(face, pose.shift, size)
    step_x = (cos - 1) * turned_x - sin * turned_y + right
    step_y = (cos - 1) * turned_y + sin * turned_x + down
    return turned_x - x + follows * step_x, turned_y - y + follows * step_y


def _shift(face: Face, shift: tuple[float, float], size: int) -> tuple[float, float]:
    """A shift in shares of the side, in the picture's directions, as one in the face's."""
    cos, sin = (face.across / face.unit * size).tolist()
    right, down = shift
    return right * cos + down * sin, down * cos - right * sin
