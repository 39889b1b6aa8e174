"""Writes PNG files in a tenth of Pillow's time, a tenth larger.

Every row is stored as its difference to the row above (PNG's filter "Up"), compressed by Intel's
ISA-L at its fastest level. Any program reads these files. Protecting small photos takes half the
time that it takes with Pillow's fastest PNG encoder (docs/performance.md).
"""

import struct
import zlib

import numpy as np
from isal import isal_zlib
from jaxtyping import UInt8

_START = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_COLOUR_TYPES = {3: 2, 4: 6}  # channels → PNG's number for RGB and RGBA
_UP = 2
_LEVEL = 1  # of ISA-L's 0 to 3; the higher ones save 1 %


def encode(
    pixels: UInt8[np.ndarray, "h w c"], icc_profile: bytes | None = None, exif: bytes | None = None
) -> bytes:
    """A PNG file of RGB or RGBA pixels, with a colour profile and EXIF if given."""
    height, width, channels = pixels.shape
    header = _HEADER.pack(width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = [_chunk(b"IHDR", header)]
    if icc_profile is not None:
        parts.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc_profile)))
    if exif is not None:
        parts.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    parts.append(_chunk(b"IDAT", isal_zlib.compress(_filtered(pixels), _LEVEL)))
    return b"".join([_START, *parts, _chunk(b"IEND", b"")])


def _filtered(pixels: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h r"]:
    """The differences of rows to those above, each after the number of that filter."""
    height = len(pixels)
    flat = pixels.reshape(height, -1)
    rows = np.empty((height, 1 + flat.shape[1]), np.uint8)
    rows[:, 0] = _UP
    rows[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
    return rows


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = isal_zlib.crc32(data, isal_zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
