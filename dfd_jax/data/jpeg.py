"""Decodes plain JPEG files by libjpeg-turbo itself: the same pixels as Pillow's, in less time.

Batches of small photos take half the time (docs/performance.md). A file is plain if it holds
nothing that changes how its pixels are shown. All other files, and all that look broken, are left
to Pillow.
"""

from typing import NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image

_START = b"\xff\xd8"
_MAY_TURN = (b"Exif\0", b"http://ns.adobe.com/xap")  # where Pillow looks for an orientation
_MOST_PER_BYTE = 256  # pixels: only a broken header claims more, and memory would be wasted
_SMALLEST = 8  # pixels: below, several scales give the same size and the decoder takes the least


class Size(NamedTuple):
    """Of a photo in pixels."""

    height: int
    width: int


def plain_size(content: bytes) -> Size | None:
    """The size of a plain JPEG file, grey or YCbCr. None for all others."""
    if not content.startswith(_START) or any(mark in content for mark in _MAY_TURN):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    size = Size(int(height), int(width))
    most = min(Image.MAX_IMAGE_PIXELS or 0, _MOST_PER_BYTE * len(content))
    is_plain = space in ("YCbCr", "Gray") and 0 < size.height * size.width <= most
    return size if is_plain else None


def is_bare(content: bytes) -> bool:
    """Whether a faithful copy of the file needs nothing but the pixels."""
    return b"ICC_PROFILE" not in content


def decode(content: bytes, size: Size, scale: int = 1) -> UInt8[np.ndarray, "h w 3"] | None:
    """The pixels of a plain JPEG file of this size, at 1 / `scale` (1, 2, 4, 8) of its resolution.

    None if the file is broken, or too small for the scale.
    """
    height, width = -(-size.height // scale), -(-size.width // scale)
    if scale > 1 and min(height, width) < _SMALLEST:
        return None
    try:
        pixels = simplejpeg.decode_jpeg(content, min_height=height, min_width=width)
    except ValueError:
        return None
    return pixels if pixels.shape == (height, width, 3) else None
