"""Plain JPEG files by libjpeg-turbo itself: half of Pillow's time, and the same pixels bit for bit.

Plain is what has nothing to say beside its pixels that would change them. All other files, and all
that are not quite in order, are left to Pillow, which knows better or says what is wrong.
"""

from typing import NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image

_START = b"\xff\xd8\xff"
_MAY_TURN = (b"Exif\0", b"http://ns.adobe.com/xap")  # where Pillow looks for an orientation
_MOST_PER_BYTE = 256  # pixels: a broken header says more, and then far too much memory is filled
_SMALLEST = 8  # pixels: below, several scales have the same size and the decoder takes the least


class Size(NamedTuple):
    """Of a photo, in pixels."""

    height: int
    width: int


def plain_size(content: bytes) -> Size | None:
    """The size of a plain JPEG file. None for all others."""
    if not content.startswith(_START) or any(marker in content for marker in _MAY_TURN):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    size = Size(int(height), int(width))
    most = min(Image.MAX_IMAGE_PIXELS or 0, _MOST_PER_BYTE * len(content))
    is_photo = size.height * size.width <= most
    return size if is_photo and space in ("YCbCr", "Gray") else None


def is_bare(content: bytes) -> bool:
    """Whether there is nothing beside the pixels that a faithful copy of the file would keep."""
    return b"ICC_PROFILE" not in content


def decode(content: bytes, size: Size, scale: int = 1) -> UInt8[np.ndarray, "h w 3"] | None:
    """The pixels of a plain JPEG file of this size; with a `scale` of 2, 4 or 8 at a half … of it.

    None if anything about the file is amiss, or it is too small for the scale.
    """
    height, width = (-(-side // scale) for side in size)
    if scale > 1 and min(height, width) < _SMALLEST:
        return None
    try:
        pixels = simplejpeg.decode_jpeg(content, min_height=height, min_width=width)
    except ValueError:
        return None
    return pixels if pixels.shape == (height, width, 3) else None
