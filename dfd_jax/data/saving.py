"""Writes photo files."""

import io
import os
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dfd_jax.data import png
from dfd_jax.runtime.files import replace_file


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
    """Write a photo file atomically.

    PNG is exact. JPEG is written at `quality` (1 … 100) with full colour resolution (4:4:4). It has
    no transparency: with `alpha`, the photo is blended with white. Missing folders are made.
    ValueError for an unknown format or pixels that are not 8-bit RGB.
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
    replace_file(path, content)


def jpeg_file(
    pixels: UInt8[np.ndarray, "h w 3"],
    quality: int,
    alpha: UInt8[np.ndarray, "h w"] | None = None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
) -> bytes:
    """The content of a JPEG file as `write_photo` writes it."""
    image = Image.fromarray(pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    options = {} if exif is None else {"exif": exif}
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=quality, subsampling=0, icc_profile=icc_profile, **options)
    return buffer.getvalue()
