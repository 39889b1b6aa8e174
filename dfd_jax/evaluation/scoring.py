"""What an evaluation measures, and how: every number of the paper's tables for one perturber.

Photos are protected at their own resolution, written to files, read back, cropped and resized as
the attacker does, and only then shown to a generator and scored.
"""

import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from dfd_jax.data import images, saving
from dfd_jax.data.faces import Face
from dfd_jax.data.images import Box
from dfd_jax.evaluation import inference
from dfd_jax.evaluation.inference import Fakes, Networks, Photos
from dfd_jax.method import budget, channel, metrics, perceptual
from dfd_jax.method.budget import Budget
from dfd_jax.method.protector import Protector

Pixels = UInt8[np.ndarray, "_ _ 3"]
Change = Callable[[Pixels, Box, int], Pixels]  # photo, region, its number → the changed photo
Conditions = Mapping[str, tuple[str, ...]]  # generator → the conditions that it is asked for
SATURATED = 20.0  # an output at which every kind of hard bound is reached


class Arrived(NamedTuple):
    """Photos as the attackers get them, and what the change to each file's region was."""

    photos: Photos
    linf_255: list[int]
    rms_255: list[float]
    psnr: list[float]
    ssim: list[float]
    lpips: list[float]  # of the squares at the largest size, see perceptual.py


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

    def crops_of(self, sizes: Sequence[int]) -> dict[int, UInt8[np.ndarray, "n s s 3"]]:
        """Every region at the sizes of several networks."""
        return {size: self.crops(size) for size in sizes}


def noise_outputs(shape: tuple[int, ...], seed: int) -> Float[np.ndarray, "n s s 3"]:
    """Random signs that fill the whole budget, in the place of P's output: what P must beat."""
    signs = np.random.default_rng(seed).integers(0, 2, shape) * 2.0 - 1.0
    return (signs * SATURATED).astype(np.float32)


def protection(protector: Protector, outputs: Float[np.ndarray, "n s s 3"]) -> Change:
    """The change that a perturber's raw outputs, one for each photo, make to the photos."""
    return lambda photo, box, i: protector.apply(photo, box, outputs[i])


def addition(deltas: Float[np.ndarray, "n r r 3"], bound: Budget) -> Change:
    """The change that perturbations on [-1, 1] make: enlarged to the region where they are smaller,
    and rounded to whole levels within the bound.
    """

    def change(photo: Pixels, box: Box, i: int) -> Pixels:
        delta = deltas[i]
        if len(delta) != box.side:
            matrix = channel.resize_matrix(len(delta), box.side)
            delta = np.einsum("ij,jkc,lk->ilc", matrix, delta, matrix, optimize=True)
        changed = photo.copy()
        _region(changed, box)[:] = budget.apply_to_pixels(_region(photo, box), delta, bound)
        return changed

    return change


def through_files(subject: Subject, change: Change | None, sizes: Sequence[int]) -> Arrived:
    """Change each photo (None: leave it), write it, read it back, and crop it as the attackers
    do, whose networks take squares of these sizes.
    """
    arrived: dict[int, list[Pixels]] = {size: [] for size in sizes}
    linf, rms, psnrs, ssims = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="dfd-") as folder:
        path = pathlib.Path(folder, "photo.png")
        for i, (photo, box) in enumerate(zip(subject.photos, subject.boxes, strict=True)):
            changed = photo if change is None else change(photo, box, i)
            saving.write_photo(path, changed, format="png")
            read = images.read_rgb(path)
            for size in sizes:
                arrived[size].append(images.crop_resize(read, box, size))
            before, after = _region(photo, box), _region(read, box)
            linf.append(budget.linf_255(photo, read))
            rms.append(float(np.sqrt(np.square(after.astype(float) - before).mean())))
            psnrs.append(metrics.psnr(before, after))
            ssims.append(metrics.ssim(before, after))
    photos = {size: np.stack(squares) for size, squares in arrived.items()}
    seen = max(sizes)
    lpips = perceptual.distance(subject.crops(seen), photos[seen]).tolist()
    return Arrived(photos, linf, rms, psnrs, ssims, lpips)


def spent(arrived: Arrived) -> dict[str, Any]:
    """What a protection costs the photos: the largest and the mean change over them."""
    finite = [p for p in arrived.psnr if np.isfinite(p)]
    return {
        "linf_255": max(arrived.linf_255),
        "rms_255": float(np.mean(arrived.rms_255)),
        "psnr": float(np.mean(finite)) if finite else None,
        "psnr_min": float(np.min(finite)) if finite else None,
        "ssim": float(np.mean(arrived.ssim)),
        "lpips": float(np.mean(arrived.lpips)),
    }


AllFakes = dict[tuple[str, str], Fakes]  # (generator, condition) → its fakes of every photo


def all_fakes(
    networks: Networks,
    conditions: Conditions,
    photos: Photos,
    attributes: Float[np.ndarray, "n a"],
) -> AllFakes:
    """The fakes that every generator makes of the photos under each of its conditions."""
    return {
        (name, condition): inference.make_fakes(
            networks, name, photos[net.card.input_size], attributes, condition
        )
        for name, net in networks.generators.items()
        for condition in conditions.get(name, ())
    }


