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
_FRAMES = frozenset((0xFFC0, 0xFFC1, 0xFFC2))  # markers of what says the size
_FRAME = struct.Struct(">BHHB")  # bits, height, width, channels
_JFIF, _JFIF_AT = b"JFIF\0", 6  # of such a file one channel is grey, and three are YCbCr
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
    header, frame = _header(content)
    if header is None or _MAY_TURN[0] in header or _MAY_TURN[1] in header:
        return None
    size = _size(content, frame)
    most = min(Image.MAX_IMAGE_PIXELS or 0, _MOST_PER_BYTE * len(content))
    return size if size is not None and 0 < size.height * size.width <= most else None


def is_bare(content: bytes) -> bool:
    """Whether there is nothing beside the pixels that a faithful copy of the file would keep."""
    return b"ICC_PROFILE" not in (_header(content)[0] or content)


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


def _header(content: bytes) -> tuple[bytes | None, int]:
    """What a JPEG file says before its pixels, and where it says their size (0: in no usual way).

    None if it is no JPEG file or a strange one.
    """
    place, frame = len(_START), 0
    if not content.startswith(_START):
        return None, frame
    try:
        while (part := _PART.unpack_from(content, place))[0] in _PARTS:
            if part[0] in _FRAMES:
                frame = place + _PART.size
            place += 2 + part[1]
    except struct.error:  # it ends before that
        return None, frame
    return (content[:place] if part[0] == _SCAN else None), frame


def _size(content: bytes, frame: int) -> Size | None:
    """The size of a grey or YCbCr photo. Asking the decoder takes twice as long as all the rest."""
    if frame and content.startswith(_JFIF, _JFIF_AT):
        bits, height, width, channels = _FRAME.unpack_from(content, frame)
        return Size(height, width) if bits == 8 and channels in (1, 3) else None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    return Size(int(height), int(width)) if space in ("YCbCr", "Gray") else None
