"""The pictures of an evaluation: a grid of photos and fakes, and strips of animated fakes."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from dfd_jax.evaluation.inference import Conditions
from dfd_jax.evaluation.report import picture_grid
from dfd_jax.evaluation.scoring import AllFakes, Measured, Reference

GRID_PHOTOS = 6
STRIP_PHOTOS = 3
SHOWN_CONDITIONS = 2  # of each generator

Squares = UInt8[np.ndarray, "n s s 3"]


class Examples(NamedTuple):
    """What the pictures show: crops as generators get them, and the fakes of both."""

    clean: Squares
    protected: Squares
    originals: AllFakes  # of the clean photos
    fakes: AllFakes  # of the protected ones
    conditions: Conditions

    @classmethod
    def of(cls, reference: Reference, protected: Measured) -> "Examples":
        """The crops of the largest size, with all fakes."""
        size = max(reference.networks.sizes)
        crops = reference.clean[size], protected.crops[size]
        return cls(*crops, reference.originals, protected.fakes, reference.conditions)

    @property
    def side(self) -> int:
        """Of the crops, in pixels."""
        return self.clean.shape[1]

    @property
    def is_animated(self) -> bool:
        """Whether any generator makes more than one frame."""
        return any(fakes.images.shape[1] > 1 for fakes in self.originals.values())


def grid(examples: Examples) -> list[dict[str, UInt8[np.ndarray, "_ _ 3"]]]:
    """A row per photo: x, x+P(x), |P(x)| amplified, fakes of both (of clips the middle frame)."""
    panels = []
    for i in range(min(GRID_PHOTOS, len(examples.clean))):
        delta = examples.protected[i].astype(np.int16) - examples.clean[i]
        panel = {
            "x": examples.clean[i],
            "x+P(x)": examples.protected[i],
            picture_grid.AMPLIFIED_CAPTION: picture_grid.amplified(delta),
        }
        for generator, known in examples.conditions.items():
            for condition in _shown(known):
                label = f"{generator} {condition}" if len(examples.conditions) > 1 else condition
                for name, made in (("G(x)", examples.originals), ("G(x+P(x))", examples.fakes)):
                    frames = made[generator, condition].images[i]
                    panel[f"{name} {label.replace('_', ' ')}"] = frames[len(frames) // 2]
        panels.append(panel)
    return panels


def save_strips(
    folder: pathlib.Path,
    examples: Examples,
    clips: Mapping[str, UInt8[np.ndarray, "_ _ _ 3"]],
) -> list[pathlib.Path]:
    """Animated fakes as in the paper's Figure 4, one GIF for each generator and driving motion.

    `clips` are the driving motions. Columns: driving frame, x, G(x), x+P(x), G(x+P(x)); a row per
    photo. Returns the files; none if no generator animates.
    """
    written = []
    for (generator, condition), before in examples.originals.items():
        count = before.images.shape[1]
        if count == 1 or condition not in clips:
            continue
        driving = shown_frames(clips[condition], count)
        after = examples.fakes[generator, condition]
        frames = [
            [
                {
                    "driving": driving[k],
                    "x": examples.clean[i],
                    "G(x)": before.images[i, k],
                    "x+P(x)": examples.protected[i],
                    "G(x+P(x))": after.images[i, k],
                }
                for i in range(min(STRIP_PHOTOS, len(examples.clean)))
            ]
            for k in range(count)
        ]
        path = folder / f"clip_{generator}_{condition}.gif"
        picture_grid.save_animation(path, frames)
        written.append(path)
    return written


def shown_frames(clip: UInt8[np.ndarray, "n s s 3"], count: int) -> UInt8[np.ndarray, "k s s 3"]:
    """The `count` frames of a driving clip that the generator's `test_condition` picks."""
    return clip[(2 * np.arange(count) + 1) * len(clip) // (2 * count)]


def _shown(conditions: tuple[str, ...]) -> tuple[str, ...]:
    """Two that differ: neighbours in a list of conditions are often alike."""
    if len(conditions) <= SHOWN_CONDITIONS:
        return conditions
    return conditions[0], conditions[-2]
