"""The resize behind `images.input_crop`, the one way from a photo to the input of a network.

An antialiased bilinear resize by cykooz-resizer (SIMD), or by Pillow on processors for which there
is no cykooz-resizer. Their levels differ by at most one. What an attacker does with a published
photo is another thing: `images.crop_resize`, always Pillow's resize.
"""

import functools
import threading
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

try:
    import cykooz_resizer as simd
except ImportError:  # no wheel for this processor
    simd = None

_THREAD = threading.local()  # one resizer per thread: it reuses its buffers


def input_square(
    pixels: UInt8[np.ndarray, "h w 3"], left: float, top: float, side: float, size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The square of `side` pixels from (left, top), resized to `size` x `size` pixels.

    Its corners may lie between pixels. As in Pillow, the filter does not read beyond the square's
    pixels by more than its support. ValueError if the square is not inside the photo.
    """
    height, width, _ = pixels.shape
    if simd is None:
        corners = _checked(height, width, left, top, side)
        image = Image.fromarray(pixels)
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, corners))
    options = _options(height, width, left, top, side)
    source = simd.ImageData(width, height, simd.PixelType.U8x3, pixels.tobytes())
    target = simd.ImageData(size, size, simd.PixelType.U8x3)
    try:
        resizer = _THREAD.resizer
    except AttributeError:
        resizer = _THREAD.resizer = simd.Resizer()
    resizer.resize(source, target, options)
    return np.frombuffer(target.get_buffer(), np.uint8).reshape(size, size, 3)


def _checked(
    height: int, width: int, left: float, top: float, side: float
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the square. ValueError if it is not inside the photo."""
    right, bottom = left + side, top + side
    if min(left, top) < 0 or side <= 0 or right > width or bottom > height:
        square = f"the square from ({left}, {top}), {side} pixels wide,"
        raise ValueError(f"{square} does not lie inside a photo of {width} x {height} pixels")
    return left, top, right, bottom


@functools.lru_cache(maxsize=256)  # a data set has few sizes of photos
def _options(height: int, width: int, left: float, top: float, side: float) -> Any:
    assert simd is not None
    _checked(height, width, left, top, side)
    return simd.ResizeOptions(
        resize_alg=simd.ResizeAlg.convolution(simd.FilterType.bilinear),
        use_alpha=False,
        crop_box=simd.CropBox(left, top, side, side),
    )
