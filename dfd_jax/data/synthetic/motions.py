"""Driving motions of a drawn face: what a recorded clip gives a reenactment model, without one."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from dfd_jax.data.synthetic import FaceParameters, render

FPS = 25.0
NEUTRAL = {
    "smile": 0.0,
    "mouth_open": 0.0,
    "eye_openness": 0.9,
    "brow_raise": 0.0,
    "frown": 0.0,
    "sneer": 0.0,
    "corners_down": 0.0,
    "chin_up": 0.0,
    "lips_wide": 0.0,
    "lips_tight": 0.0,
    "gaze_x": 0.0,
    "gaze_y": 0.0,
    "yaw": 0.0,
    "pitch": 0.0,
    "roll": 0.0,
}

_JAW_HZ = 2.5
_BLINK_AT, _BLINK_HALF, _BLINK_EVERY = 0.4, 0.16, 1.0  # seconds
_YAW, _NOD = 12.0, 9.0  # degrees each way


def _there_and_back(share: float) -> float:
    return (1.0 - math.cos(2.0 * math.pi * share)) / 2.0


def _blink(seconds: float) -> float:
    """How far the lids are closed."""
    away = abs(seconds % _BLINK_EVERY - _BLINK_AT)
    return _there_and_back(0.5 - 0.5 * min(away / _BLINK_HALF, 1.0))


# From the time in seconds and the share of the clip that is over to what differs from NEUTRAL.
_MOTIONS: dict[str, Callable[[float, float], dict[str, float]]] = {
    "mouth": lambda seconds, share: {"mouth_open": 0.6 * _there_and_back(_JAW_HZ * seconds)},
    "blink": lambda seconds, share: {"eye_openness": 0.9 * (1.0 - _blink(seconds))},
    "yaw": lambda seconds, share: {"yaw": _YAW * math.sin(2.0 * math.pi * share)},
    "nod": lambda seconds, share: {"pitch": -_NOD * math.sin(2.0 * math.pi * share)},
    "smile": lambda seconds, share: {"smile": _there_and_back(share)},
}
MOTIONS = tuple(_MOTIONS)


def render_motion(
    name: str, face: FaceParameters, frames: int, size: int
) -> UInt8[np.ndarray, "{frames} {size} {size} 3"]:
    """One of MOTIONS made by `face` at FPS, from its neutral expression and pose on.

    Lips and lids move at a person's pace (the jaw 2.5 times a second, a blink a second); turns and
    the smile go there and back once in the clip. Whatever else `face` did at its moment is undone,
    as relative motion expects a neutral first frame. ValueError for another name or no frames.
    """
    if name not in _MOTIONS:
        raise ValueError(f"found motion {name!r}, expected one of {', '.join(MOTIONS)}")
    if frames < 1:
        raise ValueError(f"found {frames} frames, expected at least 1")
    neutral = dataclasses.replace(face, **NEUTRAL)
    drawn: dict[tuple[float, ...], np.ndarray] = {}  # cycles pass through most poses twice
    clip = np.empty((frames, size, size, 3), np.uint8)
    for index in range(frames):
        moved = _MOTIONS[name](index / FPS, index / frames)
        pose = tuple(round(value, 6) for value in moved.values())
        if pose not in drawn:
            changes = dict(zip(moved, pose, strict=True))
            drawn[pose] = render(dataclasses.replace(neutral, **changes), size)
        clip[index] = drawn[pose]
    return clip
