"""What an evaluation measures, and how: every number of the paper's tables for one perturber.

Photos are protected at their own resolution, written to files, read back, cropped and resized as
the attacker does, and only then shown to a generator and scored.
"""

import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from dfd_jax import attacker, budget, metrics
from dfd_jax.attacker import Fakes, Networks
from dfd_jax.data import images
from dfd_jax.data.faces import Face
from dfd_jax.data.images import Box
from dfd_jax.protector import Protector

Pixels = UInt8[np.ndarray, "h w 3"]
SATURATED = 20.0  # an output at which every kind of hard bound is reached


class Arrived(NamedTuple):
    """Photos as the attacker gets them, and what the change to each file's region was."""

    photos: UInt8[np.ndarray, "n s s 3"]
    linf_255: list[int]
    rms_255: list[float]
    psnr: list[float]
    ssim: list[float]


class Subject(NamedTuple):
    """A set of test photos with the region of each that faces the attacker."""

    photos: list[Pixels]
    boxes: list[Box]
    attributes: Float[np.ndarray, "n a"]

    @classmethod
    def from_faces(cls, faces: Sequence[Face], crop: int | None) -> "Subject":
        """Whole photos, with the centred square as the region."""
        boxes = [
            images.centre_box(face.pixels.shape[0], face.pixels.shape[1], crop) for face in faces
        ]
        return cls([f.pixels for f in faces], boxes, np.stack([f.attributes for f in faces]))

    def with_region(self, side: int) -> "Subject":
        """The same faces as photos that are nothing but the region, `side` pixels wide."""
        pairs = zip(self.photos, self.boxes, strict=True)
        squares = [images.crop_resize(photo, box, side) for photo, box in pairs]
        return Subject(squares, [Box(0, 0, side)] * len(squares), self.attributes)

    def crops(self, size: int) -> UInt8[np.ndarray, "n s s 3"]:
        """Every region at a network's size."""
        pairs = zip(self.photos, self.boxes, strict=True)
        return np.stack([images.crop_resize(photo, box, size) for photo, box in pairs])


def noise_outputs(shape: tuple[int, ...], seed: int) -> Float[np.ndarray, "n s s 3"]:
    """Random signs that fill the whole budget, in the place of P's output: what P must beat."""
    signs = np.random.default_rng(seed).integers(0, 2, shape) * 2.0 - 1.0
    return (signs * SATURATED).astype(np.float32)


def through_files(
    subject: Subject, protector: Protector, outputs: Float[np.ndarray, "n s s 3"] | None, size: int
) -> Arrived:
    """Protect each photo (None: leave it), write it, read it back, and crop it as the attacker
    does.
    """
    arrived, linf, rms, psnrs, ssims = [], [], [], [], []
    with tempfile.TemporaryDirectory(prefix="dfd-") as folder:
        path = pathlib.Path(folder, "photo.png")
        for i, (photo, box) in enumerate(zip(subject.photos, subject.boxes, strict=True)):
            changed = photo if outputs is None else protector.apply(photo, box, outputs[i])
            images.write_photo(path, changed, format="png")
            read = images.read_rgb(path)
            arrived.append(images.crop_resize(read, box, size))
            before, after = _region(photo, box), _region(read, box)
            linf.append(budget.linf_255(photo, read))
            rms.append(float(np.sqrt(np.square(after.astype(float) - before).mean())))
            psnrs.append(metrics.psnr(before, after))
            ssims.append(metrics.ssim(before, after))
    return Arrived(np.stack(arrived), linf, rms, psnrs, ssims)


AllFakes = dict[tuple[str, str], Fakes]  # (generator, condition) → fakes


def all_fakes(
    networks: Networks,
    conditions: tuple[str, ...],
    photos: UInt8[np.ndarray, "n s s 3"],
    attributes: Float[np.ndarray, "n a"],
) -> AllFakes:
    """The fakes that every generator makes of the photos under every condition."""
    return {
        (generator, condition): attacker.make_fakes(
            networks, generator, photos, attributes, condition
        )
        for generator in networks.generators
        for condition in conditions
    }


def score(
    networks: Networks,
    clean: UInt8[np.ndarray, "n s s 3"],
    arrived: UInt8[np.ndarray, "n s s 3"],
    originals: AllFakes,
    fakes: AllFakes,
) -> list[dict[str, Any]]:
    """Cells of one row: one per generator and condition, and per generator one pooled over all
    conditions.

    `originals` are the fakes of the clean photos, `fakes` those of the photos as they arrived.
    """
    reals, protected = attacker.judge(networks, clean), attacker.judge(networks, arrived)
    cells = []
    for generator in networks.generators:
        pairs = {c: (originals[g, c], after) for (g, c), after in fakes.items() if g == generator}
        groups = {**{c: [pair] for c, pair in pairs.items()}, "all": list(pairs.values())}
        cells += [
            {"generator": generator, "condition": c, **_cell(group, clean, reals, protected)}
            for c, group in groups.items()
        ]
    return cells


def measure(
    networks: Networks,
    conditions: tuple[str, ...],
    clean: UInt8[np.ndarray, "n s s 3"],
    arrived: UInt8[np.ndarray, "n s s 3"],
    attributes: Float[np.ndarray, "n a"],
) -> list[dict[str, Any]]:
    """`score` of photos whose fakes are not known yet."""
    originals = all_fakes(networks, conditions, clean, attributes)
    fakes = all_fakes(networks, conditions, arrived, attributes)
    return score(networks, clean, arrived, originals, fakes)


def _cell(
    pairs: list[tuple[Fakes, Fakes]],
    clean: UInt8[np.ndarray, "n s s 3"],
    reals: dict[str, np.ndarray],
    protected: dict[str, np.ndarray],
) -> dict[str, Any]:
    photos = attacker.units(clean)
    distances = np.stack([metrics.l2(after.units, before.units) for before, after in pairs])
    masked = [metrics.masked_l2(after.units, before.units, photos) for before, after in pairs]
    broken = metrics.is_disrupted(distances)
    return {
        "n": int(distances.size),
        "l2": float(distances.mean()),
        "l2_median": float(np.median(distances)),
        "l2_interval": metrics.bootstrap(distances.mean(0)),
        "masked_l2": float(np.mean([values for values, _ in masked])),
        "empty_masks": int(np.sum([empty for _, empty in masked])),
        "disrupted": float(broken.mean()),
        "disrupted_interval": metrics.bootstrap(broken.mean(0)),
        "detectors": {
            name: _verdict(reals[name], protected[name], [a.p_reals[name] for _, a in pairs])
            for name in reals
        },
    }


def _verdict(reals: np.ndarray, protected: np.ndarray, fakes: list[np.ndarray]) -> dict[str, Any]:
    counts = metrics.counts(reals, np.concatenate(fakes))
    return {
        "R": counts.recall,
        "R_protected": float((protected > 0.5).mean()),
        "q": counts.pass_rate,
        "q_interval": metrics.bootstrap((np.stack(fakes) > 0.5).mean(0)),
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "floor": counts.f1_floor,
        "cap": counts.f1_cap,
        "auc": metrics.auc(reals, np.concatenate(fakes)),
        "counts": counts._asdict(),
    }


def _region(photo: Pixels, box: Box) -> Pixels:
    return photo[box.top : box.top + box.side, box.left : box.left + box.side]
