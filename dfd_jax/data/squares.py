"""A square of a photo at another size: Pillow's antialiased bilinear resize in a third of its time.

Some levels are one off Pillow's. What has to be Pillow's bit for bit is made by images.crop_resize.
"""

import functools
import threading
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

try:
    import cykooz_resizer as simd
except ImportError:  # there is none for this kind of processor
    simd = None

_THREAD = threading.local()  # has the thread's own resizer, which keeps its memory


def resized(
    pixels: UInt8[np.ndarray, "h w 3"], left: float, top: float, side: float, size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The square from (left, top), `side` pixels wide, at `size` x `size` pixels.

    Its corners may lie within pixels. What surrounds it has a part in its edges, as in Pillow.
    ValueError if it is not inside the photo.
    """
    height, width, _ = pixels.shape
    if not (min(left, top) >= 0 < side and left + side <= width and top + side <= height):
        square = f"the square from ({left}, {top}), {side} pixels wide,"
        raise ValueError(f"{square} does not lie inside a photo of {width} x {height} pixels")
    if simd is None:
        corners = (left, top, left + side, top + side)
        image = Image.fromarray(pixels)
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, corners))
    source = simd.ImageData(width, height, simd.PixelType.U8x3, pixels.tobytes())
    target = simd.ImageData(size, size, simd.PixelType.U8x3)
    if not hasattr(_THREAD, "resizer"):
        _THREAD.resizer = simd.Resizer()
    _THREAD.resizer.resize(source, target, _options(left, top, side))
    return np.frombuffer(target.get_buffer(), np.uint8).reshape(size, size, 3)


@functools.lru_cache(maxsize=256)
def _options(left: float, top: float, side: float) -> Any:
    assert simd is not None
    return simd.ResizeOptions(
        resize_alg=simd.ResizeAlg.convolution(simd.FilterType.bilinear),
        use_alpha=False,
        crop_box=simd.CropBox(left, top, side, side),
    )
