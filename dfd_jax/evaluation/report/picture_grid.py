"""Picture grids, still or animated: one row per photo, captions over the columns."""

import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image, ImageDraw, ImageFont

from dfd_jax.runtime.files import atomic_write

AMPLIFY = 20  # how many times |P(x)| is enlarged to be seen
AMPLIFIED_CAPTION = f"|P(x)| x {AMPLIFY}"
MIN_SIDE = 128  # smaller images are enlarged at least to this, in pixels
GAP = 6  # pixels between panels and around them
BACKGROUND, TEXT = (24, 26, 31), (232, 234, 238)
MILLISECONDS = 160  # of each frame of an animation
FONT_SIZES = (15, 13, 11, 9)  # the largest at which the longest word of all captions fits


def amplified(
    delta_levels: Num[np.ndarray, "h w 3"], factor: float = AMPLIFY
) -> UInt8[np.ndarray, "h w 3"]:
    """The size of a perturbation in 8-bit levels, times `factor`, on black; clipped at 255."""
    levels = np.abs(np.asarray(delta_levels, np.float64)) * factor
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)


Panels = Sequence[Mapping[str, UInt8[np.ndarray, "_ _ 3"]]]


def save_grid(path: str | os.PathLike[str], panels: Panels) -> None:
    """Write a PNG with one row per photo and the columns in the order of the first row's keys.

    Panels are squares; all are drawn at one size, at least MIN_SIDE. A panel that a row lacks
    leaves its place empty. The file is replaced as a whole. ValueError for no or misshapen panels.
    """
    _save(pathlib.Path(path), _drawn(panels), optimize=True)


def save_animation(path: str | os.PathLike[str], frames: Sequence[Panels]) -> None:
    """Write a GIF that shows the grids in an endless loop. ValueError as for `save_grid`."""
    if not frames:
        raise ValueError("an animation needs at least one frame, found none")
    first, *others = map(_drawn, frames)
    animation = {"save_all": True, "append_images": others, "duration": MILLISECONDS, "loop": 0}
    _save(pathlib.Path(path), first, **animation)


def _drawn(panels: Panels) -> Image.Image:
    columns = list(dict.fromkeys(name for row in panels for name in row))
    if not columns:
        raise ValueError("a picture grid needs at least one row with one panel, found none")
    for name, pixels in ((n, p) for row in panels for n, p in row.items()):
        _check(name, pixels)
    side = max(_drawn_side(p.shape[0]) for row in panels for p in row.values())
    font, captions = _captions(columns, side)
    line = math.ceil(font.size * 1.25)
    top = GAP + line * max(len(lines) for lines in captions) + GAP // 2
    step = side + GAP
    canvas = Image.new("RGB", (GAP + step * len(columns), top + step * len(panels)), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for x, (name, lines) in enumerate(zip(columns, captions, strict=True)):
        left = GAP + x * step
        for i, text in enumerate(reversed(lines)):  # captions stand on the picture, not in the air
            middle = (left + side / 2, top - GAP // 2 - i * line)
            draw.text(middle, text, TEXT, font=font, anchor="md")
        for y, row in enumerate(panels):
            if name in row:
                canvas.paste(_resized(row[name], side), (left, top + y * step))
    return canvas


def _check(name: str, pixels: np.ndarray) -> None:
    is_square = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.shape[0] == pixels.shape[1]
    if not is_square or pixels.dtype != np.uint8:
        raise ValueError(
            f"panel {name!r}: expected uint8 pixels of shape [s, s, 3], found {pixels.dtype} "
            f"{list(pixels.shape)}. Convert with pixels.to_uint8 and take one image of the batch."
        )


def _drawn_side(size: int) -> int:
    """The size itself, or its smallest multiple that is at least MIN_SIDE."""
    return size * math.ceil(MIN_SIDE / size)


def _resized(pixels: np.ndarray, side: int) -> Image.Image:
    # Whole multiples are shown pixel by pixel: smoothing would hide what the perturbation is like.
    is_multiple = side % pixels.shape[0] == 0
    method = Image.Resampling.NEAREST if is_multiple else Image.Resampling.LANCZOS
    return Image.fromarray(pixels).resize((side, side), method)


def _captions(columns: Sequence[str], side: int) -> tuple[ImageFont.FreeTypeFont, list[list[str]]]:
    """A font in which every word fits into a column, and each caption broken into lines."""
    words = [word for name in columns for word in name.split()] or [""]
    fonts = [_font(size) for size in FONT_SIZES]
    fitting = [f for f in fonts if max(f.getlength(w) for w in words) <= side]
    font = fitting[0] if fitting else fonts[-1]
    return font, [_wrapped(name, font, side) for name in columns]


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType; install the wheel from PyPI")
    return font


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def _save(path: pathlib.Path, canvas: Image.Image, **options: Any) -> None:
    with atomic_write(path) as temporary:
        canvas.save(temporary, **options)