def score(
    networks: Networks, clean: Photos, arrived: Photos, originals: AllFakes, fakes: AllFakes
) -> list[dict[str, Any]]:
    """Cells of one row: one per generator and condition, and per generator one pooled over all
    conditions.

    `originals` are the fakes of the clean photos, `fakes` those of the photos as they arrived.
    """
    kept = {size: inference.judge(networks, arrived[size]) for size in networks.sizes}
    by_fakes = {(g, c): kept[networks.generators[g].card.input_size] for g, c in fakes}
    return score_each(networks, clean, by_fakes, originals, fakes)


def score_each(
    networks: Networks,
    clean: Photos,
    kept: Mapping[tuple[str, str], dict[str, Float[np.ndarray, " n"]]],
    originals: AllFakes,
    fakes: AllFakes,
) -> list[dict[str, Any]]:
    """The same where photos are changed otherwise for each generator and condition: `kept` are the
    verdicts on the changed photos themselves.
    """
    reals = {size: inference.judge(networks, clean[size]) for size in networks.sizes}
    cells = []
    for name, net in networks.generators.items():
        size = net.card.input_size
        known = [c for g, c in fakes if g == name]
        groups = {**{c: [c] for c in known}, "all": known}
        for condition, group in groups.items():
            if not group:
                continue
            pairs = [(originals[name, c], fakes[name, c]) for c in group]
            protected = {d: np.concatenate([kept[name, c][d] for c in group]) for d in reals[size]}
            found = _cell(pairs, clean[size], reals[size], protected)
            cells.append({"generator": name, "condition": condition, **found})
    return cells


def measure(
    networks: Networks,
    conditions: Conditions,
    clean: Photos,
    arrived: Photos,
    attributes: Float[np.ndarray, "n a"],
) -> list[dict[str, Any]]:
    """`score` of photos whose fakes are not known yet."""
    originals = all_fakes(networks, conditions, clean, attributes)
    fakes = all_fakes(networks, conditions, arrived, attributes)
    return score(networks, clean, arrived, originals, fakes)


Pairs = list[tuple[Fakes, Fakes]]  # before and after the protection, one for each condition


def _cell(
    pairs: Pairs,
    clean: UInt8[np.ndarray, "n s s 3"],
    reals: dict[str, np.ndarray],
    protected: dict[str, np.ndarray],
) -> dict[str, Any]:
    distances, masked, empty = _distances(pairs, clean)
    broken, frames = metrics.is_disrupted(distances), distances.shape[-1]
    found = {
        "n": int(distances.size),
        "l2": float(distances.mean()),
        "l2_median": float(np.median(distances)),
        "l2_interval": metrics.bootstrap(distances.mean((0, 2))),
        "masked_l2": float(masked.mean()),
        "masked_disrupted": float(metrics.is_disrupted(masked).mean()),
        "empty_masks": int(empty.sum()),
        "disrupted": float(broken.mean()),
        "disrupted_interval": metrics.bootstrap(broken.mean((0, 2))),
        "detectors": {
            name: _verdict(reals[name], protected[name], [a.p_reals[name] for _, a in pairs])
            for name in reals
        },
    }
    return {**found, "clips": _clips(pairs, distances, reals)} if frames > 1 else found


def _distances(
    pairs: Pairs, clean: UInt8[np.ndarray, "n s s 3"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each fake's L2, masked L2 and whether its mask is empty: [conditions, photos, frames]."""
    photos = inference.units(clean)
    l2, masked, empty = [], [], []
    for before, after in pairs:
        shape = before.images.shape[:2]
        old, new = before.units, after.units
        l2.append(metrics.l2(new, old).reshape(shape))
        values, nothing = metrics.masked_l2(new, old, np.repeat(photos, shape[1], axis=0))
        masked.append(values.reshape(shape))
        empty.append(nothing.reshape(shape))
    return np.stack(l2), np.stack(masked), np.stack(empty)


def _clips(pairs: Pairs, distances: np.ndarray, reals: dict[str, np.ndarray]) -> dict[str, Any]:
    """Figures per clip: its mean L2, and the verdict on the mean log-odds of its frames."""
    clips = distances.mean(-1)
    verdicts = {}
    for name, real in reals.items():
        p = np.stack([after.p_reals[name] for _, after in pairs])
        counts = metrics.counts(real, metrics.clip_probability(p).ravel())
        verdicts[name] = {
            "q": counts.pass_rate,
            "precision": counts.precision,
            "f1": counts.f1,
            "counts": counts._asdict(),
        }
    return {
        "n": int(clips.size),
        "frames": distances.shape[-1],
        "disrupted": float(metrics.is_disrupted(clips).mean()),
        "detectors": verdicts,
    }


def _verdict(reals: np.ndarray, protected: np.ndarray, fakes: list[np.ndarray]) -> dict[str, Any]:
    """`fakes`: probabilities of being real [photos, frames], an array for each condition."""
    p_fakes = np.stack(fakes)
    counts = metrics.counts(reals, p_fakes.ravel())
    return {
        "R": counts.recall,
        "R_protected": float((protected > 0.5).mean()),
        "q": counts.pass_rate,
        "q_interval": metrics.bootstrap((p_fakes > 0.5).mean((0, 2))),
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "floor": counts.f1_floor,
        "cap": counts.f1_cap,
        "auc": metrics.auc(reals, p_fakes.ravel()),
        "counts": counts._asdict(),
    }


def _region(photo: Pixels, box: Box) -> Pixels:
    return photo[box.top : box.top + box.side, box.left : box.left + box.side]
