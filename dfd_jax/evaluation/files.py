"""Photos through files: changed, written, read back, and cropped as a generator's owner does it."""

import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from dfd_jax.data import images, saving
from dfd_jax.data.face_photos import Crops, FacePhotos, Pixels
from dfd_jax.data.images import Box
from dfd_jax.evaluation.results import NAN, Cost
from dfd_jax.method import budget, channel, metrics, perceptual
from dfd_jax.method.budget import Budget
from dfd_jax.method.protector import Protector

Change = Callable[[Pixels, Box, int], Pixels]  # photo, its box and index → the changed photo
SATURATED = 20.0  # a raw output at which every kind of hard bound is reached


class PhotoCost(NamedTuple):
    """How one photo changed, within its box; L∞ over the whole photo."""

    linf_255: int
    rms_255: float
    psnr: float  # dB, infinite if nothing changed
    ssim: float


class Received(NamedTuple):
    """The crops that generators get, and what the change cost each photo."""

    crops: Crops
    costs: list[PhotoCost]
    lpips: list[float]  # of the crops at the largest size, see perceptual.py


def noise_outputs(shape: tuple[int, ...], seed: int) -> Float[np.ndarray, "n s s 3"]:
    """Random signs that fill the whole budget, instead of P's raw outputs."""
    signs = np.random.default_rng(seed).integers(0, 2, shape) * 2.0 - 1.0
    return (signs * SATURATED).astype(np.float32)


def protection(protector: Protector, outputs: Float[np.ndarray, "n s s 3"]) -> Change:
    """The change that a perturber's raw outputs make, one output per photo."""
    return lambda photo, box, i: protector.apply(photo, box, outputs[i])


def perturber_inputs(photos: FacePhotos, protector: Protector) -> UInt8[np.ndarray, "n s s 3"]:
    """What P gets of every photo: the same crops that `protect` makes."""
    pairs = zip(photos.photos, photos.boxes, strict=True)
    return np.stack([protector.crop(photo, box) for photo, box in pairs])


def addition(deltas: Float[np.ndarray, "n r r 3"], bound: Budget) -> Change:
    """The change by perturbations on [-1, 1]: resized to the box, whole levels in the bound."""

    def change(photo: Pixels, box: Box, i: int) -> Pixels:
        changed = photo.copy()
        square = images.cropped(changed, box)
        for rows, delta in channel.resize_strips(deltas[i], box.side):
            square[rows] = budget.apply_to_pixels(square[rows], delta, bound)
        return changed

    return change


def through_files(photos: FacePhotos, change: Change | None, sizes: Sequence[int]) -> Received:
    """Change each photo (None: not at all), write it, read it, crop it to squares of `sizes`."""
    received, costs = [], []
    with tempfile.TemporaryDirectory(prefix="dfd-") as folder:
        path = pathlib.Path(folder, "photo.png")
        for i, (photo, box) in enumerate(zip(photos.photos, photos.boxes, strict=True)):
            changed = photo if change is None else change(photo, box, i)
            saving.write_photo(path, changed, format="png")
            read = images.read_rgb(path)
            received.append([images.crop_resize(read, box, size) for size in sizes])
            costs.append(_cost_of_photo(photo, read, box))
    crops = {
        size: np.stack(squares)
        for size, squares in zip(sizes, zip(*received, strict=True), strict=True)
    }
    largest = max(sizes)
    lpips = perceptual.distance(photos.crops(largest), crops[largest]).tolist()
    return Received(crops, costs, lpips)


def _cost_of_photo(photo: Pixels, read: Pixels, box: Box) -> PhotoCost:
    before, after = images.cropped(photo, box), images.cropped(read, box)
    return PhotoCost(
        budget.linf_255(photo, read),
        float(np.sqrt(np.square(after.astype(float) - before).mean())),
        metrics.psnr(before, after),
        metrics.ssim(before, after),
    )


def cost(received: Sequence[Received]) -> Cost:
    """The largest and the mean change over all photos; PSNR over the photos that changed."""
    costs = [cost for each in received for cost in each.costs]
    psnrs = [each.psnr for each in costs if np.isfinite(each.psnr)]
    return Cost(
        linf_255=max(each.linf_255 for each in costs),
        rms_255=float(np.mean([each.rms_255 for each in costs])),
        psnr=float(np.mean(psnrs)) if psnrs else NAN,
        psnr_min=float(np.min(psnrs)) if psnrs else NAN,
        ssim=float(np.mean([each.ssim for each in costs])),
        lpips=float(np.mean([value for each in received for value in each.lpips])),
    )
