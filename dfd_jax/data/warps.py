"""Other expressions and poses of a photographed face, by moving its pixels around the landmarks.

They are training data for generators that need several pictures of one person with known action
units (GANimation) or in other poses (First Order Motion), made from single photos without labels.
What each muscle and turn does is in warp_maps.py. Nothing is revealed that the photo does not show:
an opened mouth is dark inside, and a turned head has no other side.

**Units are relative.** A photo keeps the expression that it was taken with, which counts as 0.
"""

import functools

import numpy as np
from jaxtyping import Float, Float32, UInt8

from dfd_jax.data import warp_maps
from dfd_jax.data.expressions import ACTION_UNITS, expression_vectors
from dfd_jax.data.pipeline import Example
from dfd_jax.data.warp_maps import Field, Pose

Pixels = UInt8[np.ndarray, "s s 3"]

INSIDE = np.array([52, 20, 22], np.float32)  # of a mouth, in levels


# ------------------------------------------------------------------------------- the entrances


def express(
    pixels: Pixels, points: Float[np.ndarray, "5 2"], units: Float[np.ndarray, "17"]
) -> Pixels:
    """The face with the action units `units` in [0, 1], in the order of ACTION_UNITS, put on.

    `points` are the landmarks (landmarks.LANDMARKS) in pixels. ValueError for another picture than
    square uint8, landmarks that are not finite, or units that are not 17 numbers in [0, 1].
    """
    return move(pixels, points, units, Pose())


def turn(
    pixels: Pixels,
    points: Float[np.ndarray, "5 2"],
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
) -> Pixels:
    """The head in another pose; what they mean is in Pose. The background follows a little.

    The nose moves most, as it is nearest. Beyond some 30 degrees the flat photo shows. ValueError
    as in `express`, and for a scale that is not positive.
    """
    pose = Pose(yaw, pitch, roll, shift, scale)
    return move(pixels, points, np.zeros(len(ACTION_UNITS), np.float32), pose)


def move(
    pixels: Pixels,
    points: Float[np.ndarray, "5 2"],
    units: Float[np.ndarray, "17"],
    pose: Pose,
) -> Pixels:
    """`express`, then `turn`, as sharp as one of them: the photo is looked up once."""
    _check(pixels, points, units, pose)
    size = len(pixels)
    face = warp_maps.locate(points, size)
    places = face.places(_grid(size))
    a, b = places[..., 0], places[..., 1]
    if pose != Pose():
        a, b = warp_maps.turned_back(face, pose, size, a, b)
    intensities: dict[str, float] = dict(zip(ACTION_UNITS, units.tolist(), strict=True))
    a, b, opening = warp_maps.mouth_closed(face, intensities, a, b)
    a, b = warp_maps.lids_back(intensities, a, b)
    a, b = warp_maps.pulled_back(face, intensities, a, b)
    picture = _bilinear(pixels, *face.pixels(a, b))
    if opening is not None:
        picture += opening[..., None] * (_inside(pixels, points) - picture)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def expression_pair(example: Example, rng: np.random.Generator) -> Example:
    """A photo's "images" and "points" as two random expressions of it. A transform of make_loader.

    "images" uint8 [s, s, 3] shows "units" float32 [17]; "targets" is the same photo with
    "target_units", what a generator asked for them should make of "images". Both are rows of
    expressions.EXPRESSIONS. ValueError if the example has no points.
    """
    photo, points = _photo(example)
    units, target_units = random_units(rng), random_units(rng)
    return {
        "images": express(photo, points, units),
        "units": units,
        "targets": express(photo, points, target_units),
        "target_units": target_units,
    }


def motion_pair(example: Example, rng: np.random.Generator) -> Example:
    """A photo's "images" and "points" as "source" and "driving": uint8 [s, s, 3] each.

    Both have a random pose and expression. A transform of make_loader. ValueError if the example
    has no points.
    """
    photo, points = _photo(example)
    source, driving = (
        move(photo, points, _talking(random_units(rng), rng), random_pose(rng)) for _ in range(2)
    )
    return {"source": source, "driving": driving}


