"""Everything one drawn face is made of, how to draw such a description by lot, and its labels."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from dfd_jax.data.expressions import ACTION_UNITS

HAIR_COLOURS = ("black", "blond", "brown", "gray")
HAIR_STYLES = ("bald", "buzz", "short", "parted", "tied", "bob", "long")
BACKGROUNDS = ("studio", "gradient", "bokeh", "room")
CLOTHES = ("crew", "suit", "shirt", "vneck")
YOUNG_BELOW = 40.0  # years
SMILING_FROM = 0.35
OPEN_FROM = 0.15
LIDS_AT_REST = 0.86  # the eye_openness of a face that does nothing, the middle of what is drawn
LIDS_TIGHT = 0.5  # narrowed as far as that goes; below, the eye closes
LIPS_PER_JAW = 2.0  # a slit between the lips shows before a dropped jaw does


@dataclasses.dataclass(frozen=True)
class FaceParameters:
    """One face. Angles in degrees, age in years, the rest in [0, 1] or, where noted, [-1, 1].

    Turning: positive `yaw` moves the nose to the viewer's right, positive `pitch` lifts it,
    positive `roll` tilts the head clockwise. The light comes from `light_azimuth` degrees to the
    viewer's right and `light_elevation` degrees above the camera's axis.
    """

    # Who it is: the same in every frame of a film.
    male: bool = False
    age: float = 30.0
    skin_tone: float = 0.3  # 0 very light ... 1 very dark
    skin_warmth: float = 0.5
    hair_colour: str = "brown"
    hair_shade: float = 0.5  # within the colour: 0 darkest, 1 lightest
    hair_style: str = "short"
    hair_volume: float = 0.5
    hair_wave: float = 0.2
    hair_part: float = 0.3  # [-1, 1], where the parting sits
    fringe: float = 0.0  # how far hair hangs over the forehead
    receding: float = 0.0
    beard: float = 0.0  # men's: below 0.3 none or a shadow, above 0.5 a full beard
    eye_colour: float = 0.2  # 0 dark brown, 0.5 hazel or green, 1 blue or grey
    glasses: bool = False
    glasses_style: float = 0.5
    freckles: float = 0.0
    make_up: float = 0.0
    face_width: float = 0.0  # [-1, 1], as all the shapes below
    jaw_width: float = 0.0
    chin: float = 0.0
    cheekbones: float = 0.0
    nose_width: float = 0.0
    nose_length: float = 0.0
    eye_size: float = 0.0
    eye_tilt: float = 0.0
    brow_thickness: float = 0.0
    brow_arch: float = 0.0
    lip_fullness: float = 0.0
    mouth_width: float = 0.0
    # What it does at this moment.
    smile: float = 0.0
    mouth_open: float = 0.0
    eye_openness: float = 1.0
    brow_raise: float = 0.0
    frown: float = 0.0  # brows lowered and drawn together
    sneer: float = 0.0  # nose wrinkled and upper lip raised
    corners_down: float = 0.0
    chin_up: float = 0.0
    lips_wide: float = 0.0  # stretched, without a smile
    lips_tight: float = 0.0
    gaze_x: float = 0.0  # [-1, 1]
    gaze_y: float = 0.0  # [-1, 1]
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    # Where it is.
    light_azimuth: float = 25.0
    light_elevation: float = 30.0
    light_softness: float = 0.6
    light_warmth: float = 0.5
    exposure: float = 0.5
    background: str = "studio"
    background_hue: float = 0.6
    background_light: float = 0.5
    clothes: str = "crew"
    clothes_hue: float = 0.6
    clothes_light: float = 0.3
    texture_seed: int = 0

    def __post_init__(self) -> None:
        """ValueError for a choice that cannot be drawn."""
        for name, choices in (
            ("hair_colour", HAIR_COLOURS),
            ("hair_style", HAIR_STYLES),
            ("background", BACKGROUNDS),
            ("clothes", CLOTHES),
        ):
            if getattr(self, name) not in choices:
                found, wanted = getattr(self, name), ", ".join(choices)
                raise ValueError(f"no {name} {found!r} to draw; choose from {wanted}")


def _lot(rng: np.random.Generator, names: Sequence[str], weights: Sequence[float]) -> str:
    return names[int(rng.choice(len(names), p=np.asarray(weights) / np.sum(weights)))]


def _sample_hair(rng: np.random.Generator, male: bool, age: float, skin: float) -> dict:
    """Colour and cut. Grey comes with age; blond becomes rare on dark skin."""
    gray = 0.02 + 1.2 * float(np.clip((age - 42) / 40, 0, 1))
    weights = (0.24 + 1.0 * skin, 0.55 * (1 - skin) ** 2, 0.45 * (1.1 - skin), gray)
    colour = _lot(rng, HAIR_COLOURS, weights)
    old = float(np.clip((age - 30) / 40, 0, 1))
    if male:
        weights = (0.05 + 0.12 * old, 0.16, 0.42, 0.36, 0.0, 0.01, 0.02)
    else:
        weights = (0.0, 0.01, 0.07, 0.07, 0.12, 0.3 + 0.15 * old, 0.45 - 0.25 * old)
    style = _lot(rng, HAIR_STYLES, weights)
    return {
        "hair_colour": colour,
        "hair_style": style,
        "hair_shade": float(rng.uniform()),
        "hair_volume": float(rng.uniform()),
        "hair_wave": float(rng.beta(1.2, 2.0)),
        "hair_part": float(rng.uniform(-1, 1)),
        "fringe": float(rng.uniform(0.3, 1.0)) if rng.uniform() < (0.1 if male else 0.3) else 0.0,
        "receding": float(rng.beta(1.5, 3) * (0.3 + old)) if male else 0.0,
    }


def _sample_shape(rng: np.random.Generator) -> dict:
    names = [f.name for f in dataclasses.fields(FaceParameters)]
    shapes = names[names.index("face_width") : names.index("smile")]
    values = np.clip(rng.normal(0.0, 0.5, len(shapes)), -1, 1)
    return {name: float(value) for name, value in zip(shapes, values, strict=True)}


def _sample_moment(rng: np.random.Generator) -> dict:
    """Expression and pose. No smile or gap lies near the edge between two labels."""
    smiling, is_open = rng.uniform() < 0.6, rng.uniform() < 0.5
    yaw, pitch, roll = np.clip(rng.normal(0, (11, 5, 3)), (-30, -14, -9), (30, 14, 9))
    return {
        "smile": float(rng.uniform(0.5, 1.0) if smiling else rng.uniform(0.0, 0.22)),
        "mouth_open": float(rng.uniform(0.22, 0.75) ** 1.3 + 0.06 if is_open else 0.0),
        "eye_openness": float(rng.uniform(0.72, 1.0)),
        "brow_raise": float(rng.beta(1, 3)),
        "gaze_x": float(np.clip(rng.normal(0, 0.2), -1, 1)),
        "gaze_y": float(np.clip(rng.normal(0, 0.1), -1, 1)),
        "yaw": float(yaw),
        "pitch": float(pitch),
        "roll": float(roll),
    }


def _sample_hue(rng: np.random.Generator) -> float:
    """Mostly what walls, leaves and cloth have: blues, browns, greens."""
    middle, spread = ((0.6, 0.05), (0.08, 0.03), (0.32, 0.06), (0.95, 0.1))[
        int(rng.choice(4, p=(0.46, 0.32, 0.15, 0.07)))
    ]
    return float(rng.normal(middle, spread) % 1.0)


def _sample_surroundings(rng: np.random.Generator, male: bool) -> dict:
    suit = 0.4 if male else 0.15
    return {
        "light_azimuth": float(rng.uniform(-60, 60)),
        "light_elevation": float(rng.uniform(8, 48)),
        "light_softness": float(rng.uniform(0.3, 1.0)),
        "light_warmth": float(rng.beta(2, 2)),
        "exposure": float(rng.beta(2, 2)),
        "background": _lot(rng, BACKGROUNDS, (0.35, 0.2, 0.3, 0.15)),
        "background_hue": _sample_hue(rng),
        "background_light": float(rng.uniform()),
        "clothes": _lot(rng, CLOTHES, (0.3, suit, 0.2, 0.25)),
        "clothes_hue": _sample_hue(rng),
        "clothes_light": float(rng.uniform()),
        "texture_seed": int(rng.integers(2**31)),
    }


def sample_parameters(rng: np.random.Generator) -> FaceParameters:
    """One face by lot: half of them male, 18 to 78 years old, mostly turned to the camera."""
    male = bool(rng.uniform() < 0.5)
    age = float(18 + 60 * rng.beta(1.2, 1.9))
    skin = float(rng.beta(1.1, 1.7))
    bearded = male and rng.uniform() < 0.35
    light_eyes = rng.uniform() < 0.65 * (1 - skin) ** 3
    return FaceParameters(
        male=male,
        age=age,
        skin_tone=skin,
        skin_warmth=float(rng.uniform()),
        beard=float(rng.uniform(0.55, 1.0) if bearded else rng.uniform(0, 0.28) * male),
        eye_colour=float(rng.uniform(0.45, 1.0) if light_eyes else rng.uniform(0.0, 0.3)),
        glasses=bool(rng.uniform() < 0.1 + 0.002 * age),
        glasses_style=float(rng.uniform()),
        freckles=float(rng.uniform(0.3, 1) if rng.uniform() < 0.25 * (1 - skin) else 0.0),
        make_up=0.0 if male else float(rng.beta(1.5, 1.5)),
        **_sample_hair(rng, male, age, skin),
        **_sample_shape(rng),
        **_sample_moment(rng),
        **_sample_surroundings(rng, male),
    )


def _has_hair(colour: str) -> Callable[[FaceParameters], bool]:
    return lambda face: face.hair_style != "bald" and face.hair_colour == colour


_LABELS: dict[str, Callable[[FaceParameters], bool]] = {
    "Bald": lambda face: face.hair_style == "bald",
    "Black_Hair": _has_hair("black"),
    "Blond_Hair": _has_hair("blond"),
    "Brown_Hair": _has_hair("brown"),
    "Gray_Hair": _has_hair("gray"),
    "Eyeglasses": lambda face: face.glasses,
    "Male": lambda face: face.male,
    "Mouth_Slightly_Open": lambda face: face.mouth_open >= OPEN_FROM,
    "No_Beard": lambda face: not face.male or face.beard < 0.5,
    "Smiling": lambda face: face.smile >= SMILING_FROM,
    "Young": lambda face: face.age < YOUNG_BELOW,
}
LABELLED = tuple(sorted(_LABELS))


def attributes(parameters: FaceParameters, names: Sequence[str]) -> Float[np.ndarray, " a"]:
    """The CelebA attributes `names` of a face, each 0 or 1; exact, they are what was drawn.

    Action units are in [0, 1], see `action_units`. A bald head has none of the four hair colours.
    ValueError for a name that is neither in LABELLED nor an action unit.
    """
    unknown = [name for name in names if name not in _LABELS and name not in ACTION_UNITS]
    if unknown:
        known = f"{', '.join(LABELLED)} and {ACTION_UNITS[0]} … {ACTION_UNITS[-1]}"
        raise ValueError(f"no label for {', '.join(unknown)} on drawn faces; choose from {known}")
    units = dict(zip(ACTION_UNITS, action_units(parameters), strict=True))
    values = [units[n] if n in units else _LABELS[n](parameters) for n in names]
    return np.asarray(values, np.float32)


def action_units(face: FaceParameters) -> Float[np.ndarray, "17"]:
    """A face's action units in [0, 1], in the order of ACTION_UNITS.

    A smile pulls the lip corners and raises the cheeks, an open mouth parts the lips and drops the
    jaw. Lids have a place at rest: above it they are raised, below it tightened, then closing. The
    drawing has no dimples: AU14 is 0.
    """
    closing = max(0.0, 1.0 - face.eye_openness / LIDS_TIGHT)
    tight = np.clip((LIDS_AT_REST - face.eye_openness) / (LIDS_AT_REST - LIDS_TIGHT), 0.0, 1.0)
    raised = max(0.0, (face.eye_openness - LIDS_AT_REST) / (1.0 - LIDS_AT_REST))
    active = {
        "AU01": face.brow_raise,
        "AU02": face.brow_raise,
        "AU04": face.frown,
        "AU05": raised,
        "AU06": face.smile,
        "AU07": tight,
        "AU09": face.sneer,
        "AU10": face.sneer,
        "AU12": face.smile,
        "AU15": face.corners_down,
        "AU17": face.chin_up,
        "AU20": face.lips_wide,
        "AU23": face.lips_tight,
        "AU25": min(1.0, LIPS_PER_JAW * face.mouth_open),
        "AU26": face.mouth_open,
        "AU45": closing,
    }
    return np.array([active.get(unit, 0.0) for unit in ACTION_UNITS], np.float32)


def apply_action_units(face: FaceParameters, units: Float[np.ndarray, "17"]) -> FaceParameters:
    """The same face with another expression: action units in [0, 1], in the order of ACTION_UNITS.

    Undoes `action_units`. Of units that the drawing cannot do apart the main one decides: AU12 is
    the smile, the mean of AU01 and AU02 the brows, that of AU09 and AU10 the sneer, the wider of
    AU25 and AU26 the mouth. Dimples are not drawn. ValueError for another number of units or a
    value out of range.
    """
    units = np.asarray(units, np.float64)
    if units.shape != (len(ACTION_UNITS),) or not ((units >= 0) & (units <= 1)).all():
        raise ValueError(
            f"found action units {units}, expected {len(ACTION_UNITS)} intensities in [0, 1], "
            f"{ACTION_UNITS[0]} to {ACTION_UNITS[-1]}"
        )
    level = dict(zip(ACTION_UNITS, units.tolist(), strict=True))
    lids = LIDS_AT_REST + (1.0 - LIDS_AT_REST) * level["AU05"]
    lids -= (LIDS_AT_REST - LIDS_TIGHT) * level["AU07"]
    return dataclasses.replace(
        face,
        smile=level["AU12"],
        mouth_open=max(level["AU26"], level["AU25"] / LIPS_PER_JAW),
        eye_openness=lids * (1.0 - level["AU45"]),
        brow_raise=(level["AU01"] + level["AU02"]) / 2,
        frown=level["AU04"],
        sneer=(level["AU09"] + level["AU10"]) / 2,
        corners_down=level["AU15"],
        chin_up=level["AU17"],
        lips_wide=level["AU20"],
        lips_tight=level["AU23"],
    )
