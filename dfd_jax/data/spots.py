"""The exact positions of ten spots of a drawn face, from the geometry that draws it."""

import numpy as np
from jaxtyping import Float

from dfd_jax.data.synthetic import geometry
from dfd_jax.data.synthetic.geometry import CENTRE_W, EYES_AT, POINTS
from dfd_jax.data.synthetic.parameters import FaceParameters
from dfd_jax.data.synthetic.relief import mouth_line

SPOTS = (
    "left_eye",
    "right_eye",
    "nose",
    "left_corner",
    "right_corner",
    "upper_lip",
    "lower_lip",
    "chin",
    "left_temple",
    "right_temple",
)
MIRRORED = [1, 0, 2, 4, 3, 5, 6, 7, 9, 8]  # index of each spot's counterpart on the other side


def spots(face: FaceParameters) -> Float[np.ndarray, "10 2"]:
    """(x, y) of SPOTS in [-1, 1], where -1 and 1 are the picture's edges. Left is the viewer's."""
    m, turned = mouth_line(face), geometry.rotation(face)
    shape = geometry.head_shape(face)
    places = [  # (u, v, height of the relief)
        (-20.0, 0.0, -2.0),
        (20.0, 0.0, -2.0),
        (0.0, 26.0 + 2.0 * face.nose_length, 24.0),
        (-m["half"], m["corner"], 2.0),
        (m["half"], m["corner"], 2.0),
        (0.0, m["middle"] - m["above"] - 0.5 * m["upper"], 5.0),
        (0.0, m["middle"] + m["below"] + 0.5 * m["lower"], 5.0),
        (0.0, 66.0 + 6.0 * face.mouth_open, 11.0),
        (-40.0, -8.0, 0.0),
        (40.0, -8.0, 0.0),
    ]
    found = []
    for u, v, height in places:
        at = np.full(1, v, np.float32)
        inside = 1.0 - (u / shape.widths(at)[0]) ** 2 - shape.stretch(at) * at * at
        forward = shape.axis(at)[0] + shape.depths(at) * np.sqrt(np.maximum(inside, 0.0))
        depth = CENTRE_W + float(forward[0]) + height
        found.append(geometry.project((u, v, depth), turned)[:2])
    return (2 * (np.array(found) + EYES_AT) / POINTS - 1).astype(np.float32)


def mirrored(points: Float[np.ndarray, "10 2"]) -> Float[np.ndarray, "10 2"]:
    """The spots of the mirrored picture."""
    return points[MIRRORED] * np.array([-1, 1], np.float32)