def random_units(rng: np.random.Generator) -> Float32[np.ndarray, "17"]:
    """The action units of one of expressions.EXPRESSIONS, all of them equally likely."""
    vectors = _vectors()
    return vectors[rng.integers(len(vectors))].copy()


def random_pose(rng: np.random.Generator) -> Pose:
    """A pose that a warped photo can bear: turns like those of the drawn faces, small shifts."""
    yaw, pitch, roll = np.clip(rng.normal(0, (11, 6, 5)), (-25, -14, -12), (25, 14, 12)).tolist()
    right, down = np.clip(rng.normal(0, 0.025, 2), -0.06, 0.06).tolist()
    return Pose(yaw, pitch, roll, (right, down), float(np.exp(rng.uniform(-0.08, 0.08))))


@functools.cache
def _vectors() -> Float32[np.ndarray, "81 17"]:
    return expression_vectors()


def _talking(
    units: Float32[np.ndarray, "17"], rng: np.random.Generator
) -> Float32[np.ndarray, "17"]:
    """The units with the jaw dropped somewhere, half of the time: most clips are of speech."""
    jaw = ACTION_UNITS.index("AU26")
    if rng.random() < 0.5:
        units[jaw] = max(units[jaw], rng.uniform(0, 0.8))
    return units


def _photo(example: Example) -> tuple[Pixels, Float[np.ndarray, "5 2"]]:
    if "points" not in example:
        raise ValueError(
            f"found an example of {', '.join(example)}, expected points too; "
            "wrap the source in landmarks.Landmarked"
        )
    return example["images"], example["points"]


# ---------------------------------------------------------------------------------- the lookup


@functools.lru_cache(maxsize=8)
def _grid(size: int) -> Float32[np.ndarray, "s s 2"]:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    grid = np.stack([x, y], axis=-1)
    grid.flags.writeable = False
    return grid


def _check(
    pixels: Pixels, points: Float[np.ndarray, "5 2"], units: Float[np.ndarray, "17"], pose: Pose
) -> None:
    if pixels.dtype != np.uint8 or pixels.shape != (len(pixels), len(pixels), 3):
        raise ValueError(f"found pixels {pixels.dtype} {pixels.shape}, expected uint8 [s, s, 3]")
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ValueError(f"found landmarks {points.tolist()}, expected five finite (x, y)")
    if units.shape != (len(ACTION_UNITS),) or not ((units >= 0) & (units <= 1)).all():
        raise ValueError(f"found units {units.tolist()}, expected 17 intensities in [0, 1]")
    if not pose.scale > 0:
        raise ValueError(f"found scale {pose.scale}, expected a positive one: 1 keeps the size")


def _bilinear(pixels: Pixels, x: Field, y: Field) -> Float[np.ndarray, "s s 3"]:
    """The picture at these pixels; beyond the border its last pixels go on."""
    last = len(pixels) - 1
    x, y = np.clip(x, 0, last), np.clip(y, 0, last)
    left, top = np.minimum(x.astype(np.int32), last - 1), np.minimum(y.astype(np.int32), last - 1)
    right, down = (x - left)[..., None], (y - top)[..., None]
    flat, corner = pixels.reshape(-1, 3).astype(np.float32), top * len(pixels) + left
    upper = flat[corner] * (1 - right) + flat[corner + 1] * right
    corner = corner + len(pixels)
    lower = flat[corner] * (1 - right) + flat[corner + 1] * right
    return upper * (1 - down) + lower * down


def _inside(pixels: Pixels, points: Float[np.ndarray, "5 2"]) -> Float32[np.ndarray, "3"]:
    """The colour inside the mouth under the light of this photo, by what the nose looks like."""
    x, y = np.clip(np.round(points[2]), 0, len(pixels) - 1).astype(int)
    return INSIDE * np.float32(np.clip(pixels[y, x].mean() / 150, 0.4, 1.2))
