"""The pictures of an evaluation: a grid of photos and fakes, and strips of animated fakes."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from dfd_jax.evaluation.report import picture_grid
from dfd_jax.evaluation.scoring import AllFakes, Conditions

GRID_PHOTOS = 6
STRIP_PHOTOS = 3
SHOWN_CONDITIONS = 2  # of each generator

Squares = UInt8[np.ndarray, "n s s 3"]


class Exhibits(NamedTuple):
    """What there is to show. Photos are crops, as the attacker gets them."""

    clean: Squares
    protected: Squares
    originals: AllFakes  # of the clean photos
    fakes: AllFakes  # of the protected ones


def grid(exhibits: Exhibits, conditions: Conditions) -> list[dict[str, UInt8[np.ndarray, "s s 3"]]]:
    """One row per photo: x, x+P(x), |P(x)| amplified, and the fakes of both under a few conditions.

    Of an animated fake the middle frame is shown.
    """
    panels = []
    for i in range(min(GRID_PHOTOS, len(exhibits.clean))):
        delta = exhibits.protected[i].astype(np.int16) - exhibits.clean[i]
        panel = {
            "x": exhibits.clean[i],
            "x+P(x)": exhibits.protected[i],
            picture_grid.AMPLIFIED_CAPTION: picture_grid.amplified(delta),
        }
        for generator, known in conditions.items():
            for condition in _shown(known):
                label = condition.replace("_", " ")
                if len(conditions) > 1:
                    label = f"{generator} {label}".replace("_", " ")
                for name, made in (("G(x)", exhibits.originals), ("G(x+P(x))", exhibits.fakes)):
                    frames = made[generator, condition].images[i]
                    panel[f"{name} {label}"] = frames[len(frames) // 2]
        panels.append(panel)
    return panels


def save_strips(
    folder: pathlib.Path,
    exhibits: Exhibits,
    clips: Mapping[str, UInt8[np.ndarray, "n s s 3"]],
) -> list[pathlib.Path]:
    """Animated fakes as in the paper's Figure 4, one GIF for each generator and driving motion.

    `clips` are the driving motions. Columns: driving frame, x, G(x), x+P(x), G(x+P(x)); a row per
    photo. Returns the files; none if no generator animates.
    """
    written = []
    for (generator, condition), before in exhibits.originals.items():
        count = before.images.shape[1]
        if count == 1 or condition not in clips:
            continue
        driving = clips[condition]
        picked = (2 * np.arange(count) + 1) * len(driving) // (2 * count)  # as test_condition
        after = exhibits.fakes[generator, condition]
        frames = [
            [
                {
                    "driving": driving[picked[k]],
                    "x": exhibits.clean[i],
                    "G(x)": before.images[i, k],
                    "x+P(x)": exhibits.protected[i],
                    "G(x+P(x))": after.images[i, k],
                }
                for i in range(min(STRIP_PHOTOS, len(exhibits.clean)))
            ]
            for k in range(count)
        ]
        path = folder / f"clip_{generator}_{condition}.gif"
        picture_grid.save_animation(path, frames)
        written.append(path)
    return written


def _shown(conditions: tuple[str, ...]) -> tuple[str, ...]:
    """Two that differ: neighbours in a list of conditions are often alike."""
    if len(conditions) <= SHOWN_CONDITIONS:
        return conditions
    return conditions[0], conditions[-2]
