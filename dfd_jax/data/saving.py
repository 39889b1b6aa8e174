"""Photo files out: written as a whole or not at all."""

import hashlib
import io
import os
import pathlib
from typing import BinaryIO, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dfd_jax.data import jpeg, png


def write_photo(
    path: str | os.PathLike[str],
    pixels: UInt8[np.ndarray, "h w 3"],
    *,
    format: Literal["png", "jpeg"] = "png",
    quality: int = 98,
    alpha: UInt8[np.ndarray, "h w"] | None = None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
) -> None:
    """Write a photo atomically: the file is the old one or the whole new one, never a part.

    PNG is exact. JPEG is written at `quality` (1 … 100) with full colour resolution (4:4:4); it has
    no transparency, so with `alpha` the photo is laid over white, which leaves opaque pixels alone.
    Missing folders are made. ValueError for an unknown format or pixels that are not 8-bit RGB.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"found {pixels.dtype} {pixels.shape}, expected uint8 (h, w, 3) pixels")
    if format == "jpeg":
        content = jpeg_file(pixels, quality, alpha, icc_profile, exif)
    elif format == "png":
        whole = pixels if alpha is None else np.dstack([pixels, alpha])
        content = png.encode(whole, icc_profile, exif)
    else:
        raise ValueError(f"found format {format!r}, expected 'png' or 'jpeg'")
    _replace(os.fspath(path), content)


def jpeg_file(
    pixels: UInt8[np.ndarray, "h w 3"],
    quality: int,
    alpha: UInt8[np.ndarray, "h w"] | None = None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
) -> bytes:
    """The content of a JPEG file as `write_photo` writes it."""
    is_plain = alpha is None and icc_profile is None and exif is None
    content = jpeg.encode(pixels, quality) if is_plain else None
    if content is not None:
        return content
    image = Image.fromarray(pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    options = {} if exif is None else {"exif": exif}
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=quality, subsampling=0, icc_profile=icc_profile, **options)
    return buffer.getvalue()


def _replace(path: str, content: bytes) -> None:
    """Write a hidden file beside `path` that takes its place once whole, and vanishes on failure.

    Its name follows from that of `path`, so what a killed process left is overwritten by the next.
    """
    folder, name = os.path.split(path)
    short = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    temporary = os.path.join(folder, f".{short}.part")
    try:
        with _created(temporary) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def _created(path: str) -> BinaryIO:
    """A new file; its folder is made if there is none, which to ask before would take time."""
    try:
        return open(path, "wb")
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return open(path, "wb")
