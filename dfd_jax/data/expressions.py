"""Action units of faces, and the expressions that they make up: the conditions of GANimation.

The Facial Action Coding System (Ekman and Friesen 1978; Ekman, Friesen and Hager 2002) numbers what
single facial muscles do: 12 pulls the corners of the lips, 4 lowers the brows. An intensity is 0
(absent) to 5 on FACS's scale A to E, and 0 to 1 in all of our arrays. The 17 units, and their
order, are those that OpenFace measures (Baltrušaitis et al. 2018) and GANimation is conditioned on.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

MAX_INTENSITY = 5.0  # FACS's E
ACTION_UNITS = (
    "AU01",  # inner brow raiser
    "AU02",  # outer brow raiser
    "AU04",  # brow lowerer
    "AU05",  # upper lid raiser
    "AU06",  # cheek raiser
    "AU07",  # lid tightener
    "AU09",  # nose wrinkler
    "AU10",  # upper lip raiser
    "AU12",  # lip corner puller
    "AU14",  # dimpler
    "AU15",  # lip corner depressor
    "AU17",  # chin raiser
    "AU20",  # lip stretcher
    "AU23",  # lip tightener
    "AU25",  # lips part
    "AU26",  # jaw drop
    "AU45",  # blink
)
NEUTRAL = "neutral"
# The basic emotions as in EMFACS (Friesen and Ekman 1983), disgust and the compound emotions as
# found by Du, Tao and Martinez (2014), pain by Prkachin and Solomon (2008). EMFACS's contempt is
# one-sided; these units do not tell left from right.
PROTOTYPES: dict[str, tuple[int, ...]] = {
    "happiness": (6, 12),
    "sadness": (1, 4, 15),
    "surprise": (1, 2, 5, 26),
    "fear": (1, 2, 4, 5, 7, 20, 26),
    "anger": (4, 5, 7, 23),
    "disgust": (9, 10, 17),
    "contempt": (12, 14),
    "happily_surprised": (1, 2, 12, 25),
    "happily_disgusted": (10, 12, 25),
    "sadly_fearful": (1, 4, 20, 25),
    "sadly_angry": (4, 15),
    "fearfully_surprised": (1, 2, 5, 20, 25),
    "angrily_disgusted": (4, 10, 17),
    "awed": (1, 2, 5, 25),
    "pain": (4, 6, 7, 9, 10),
    "blink": (45,),
}
LEVELS = (1, 2, 3, 4, 5)  # FACS's A to E
# "neutral", "happiness_1" … "blink_5": the index 0 … 80 of the literature is the place in this list
EXPRESSIONS = (NEUTRAL, *(f"{name}_{level}" for name in PROTOTYPES for level in LEVELS))


def action_units(expression: str) -> Float[np.ndarray, "17"]:
    """Intensities in [0, 1], in the order of ACTION_UNITS, of one of EXPRESSIONS.

    All units of a prototype have the intensity that the name ends with, the others are 0.
    ValueError if the name is unknown.
    """
    if expression not in EXPRESSIONS:
        raise ValueError(
            f"found expression {expression!r}, expected {NEUTRAL!r} or one of "
            f"{', '.join(PROTOTYPES)} with an intensity, {LEVELS[0]} to {LEVELS[-1]}: happiness_5"
        )
    name, _, level = expression.rpartition("_")
    active = {f"AU{number:02d}" for number in PROTOTYPES.get(name, ())}
    intensity = float(level) / MAX_INTENSITY if active else 0.0
    return np.array([intensity * (unit in active) for unit in ACTION_UNITS], np.float32)


def expression_vectors(units: Sequence[str] = ACTION_UNITS) -> Float[np.ndarray, "81 u"]:
    """All EXPRESSIONS, one per row, as intensities of these units. ValueError for unknown ones."""
    unknown = [unit for unit in units if unit not in ACTION_UNITS]
    if unknown:
        raise ValueError(
            f"found action units {', '.join(unknown)}, expected some of {', '.join(ACTION_UNITS)}"
        )
    columns = [ACTION_UNITS.index(unit) for unit in units]
    return np.stack([action_units(name) for name in EXPRESSIONS])[:, columns]
