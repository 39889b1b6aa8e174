"""From photos and their fakes to figures: the rows and cells of an evaluation.

Photos are protected at their own resolution, written to files, read back, cropped and resized as a
generator's owner does it, and only then given to a generator and scored.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from dfd_jax import pixels
from dfd_jax.data.face_photos import Crops, FacePhotos
from dfd_jax.evaluation import files, inference
from dfd_jax.evaluation.files import Change
from dfd_jax.evaluation.inference import Conditions, Fakes, Networks
from dfd_jax.evaluation.results import (
    POOLED,
    Cell,
    ClipFigures,
    ClipVerdict,
    Counts,
    Row,
    Verdict,
)
from dfd_jax.method import metrics

AllFakes = dict[tuple[str, str], Fakes]  # (generator, condition) → its fakes of every photo
PReals = dict[str, Float[np.ndarray, " n"]]  # detector → its probability that each photo is real


class Reference(NamedTuple):
    """What protected photos are compared with: the same photos without protection."""

    networks: Networks
    conditions: Conditions
    photos: FacePhotos
    clean: Crops
    originals: AllFakes  # of the clean crops
    p_reals: Mapping[int, PReals]  # of the clean crops, by their size

    @classmethod
    def of(cls, networks: Networks, conditions: Conditions, photos: FacePhotos) -> "Reference":
        """Every generator's fakes of the photos as they are."""
        clean = photos.crops_of(networks.sizes)
        originals = all_fakes(networks, conditions, clean, photos.attributes)
        p_reals = {size: inference.judge(networks, crops) for size, crops in clean.items()}
        return cls(networks, conditions, photos, clean, originals, p_reals)

    def fakes(self, crops: Crops) -> AllFakes:
        """The fakes of other versions of the same photos."""
        return all_fakes(self.networks, self.conditions, crops, self.photos.attributes)


def all_fakes(
    networks: Networks, conditions: Conditions, crops: Crops, attributes: Float[np.ndarray, "n a"]
) -> AllFakes:
    """The fakes that every generator makes of the crops under each of its conditions."""
    return {
        (name, condition): inference.make_fakes(
            networks, name, crops[networks.size(name)], attributes, condition
        )
        for name in networks.generators
        for condition in conditions.get(name, ())
    }


class Measured(NamedTuple):
    """A row, with the pictures that it was measured on."""

    row: Row
    crops: Crops  # of the protected photos
    fakes: AllFakes


def measure(reference: Reference, name: str, change: Change | None) -> Measured:
    """The row of one kind of protection (None: no change)."""
    received = files.through_files(reference.photos, change, reference.networks.sizes)
    fakes = reference.originals if change is None else reference.fakes(received.crops)
    cells = score(reference, received.crops, fakes)
    row = Row(name=name, cells=cells, **vars(files.cost([received])))
    return Measured(row, received.crops, fakes)


def score(reference: Reference, crops: Crops, fakes: AllFakes) -> tuple[Cell, ...]:
    """The cells of one row: per generator one for each condition, and one pooled over all.

    `crops` are those of the protected photos, `fakes` what generators make of them.
    """
    networks = reference.networks
    p_protected = {size: inference.judge(networks, crops[size]) for size in networks.sizes}
    return score_each(
        reference, {pair: p_protected[networks.size(pair[0])] for pair in fakes}, fakes
    )


def score_each(
    reference: Reference, p_protected: Mapping[tuple[str, str], PReals], fakes: AllFakes
) -> tuple[Cell, ...]:
    """The same, with the verdicts on the protected photos of each generator and condition."""
    cells = []
    for name in reference.networks.generators:
        size = reference.networks.size(name)
        known = [condition for generator, condition in fakes if generator == name]
        groups = {**{c: [c] for c in known}, POOLED: known}
        for condition, group in groups.items():
            if not group:
                continue
            pairs = [(reference.originals[name, c], fakes[name, c]) for c in group]
            protected = {
                detector: np.concatenate([p_protected[name, c][detector] for c in group])
                for detector in reference.networks.detectors
            }
            photos = reference.clean[size], reference.p_reals[size], protected
            cells.append(_cell(name, condition, pairs, *photos))
    return tuple(cells)


