"""Photo files out: written as a whole or not at all."""

import hashlib
import os
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image


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
    image = Image.fromarray(pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    options: dict[str, object] = {"icc_profile": icc_profile}
    if exif is not None:
        options["exif"] = exif
    if format == "jpeg":
        image = _over_white(image)
        options |= {"quality": quality, "subsampling": 0}
    elif format == "png":
        options["compress_level"] = 4  # half the time of Pillow's 6, and hardly larger files
    else:
        raise ValueError(f"found format {format!r}, expected 'png' or 'jpeg'")
    with _replacing(path) as file:
        image.save(file, format, **options)


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


@contextmanager
def _replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A hidden file beside `path` that takes its place once written, and vanishes on failure.

    Its name follows from that of `path`, so what a killed process left is overwritten by the next.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    short = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    temporary = path.with_name(f".{short}.part")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
