"""How well P holds up: with larger and smaller faces in the files, and after channels."""

from collections.abc import Callable

import numpy as np

from dfd_jax.evaluation import files, scoring
from dfd_jax.evaluation.real_channels import Channel
from dfd_jax.evaluation.results import (
    POOLED,
    Cell,
    ChannelResult,
    CropSizeResult,
    PooledFigures,
    combine,
)
from dfd_jax.evaluation.scoring import Reference
from dfd_jax.method.protector import Protector


def at_crop_size(reference: Reference, protector: Protector, side: int) -> list[CropSizeResult]:
    """P against every generator, through files in which the face is `side` pixels wide."""
    networks, photos = reference.networks, reference.photos.resampled(side)
    scaled = Reference.of(networks, reference.conditions, photos)
    change = files.protection(
        protector, protector.outputs(files.perturber_inputs(photos, protector))
    )
    received = files.through_files(photos, change, networks.sizes)
    cells = scoring.score(scaled, received.crops, scaled.fakes(received.crops))
    cost = files.cost([received])
    return [
        CropSizeResult(
            side=side,
            scale=side / networks.size(figures.generator),
            **vars(figures),
            **vars(cost),
        )
        for figures in _pooled(cells)
    ]


def after_channel(
    reference: Reference, protected: list[np.ndarray], name: str, channel: Channel
) -> list[ChannelResult]:
    """P against every generator: the fakes of the protected photos after a channel, compared with
    those of the unprotected photos after the same channel.

    One condition per photo, in turn: this pools conditions at a fraction of the cost.
    """
    clean, changed = (
        reference.photos._replace(photos=[channel(photo) for photo in photos])
        for photos in (reference.photos.photos, protected)
    )
    results = []
    for generator, conditions in reference.conditions.items():
        networks = reference.networks.only(generator)
        figures, weights = [], []
        for i, condition in enumerate(conditions[: len(protected)]):
            picked = slice(i, None, len(conditions))
            part = Reference.of(networks, {generator: (condition,)}, clean.pick(picked))
            crops = changed.pick(picked).crops_of(networks.sizes)
            figures += _pooled(scoring.score(part, crops, part.fakes(crops)))
            weights.append(len(part.photos.photos))
        results.append(ChannelResult(channel=name, **combine(figures, _weighted_mean(weights))))
    return results


def _pooled(cells: tuple[Cell, ...]) -> list[PooledFigures]:
    """The figures of pooled cells that crop sizes and channels are compared by."""
    return [
        PooledFigures(
            generator=cell.generator,
            l2=cell.l2,
            disrupted=cell.disrupted,
            masked_disrupted=cell.masked_disrupted,
            q={name: verdict.q for name, verdict in cell.detectors.items()},
            R_protected={name: verdict.R_protected for name, verdict in cell.detectors.items()},
        )
        for cell in cells
        if cell.condition == POOLED
    ]


def _weighted_mean(weights: list[int]) -> Callable[[list[float]], float]:
    return lambda values: float(np.average(values, weights=weights))