Pairs = list[tuple[Fakes, Fakes]]  # without and with protection, for each condition


def _cell(
    generator: str,
    condition: str,
    pairs: Pairs,
    clean: UInt8[np.ndarray, "n s s 3"],
    p_reals: PReals,
    p_protected: dict[str, Float[np.ndarray, " m"]],
) -> Cell:
    distances, masked, empty = _distances(pairs, clean)
    disrupted = metrics.is_disrupted(distances)
    cell = Cell(
        generator=generator,
        condition=condition,
        n=int(distances.size),
        l2=float(distances.mean()),
        l2_median=float(np.median(distances)),
        l2_interval=metrics.bootstrap(distances.mean((0, 2))),
        masked_l2=float(masked.mean()),
        masked_disrupted=float(metrics.is_disrupted(masked).mean()),
        empty_masks=int(empty.sum()),
        disrupted=float(disrupted.mean()),
        disrupted_interval=metrics.bootstrap(disrupted.mean((0, 2))),
        detectors={
            name: _verdict(p_reals[name], p_protected[name], _p_fakes(pairs, name))
            for name in p_reals
        },
    )
    has_clips = distances.shape[-1] > 1
    clips = _clips(pairs, distances, p_reals) if has_clips else None
    return dataclasses.replace(cell, clips=clips)


def _p_fakes(pairs: Pairs, detector: str) -> Float[np.ndarray, "c n k"]:
    return np.stack([after.p_reals[detector] for _, after in pairs])


def _distances(
    pairs: Pairs, clean: UInt8[np.ndarray, "n s s 3"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each fake's L2, masked L2 and whether its mask is empty: [conditions, photos, frames]."""
    photos = pixels.from_uint8(clean)
    l2, masked, empty = [], [], []
    for before, after in pairs:
        shape = before.images.shape[:2]
        old, new = before.units, after.units
        l2.append(metrics.l2(new, old).reshape(shape))
        values, is_empty = metrics.masked_l2(new, old, np.repeat(photos, shape[1], axis=0))
        masked.append(values.reshape(shape))
        empty.append(is_empty.reshape(shape))
    return np.stack(l2), np.stack(masked), np.stack(empty)


def _clips(pairs: Pairs, distances: np.ndarray, p_reals: PReals) -> ClipFigures:
    """Figures per clip: its mean L2, and the verdict on the mean log-odds of its frames."""
    clips = distances.mean(-1)
    verdicts = {}
    for name, p_real in p_reals.items():
        p_clips = metrics.clip_probability(_p_fakes(pairs, name)).ravel()
        counts = metrics.counts(p_real, p_clips)
        verdicts[name] = ClipVerdict(
            q=counts.pass_rate,
            precision=counts.precision,
            f1=counts.f1,
            counts=Counts(**counts._asdict()),
        )
    return ClipFigures(
        n=int(clips.size),
        frames=distances.shape[-1],
        disrupted=float(metrics.is_disrupted(clips).mean()),
        detectors=verdicts,
    )


def _verdict(
    p_reals: Float[np.ndarray, " n"],
    p_protected: Float[np.ndarray, " m"],
    p_fakes: Float[np.ndarray, "c n k"],
) -> Verdict:
    counts = metrics.counts(p_reals, p_fakes.ravel())
    return Verdict(
        R=counts.recall,
        R_protected=float((p_protected > 0.5).mean()),
        q=counts.pass_rate,
        q_interval=metrics.bootstrap((p_fakes > 0.5).mean((0, 2))),
        precision=counts.precision,
        recall=counts.recall,
        f1=counts.f1,
        floor=counts.f1_floor,
        cap=counts.f1_cap,
        auc=metrics.auc(p_reals, p_fakes.ravel()),
        counts=Counts(**counts._asdict()),
    )
