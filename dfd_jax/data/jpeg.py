"""Plain JPEG files by libjpeg-turbo itself: half of Pillow's time, and the same pixels bit for bit.

Plain is what has nothing to say beside its pixels that would change them. All other files, and all
that are not quite in order, are left to Pillow, which knows better or says what is wrong.
"""

import struct
from typing import NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image

_START = b"\xff\xd8"
_PART = struct.Struct(">HH")  # a marker, and how many bytes follow it
_PARTS = frozenset((*range(0xFFC0, 0xFFD0), *range(0xFFDB, 0xFFFF)))  # markers of which that holds
_SCAN = 0xFFDA  # what says something about the photo comes before the first one
_MAY_TURN = (b"Exif\0", b"http://ns.adobe.com/xap")  # where Pillow looks for an orientation
_MOST_PER_BYTE = 256  # pixels: a broken header says more, and then far too much memory is filled
_ACCURATE = 96  # the quality below which this encoder takes a coarser transform than Pillow's
_SMALLEST = 8  # pixels: below, several scales have the same size and the decoder takes the least


class Size(NamedTuple):
    """Of a photo, in pixels."""

    height: int
    width: int


def plain_size(content: bytes) -> Size | None:
    """The size of a plain JPEG file. None for all others."""
    header = _header(content)
    if header is None or _MAY_TURN[0] in header or _MAY_TURN[1] in header:
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
    return b"ICC_PROFILE" not in (_header(content) or content)


def encode(pixels: UInt8[np.ndarray, "h w 3"], quality: int) -> bytes | None:
    """A JPEG file with full colour resolution (4:4:4), the same that Pillow writes, byte for byte.

    None for qualities at which it would be another one.
    """
    if quality < _ACCURATE:
        return None
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "444")


def decode(content: bytes, size: Size, scale: int = 1) -> UInt8[np.ndarray, "h w 3"] | None:
    """The pixels of a plain JPEG file of this size; with a `scale` of 2, 4 or 8 at a half … of it.

    None if anything about the file is amiss, or it is too small for the scale.
    """
    height, width = -(-size.height // scale), -(-size.width // scale)
    if scale > 1 and min(height, width) < _SMALLEST:
        return None
    try:
        pixels = simplejpeg.decode_jpeg(content, min_height=height, min_width=width)
    except ValueError:
        return None
    return pixels if pixels.shape == (height, width, 3) else None


def _header(content: bytes) -> bytes | None:
    """What a JPEG file says before its pixels. None if it is no JPEG file or a strange one."""
    if not content.startswith(_START):
        return None
    place = len(_START)
    try:
        while (part := _PART.unpack_from(content, place))[0] in _PARTS:
            place += 2 + part[1]
    except struct.error:  # it ends before that
        return None
    return content[:place] if part[0] == _SCAN else None
