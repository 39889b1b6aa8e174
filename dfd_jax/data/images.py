"""Reads photo files, of any kind: everything else sees upright 8-bit RGB or an `UnreadableImage`.

Grey, palette, CMYK and 16-bit files are converted, and EXIF orientations applied. Plain JPEG files
are decoded by jpeg.py, all others by Pillow; saving.py writes files.
"""

import dataclasses
import io
import os
import pathlib
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from dfd_jax.data import jpeg, squares

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})

_UPRIGHT = {  # EXIF orientation → what makes the photo upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FROM_PILLOW = re.compile(r"PIL\.")
_FILTER_LOCK = threading.Lock()


class UnreadableImage(ValueError):
    """A file that is not a photo, or a broken one."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(os.fspath(path), reason)  # both, so that it survives pickling
        self.path = os.fspath(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclasses.dataclass(frozen=True, eq=False)
class Photo:
    """A photo with its file's other content. Pixels and alpha are upright."""

    pixels: UInt8[np.ndarray, "h w 3"]
    alpha: UInt8[np.ndarray, "h w"] | None  # None: the file has no transparency
    icc_profile: bytes | None  # only if it describes RGB: the pixels are RGB now
    exif: bytes | None  # orientation removed, as the pixels are upright now
    format: str  # Pillow's name of the file's format, for example "JPEG"


class Box(NamedTuple):
    """A square in a photo, in pixels."""

    left: int
    top: int
    side: int


def read_rgb(
    path: str | os.PathLike[str], content: bytes | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """The upright 8-bit RGB pixels of a photo file; transparency is dropped, not blended.

    16-bit levels keep their most significant 8 bits; an animation gives its first frame. With the
    file's `content` nothing is read, and `path` only names it.
    UnreadableImage if the file is missing, broken, no image, or too large to be a photo.
    """
    content = _bytes(path) if content is None else content
    plain = jpeg.plain_size(content)
    pixels = jpeg.decode(content, plain) if plain else None
    if pixels is not None:
        return pixels
    with _opened(path, content) as image:
        image.load()
        return np.array(_upright(_rgb(image, path), _orientation(_exif(image))))


def read_square(
    path: str | os.PathLike[str],
    size: int,
    crop: int | None = None,
    content: bytes | None = None,
    *,
    reduced: bool = False,
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The centred square of a photo file, as `input_crop` resizes it.

    With `reduced` a JPEG whose square has at least twice the size asked for is decoded at a half, a
    quarter or an eighth of its resolution, which is faster; pixels then differ slightly from those
    of the whole photo. UnreadableImage as in `read_rgb`.
    """
    content = _bytes(path) if content is None else content
    plain = jpeg.plain_size(content)
    if plain:
        box = centre_box(*plain, crop)
        scale = _scale(box.side, size) if reduced else 1
        pixels = jpeg.decode(content, plain, scale)
        if pixels is not None:
            return _square(pixels, box, scale, size)
    with _opened(path, content) as image:
        box = centre_box(image.height, image.width, crop)
        scale = _draft(image, size, box) if reduced else 1
        image.load()
        orientation = _orientation(_exif(image)) if scale == 1 else 1
        pixels = np.array(_upright(_rgb(image, path), orientation))
    if scale == 1:  # upright now
        height, width, _ = pixels.shape
        box = centre_box(height, width, crop)
    return _square(pixels, box, scale, size)


def read_photo(path: str | os.PathLike[str], content: bytes | None = None) -> Photo:
    """Like `read_rgb`, with all that a faithful copy of the file needs."""
    content = _bytes(path) if content is None else content
    plain = jpeg.plain_size(content) if jpeg.is_bare(content) else None
    pixels = jpeg.decode(content, plain) if plain else None
    if pixels is not None:
        return Photo(pixels, alpha=None, icc_profile=None, exif=None, format="JPEG")
    with _opened(path, content) as image:
        image.load()
        exif, profile = _exif(image), image.info.get("icc_profile")
        orientation, alpha = _orientation(exif), _alpha(image)
        return Photo(
            pixels=np.array(_upright(_rgb(image, path), orientation)),
            alpha=None if alpha is None else np.array(_upright(alpha, orientation)),
            icc_profile=profile if profile and profile[16:20] == b"RGB " else None,
            exif=_exif_bytes(exif),
            format=image.format or "",
        )


def list_images(
    root: str | os.PathLike[str], suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> list[str]:
    """Relative paths (with `/`) of the photos in a folder and below, sorted.

    A photo is a file with one of the `suffixes` in either case; hidden files and folders are left
    out. ValueError if `root` is not a folder.
    """
    photos = []
    for folder, files in walk_visible(root):
        photos += [folder / name for name in files if has_suffix(name, suffixes)]
    return sorted(path.relative_to(root).as_posix() for path in photos)


def walk_visible(root: str | os.PathLike[str]) -> Iterator[tuple[pathlib.Path, list[str]]]:
    """A folder and those below it, but for hidden ones, each with its files' names.

    ValueError if `root` is not a folder.
    """
    if not os.path.isdir(root):
        raise ValueError(f"{os.fspath(root)}: not a folder")
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield pathlib.Path(folder), files


def has_suffix(name: str, suffixes: frozenset[str]) -> bool:
    """Whether a file's name has one of the suffixes, in either case, and is not hidden."""
    return not name.startswith(".") and pathlib.PurePath(name).suffix.lower() in suffixes


def centre_box(height: int, width: int, crop: int | None = None) -> Box:
    """The centred square of side `crop`, or the largest one if that does not fit or is None.

    `crop=178` is CelebA's usual preprocessing. Halves are rounded to even, as torchvision's
    CenterCrop does.
    """
    side = min(height, width) if crop is None else min(height, width, crop)
    return Box(left=round((width - side) / 2), top=round((height - side) / 2), side=side)


def input_crop(
    pixels: UInt8[np.ndarray, "h w 3"], box: Box, size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The square `box` as a network's input: the one way, in training, evaluation and protect.

    Pixels outside of the box have no influence. ValueError if it is not inside the photo.
    """
    return squares.input_square(cropped(pixels, box), 0, 0, box.side, size)


def crop_resize(
    pixels: UInt8[np.ndarray, "h w 3"], box: Box, size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The square `box` at `size` x `size` pixels, by Pillow's antialiased bilinear resize.

    This is what an attacker is assumed to do with a photo. What P itself gets is made by
    `input_crop`. ValueError if the box is not inside the photo.
    """
    square = Image.fromarray(cropped(pixels, box))
    return np.array(square.resize((size, size), Image.Resampling.BILINEAR))


def cropped(
    pixels: UInt8[np.ndarray, "h w 3"], box: Box
) -> UInt8[np.ndarray, "{box.side} {box.side} 3"]:
    """A view of the square `box`. ValueError if it is not inside the photo."""
    height, width, _ = pixels.shape
    left, top, side = box
    if min(left, top) < 0 or side < 1 or left + side > width or top + side > height:
        raise ValueError(f"{box} does not lie inside a photo of {width} x {height} pixels")
    return pixels[top : top + side, left : left + side]


def _bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's content. UnreadableImage if it cannot be read."""
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        reason = "a folder, not a file" if os.path.isdir(path) else error.strerror or str(error)
        is_missing = isinstance(error, FileNotFoundError)
        raise UnreadableImage(path, "no such file" if is_missing else reason) from error


@contextmanager
def _opened(path: str | os.PathLike[str], content: bytes) -> Iterator[Image.Image]:
    """An open image; whatever goes wrong with it in the block becomes an UnreadableImage."""
    _silence_pillow()
    try:
        with Image.open(io.BytesIO(content)) as image:
            yield image
    except UnreadableImage:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImage(path, "not an image" if content else "an empty file") from error
    except Exception as error:  # broken files make Pillow's decoders raise nearly anything
        reason = f"cannot be decoded: {error or type(error).__name__}"
        raise UnreadableImage(path, reason) from error


def _scale(side: int, size: int) -> int:
    """How much smaller a JPEG may be decoded if a square of `side` must stay `size` or larger."""
    return max((factor for factor in (2, 4, 8) if factor * size <= side), default=1)


def _draft(image: Image.Image, size: int, box: Box) -> int:
    """Make Pillow decode a JPEG smaller if `box` stays `size` or larger. Returns the factor."""
    if image.format != "JPEG" or _orientation(_exif(image)) in _UPRIGHT:
        return 1
    scale = _scale(box.side, size)
    reduced = (image.width // scale, image.height // scale)
    return scale if scale > 1 and image.draft(None, reduced) is not None else 1


def _square(
    pixels: UInt8[np.ndarray, "h w 3"], box: Box, scale: int, size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The square `box` of a photo that was decoded at 1 / `scale` of its resolution."""
    if scale == 1:
        return input_crop(pixels, box, size)
    left, top, side = (value / scale for value in box)
    return squares.input_square(pixels, left, top, side, size)


def _silence_pillow() -> None:
    """Keep Pillow from warning about photos: each is either read or an UnreadableImage.

    The filter stays, because `warnings.catch_warnings` is not safe while other threads decode.
    """
    with _FILTER_LOCK:
        if not any(f[0] == "ignore" and f[3] == _FROM_PILLOW for f in warnings.filters[:1]):
            warnings.filterwarnings("ignore", module=_FROM_PILLOW.pattern)


def _rgb(image: Image.Image, path: str | os.PathLike[str]) -> Image.Image:
    if image.mode == "RGB":
        return image  # convert would copy it
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bit(np.asarray(image), path).convert("RGB")
    if image.mode in ("P", "RGBa"):  # a palette may hold RGBA, and a half transparent entry
        return image.convert("RGBA").convert("RGB")
    if image.mode == "La":
        return image.convert("LA").convert("RGB")
    return image.convert("RGB")


def _eight_bit(levels: np.ndarray, path: str | os.PathLike[str]) -> Image.Image:
    """Grey levels as 8 bits. Full scale is the smallest of 1 (floats), 255, 65535 that holds them.

    Files do not say it: a 16-bit image may come as 32-bit integers, a float one in any scale.
    """
    lowest, highest = levels.min(), levels.max()
    if not (lowest >= 0 and highest <= 65535):  # NaN lands here too
        levels_seen = f"{lowest:g} … {highest:g}"
        raise UnreadableImage(path, f"grey levels {levels_seen} do not fit into 16 bits")
    if levels.dtype.kind == "f" and highest <= 1:
        levels = np.round(levels * 255)
    elif highest > 255 or levels.dtype.itemsize == 2:
        levels = levels.astype(np.uint16) >> 8
    return Image.fromarray(levels.astype(np.uint8))


def _alpha(image: Image.Image) -> Image.Image | None:
    if image.mode == "La":
        return image.getchannel("a")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA").getchannel("A")
    return None


def _exif(image: Image.Image) -> Image.Exif | None:
    try:
        return image.getexif()
    except Exception:  # broken metadata raises nearly anything, and is no reason to lose a photo
        return None


def _orientation(exif: Image.Exif | None) -> int:
    return exif.get(ExifTags.Base.Orientation, 1) if exif else 1


def _exif_bytes(exif: Image.Exif | None) -> bytes | None:
    if not exif:
        return None
    exif.pop(ExifTags.Base.Orientation, None)
    try:
        return exif.tobytes() if len(exif) else None
    except Exception:  # as in _exif
        return None


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)
