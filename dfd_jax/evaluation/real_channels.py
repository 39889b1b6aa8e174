"""Real channels: what platforms do to a published photo, with real encoders, on 8-bit pixels.

The differentiable channel that P is trained through is method/channel.py.
"""

import io
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

Pixels = UInt8[np.ndarray, "_ _ 3"]
Channel = Callable[[Pixels], Pixels]


def _jpeg(quality: int) -> Channel:
    def encode(pixels: Pixels) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
        return np.asarray(Image.open(buffer).convert("RGB"))

    return encode


def _half_and_back(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    small = Image.fromarray(pixels).resize(
        (max(width // 2, 1), max(height // 2, 1)), Image.Resampling.BILINEAR
    )
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))


def _blur(sigma: float) -> Channel:
    return lambda pixels: np.asarray(
        Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma))
    )


def _noise(pixels: Pixels) -> Pixels:
    noisy = pixels + np.random.default_rng(0).normal(0, 4, pixels.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


CHANNELS: dict[str, Channel] = {
    "PNG": lambda pixels: pixels,
    "JPEG 95": _jpeg(95),
    "JPEG 75": _jpeg(75),
    "JPEG 50": _jpeg(50),
    "resize 1/2 and back": _half_and_back,
    "blur sigma 1": _blur(1.0),
    "blur sigma 2": _blur(2.0),
    "noise sigma 4": _noise,
}
