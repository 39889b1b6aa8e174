"""Decodes plain JPEG files by libjpeg-turbo itself: the same pixels as Pillow's, in less time.

Batches of small photos take half the time (docs/performance.md). A file is plain if it holds
nothing that changes how its pixels are shown. All other files, and all that look broken, are left
to Pillow.
"""

import struct
from typing import NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image

_START = b"\xff\xd8"
_SEGMENT = struct.Struct(">HH")  # marker and length of a header segment
_SEGMENTS = frozenset((*range(0xFFC0, 0xFFD0), *range(0xFFDB, 0xFFFF)))  # markers with a length
_SCAN = 0xFFDA  # the marker at which the pixels begin
_FRAMES = frozenset((0xFFC0, 0xFFC1, 0xFFC2))  # markers of the segment with the size
_FRAME = struct.Struct(">BHHB")  # bits, height, width, channels
_JFIF, _JFIF_AT = b"JFIF\0", 6  # in a JFIF file one channel is grey, three are YCbCr
_MAY_TURN = (b"Exif\0", b"http://ns.adobe.com/xap")  # where Pillow looks for an orientation
_MOST_PER_BYTE = 256  # pixels: only a broken header claims more, and memory would be wasted
_SMALLEST = 8  # pixels: below, several scales give the same size and the decoder takes the least


class Size(NamedTuple):
    """Of a photo in pixels."""

    height: int
    width: int


def plain_size(content: bytes) -> Size | None:
    """The size of a plain JPEG file. None for all others."""
    header, frame = _header(content)
    if header is None or _MAY_TURN[0] in header or _MAY_TURN[1] in header:
        return None
    size = _size(content, frame)
    most = min(Image.MAX_IMAGE_PIXELS or 0, _MOST_PER_BYTE * len(content))
    return size if size is not None and 0 < size.height * size.width <= most else None


def is_bare(content: bytes) -> bool:
    """Whether a faithful copy of the file needs nothing but the pixels."""
    return b"ICC_PROFILE" not in (_header(content)[0] or content)


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


def _header(content: bytes) -> tuple[bytes | None, int]:
    """The header of a JPEG file, and the offset of its frame segment (0: none of a usual kind).

    None if it is no JPEG file, or an unusual one.
    """
    place, frame = len(_START), 0
    if not content.startswith(_START):
        return None, frame
    try:
        while (segment := _SEGMENT.unpack_from(content, place))[0] in _SEGMENTS:
            if segment[0] in _FRAMES:
                frame = place + _SEGMENT.size
            place += 2 + segment[1]
    except struct.error:  # it ends before that
        return None, frame
    return (content[:place] if segment[0] == _SCAN else None), frame


def _size(content: bytes, frame: int) -> Size | None:
    """The size of a grey or YCbCr photo. Read here because the decoder takes long to tell it."""
    if frame and content.startswith(_JFIF, _JFIF_AT):
        bits, height, width, channels = _FRAME.unpack_from(content, frame)
        return Size(height, width) if bits == 8 and channels in (1, 3) else None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    return Size(int(height), int(width)) if space in ("YCbCr", "Gray") else None
