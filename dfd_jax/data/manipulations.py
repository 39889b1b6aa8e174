"""Fakes made from real photos, and the everyday distortions that do not make a photo a fake.

`manipulate` changes *part of what is shown* (or breaks the picture as a failing generator would);
`augment` does to a photo what cameras, editors and networks do to every picture. Reals and fakes
get the same `augment`, so that only the manipulation separates the classes; it includes faint
patterns of up to 8 levels, because a protected photo must still count as real.

Self-blended images follow the idea of Shiohara and Yamasaki (CVPR 2022): source and target are two
differently altered copies of one photo, so the detector has to look for the seam and the mismatch,
not for the artefacts of one known generator. No output of a deepfake generator is used.

Photos are square uint8 RGB crops in CelebA's alignment: pupils at 39 % and 61 % of the width and
51 % of the height. Inside, a picture is float32 on 0 … 255 (retouch.py has the tools).
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.fft
import scipy.ndimage
from jaxtyping import Float32
from PIL import Image, ImageFilter

from dfd_jax.data import retouch
from dfd_jax.data.retouch import Picture, Pixels

FAINT_LEVELS = 8.0  # a pattern this weak leaves a real photo real (the protection's bound is 6.4)
MIN_CHANGE = 16.0  # mean absolute difference in levels below which a fake is made anew


# ---------------------------------------------------------------- the two entrances


def manipulate(
    photo: Pixels, rng: np.random.Generator, families: Sequence[str] | None = None
) -> tuple[Pixels, str]:
    """A fake made from `photo`, and the family it belongs to, drawn from `families` (default: all).

    The fake differs from the photo by at least MIN_CHANGE levels on average over its most changed
    twentieth. ValueError if a family is unknown or the photo is not square uint8.
    """
    _check(photo, families or ())
    names = tuple(families or FAMILIES)
    name = names[rng.integers(len(names))]
    fake = photo
    for _ in range(8):
        fake = retouch.to_pixels(FAMILIES[name](photo.astype(np.float32), rng))
        if change(photo, fake) >= MIN_CHANGE:
            return fake, name
    return retouch.to_pixels(broken(photo.astype(np.float32), rng)), "broken"


def augment(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """What may happen to any picture: other light, crop, blur, resize, JPEG, a faint pattern."""
    picture = retouch.recropped(photo.astype(np.float32), rng)
    if rng.random() < 0.7:
        picture = retouch.relit(picture, rng)
    if rng.random() < 0.3:
        picture = retouch.blurred(picture, rng.uniform(0.2, 0.8))
    if rng.random() < 0.2:
        picture = retouch.shrunk(picture, rng.uniform(0.6, 1.0), Image.Resampling.BICUBIC)
    faint, late = rng.random() < 0.6, rng.random() < 0.5
    if faint and not late:
        picture = picture + faint_pattern(len(picture), rng)
    if rng.random() < 0.4:
        picture = retouch.jpeg(picture, int(rng.integers(50, 99)))
    if faint and late:
        picture = picture + faint_pattern(len(picture), rng)
    return retouch.to_pixels(picture)


def faint_pattern(size: int, rng: np.random.Generator) -> Picture:
    """A pattern of any texture, white noise to slow waves, of at most FAINT_LEVELS levels."""
    cells = int(np.exp(rng.uniform(np.log(2), np.log(size))))
    channels = [retouch.waves(size, cells, rng) for _ in range(3 if rng.random() < 0.7 else 1)]
    pattern = np.stack(channels * (3 // len(channels)), axis=-1)
    if rng.random() < 0.3:
        pattern = np.sign(pattern)
    return (pattern * rng.uniform(0.5, FAINT_LEVELS)).astype(np.float32)


def change(photo: Pixels, fake: Pixels) -> float:
    """Mean absolute difference in levels over the most changed twentieth of the pixels."""
    difference = np.abs(photo.astype(np.float32) - fake.astype(np.float32)).mean(-1).ravel()
    most = max(1, difference.size // 20)
    return float(np.partition(difference, -most)[-most:].mean())


# ---------------------------------------------------------------- the families


def self_blended(picture: Picture, rng: np.random.Generator) -> Picture:
    """The photo with its own face pasted back: recoloured, refocused, a little moved."""
    source = retouch.moved(retouch.refocused(retouch.tinted(picture, rng, 25.0), rng), rng)
    target = retouch.tinted(picture, rng, 10.0) if rng.random() < 0.5 else picture
    mask = retouch.region_mask(len(picture), rng, ("face", "face", "inner", "lower", "eyes"))
    return retouch.blended(target, source, mask * float(rng.choice([0.6, 0.8, 1.0, 1.0])))


def recoloured(picture: Picture, rng: np.random.Generator) -> Picture:
    """Hair or skin in another tint and brightness."""
    size = len(picture)
    is_hair = rng.random() < 0.6
    mask = (
        retouch.hair_mask(size, rng)
        if is_hair
        else retouch.region_mask(size, rng, ("face", "inner"))
    )
    grey = picture.mean(-1, keepdims=True)
    tint = rng.uniform(20, 235, 3).astype(np.float32)
    strength = rng.uniform(0.5, 0.9)
    shaded = tint * (0.35 + 0.65 * grey / max(float(grey.mean()), 1.0))
    gain = rng.uniform(0.6, 1.4)
    return retouch.blended(picture, picture * (1 - strength) * gain + shaded * strength, mask)


def warped(picture: Picture, rng: np.random.Generator) -> Picture:
    """Landmarks pulled out of place: a bulge or pinch, or a rubbery shift of the whole face."""
    size = len(picture)
    if rng.random() < 0.4:
        x, y, _, _ = retouch.REGIONS[str(rng.choice(["eyes", "mouth", "nose", "lower"]))]
        return retouch.bulged(picture, (x + rng.uniform(-0.1, 0.1), y), rng)
    cells = int(rng.integers(4, 9))
    amplitude = size * rng.uniform(0.05, 0.1)
    mask = retouch.region_mask(size, rng, ("face", "face", "inner", "lower"))
    shift = [retouch.waves(size, cells, rng) * amplitude * mask for _ in range(2)]
    return retouch.displaced(picture, shift[0], shift[1])


def resampled(picture: Picture, rng: np.random.Generator) -> Picture:
    """The face squeezed through a bottleneck: few pixels, or few cosine waves."""
    if rng.random() < 0.6:
        filters = (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
        squeezed = retouch.shrunk(picture, rng.uniform(0.18, 0.42), filters[rng.integers(3)])
    else:
        kept = int(len(picture) * rng.uniform(0.18, 0.35))
        waves = np.asarray(scipy.fft.dctn(picture, axes=(0, 1), norm="ortho"))
        waves[kept:], waves[:, kept:] = 0, 0
        squeezed = np.asarray(scipy.fft.idctn(waves, axes=(0, 1), norm="ortho"))
    return retouch.blended(
        picture, squeezed, retouch.region_mask(len(picture), rng, ("face", "face", "inner"))
    )


def upsampled(picture: Picture, rng: np.random.Generator) -> Picture:
    """The checkerboard of generators: zeros or copies between the pixels, then a small filter."""
    small = retouch.resized(picture, len(picture) // 2, Image.Resampling.BOX)
    doubled = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)
    if rng.random() < 0.7:
        doubled[1::2] = 0
        doubled[:, 1::2] = 0
        profile = np.array([1, 2, 1]) / 2  # alone this is exact bilinear interpolation
        kernel = np.outer(profile, profile) * rng.uniform(0.6, 1.5, (3, 3))
    else:
        kernel = rng.normal(0, 0.15, (3, 3))
        kernel[1, 1] += 1 - kernel.sum()
    filtered = scipy.ndimage.convolve(
        doubled, kernel[:, :, None].astype(np.float32), mode="nearest"
    )
    filtered = retouch.resized(filtered, len(picture), Image.Resampling.NEAREST)
    detail = rng.uniform(0.0, 0.5) * (picture - retouch.blurred(picture, 1.0))
    everywhere = rng.random() < 0.5
    mask = np.ones_like(picture[..., 0]) if everywhere else retouch.region_mask(len(picture), rng)
    return retouch.blended(picture, filtered + detail, mask)


def smoothed(picture: Picture, rng: np.random.Generator) -> Picture:
    """Skin without pores, or a painted look: the detail of the face wiped out."""
    width = 5 if rng.random() < 0.5 else 7
    kind = rng.integers(3)
    if kind == 0:
        smooth = retouch.rank_filtered(picture, ImageFilter.MedianFilter(width))
    elif kind == 1:
        smooth = retouch.rank_filtered(picture, ImageFilter.MinFilter(3)) * 0.5
        smooth = smooth + 0.5 * retouch.rank_filtered(picture, ImageFilter.ModeFilter(width))
    else:
        smooth = retouch.blurred(picture, len(picture) * rng.uniform(0.025, 0.05))
    return retouch.blended(
        picture, smooth, retouch.region_mask(len(picture), rng, ("face", "face", "inner", "lower"))
    )


def textured(picture: Picture, rng: np.random.Generator) -> Picture:
    """Local noise, gratings or ringing around edges, well above what a faint pattern may have."""
    size = len(picture)
    kind = rng.integers(3)
    if kind == 0:
        pattern = rng.normal(0, rng.uniform(14, 40), picture.shape)
    elif kind == 1:
        pattern = retouch.grating(size, rng) * rng.uniform(18, 50, 3)
    else:
        pattern = (picture - retouch.blurred(picture, rng.uniform(0.8, 2.0))) * rng.uniform(
            2.0, 4.0
        )
    everywhere = rng.random() < 0.3
    mask = np.ones((size, size), np.float32) if everywhere else retouch.region_mask(size, rng)
    return picture + mask[..., None] * pattern.astype(np.float32)


def filtered(picture: Picture, rng: np.random.Generator) -> Picture:
    """The photo plus the residual of a random convolutional network, as generators add one."""
    features = (picture - 127.5) / 64
    for channels in (6, 6, 3):
        features = _random_layer(features, channels, rng)
        features = np.tanh(features) if channels == 3 else np.maximum(features, 0.1 * features)
    keep = rng.uniform(0.4, 1.0)
    mask = (
        retouch.region_mask(len(picture), rng)
        if rng.random() < 0.4
        else np.ones_like(picture[..., 0])
    )
    changed = 127.5 + keep * (picture - 127.5) + features * rng.uniform(18, 90)
    return retouch.blended(picture, changed, mask)


def broken(picture: Picture, rng: np.random.Generator) -> Picture:
    """The picture in ruins: one to three of blotches, stripes, bands, overflow, false colours."""
    ruins = (_blotched, _striped, _posterised, _overflown, _miscoloured)
    for index in rng.choice(len(ruins), size=rng.integers(1, 4), replace=False):
        picture = ruins[index](picture, rng)
    return picture


FAMILIES: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "self_blended": self_blended,
    "recoloured": recoloured,
    "warped": warped,
    "resampled": resampled,
    "upsampled": upsampled,
    "smoothed": smoothed,
    "textured": textured,
    "filtered": filtered,
    "broken": broken,
}


# ---------------------------------------------------------------- ruins


def _blotched(picture: Picture, rng: np.random.Generator) -> Picture:
    size = len(picture)
    colour = rng.choice([0.0, 255.0], 3) + rng.normal(0, 30, 3)
    mask = np.clip(
        retouch.waves(size, int(rng.integers(3, 12)), rng) * 6 - rng.uniform(-1, 3), 0, 1
    )
    return retouch.blended(picture, colour.astype(np.float32), mask * rng.uniform(0.4, 1.0))


def _striped(picture: Picture, rng: np.random.Generator) -> Picture:
    return picture + retouch.grating(len(picture), rng) * rng.uniform(-90, 90, 3).astype(np.float32)


def _posterised(picture: Picture, rng: np.random.Generator) -> Picture:
    step = rng.uniform(48, 110)
    return (np.round(picture / step) * step).astype(np.float32)


def _overflown(picture: Picture, rng: np.random.Generator) -> Picture:
    gain = rng.uniform(1.8, 4.0, 3) * rng.choice([1, 1, 1, -1], 3)
    return (127.5 + 127.5 * np.tanh((picture - picture.mean()) / 127.5 * gain)).astype(np.float32)


def _miscoloured(picture: Picture, rng: np.random.Generator) -> Picture:
    mixing = np.eye(3) + rng.normal(0, 0.5, (3, 3))
    centred = picture - 127.5
    return (127.5 + centred @ mixing.astype(np.float32)).astype(np.float32)


def _check(photo: Pixels, families: Sequence[str]) -> None:
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape != (len(photo), len(photo), 3):
        raise ValueError(
            f"photo: found {photo.dtype} {photo.shape}, expected uint8 [s, s, 3]; crop it first"
        )
    unknown = sorted(set(families) - set(FAMILIES))
    if unknown:
        raise ValueError(f"unknown families {unknown}; known: {', '.join(FAMILIES)}")


def _random_layer(
    features: Float32[np.ndarray, "s s c"], channels: int, rng: np.random.Generator
) -> Float32[np.ndarray, "s s d"]:
    """A 3x3 convolution with random weights, then each channel at mean 0 and deviation 1."""
    s = len(features)
    kernel = rng.normal(size=(3, 3, features.shape[-1], channels)).astype(np.float32)
    padded = np.pad(features, ((1, 1), (1, 1), (0, 0)), mode="reflect")
    shifts = [(i, j) for i in range(3) for j in range(3)]
    total = np.sum([padded[i : i + s, j : j + s] @ kernel[i, j] for i, j in shifts], axis=0)
    return (total - total.mean((0, 1))) / (total.std((0, 1)) + np.float32(1e-3))
