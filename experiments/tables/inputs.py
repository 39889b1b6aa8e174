"""What a table is measured on: one generator, the detectors, and the test photos."""

import functools
import hashlib
import json
import pathlib
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np
from rich.console import Console

from dfd_jax import models
from dfd_jax.data import pipeline
from dfd_jax.data.face_photos import FacePhotos
from dfd_jax.evaluation import inference
from dfd_jax.evaluation.inference import Networks
from dfd_jax.evaluation.scoring import Reference
from dfd_jax.method.protector import Protector
from dfd_jax.models.frozen import FrozenGenerator, Perturber
from dfd_jax.runtime import provenance
from dfd_jax.runtime.config import Config
from dfd_jax.training import photo_source, setup


class Inputs(NamedTuple):
    """Everything that is the same for all rows of a generator."""

    config: Config
    workdir: pathlib.Path
    console: Console
    generator: str
    reference: Reference  # the generator alone, every detector, and the photos without protection
    digest: str  # of all of the above: what a measured row depends on

    @property
    def net(self) -> FrozenGenerator:
        """The generator."""
        return self.reference.networks.generators[self.generator]

    @property
    def conditions(self) -> tuple[str, ...]:
        """The generator's conditions."""
        return self.reference.conditions[self.generator]


class TableRun(NamedTuple):
    """A table's command: its config, where it keeps things, and where it says what it does."""

    config: Config
    workdir: pathlib.Path
    console: Console

    def inputs(self, generator: str, crop_side: int | None = None) -> Inputs:
        """One of the config's generators, with photos whose face crop is `crop_side` pixels wide
        (None: the config's; 0: as the files are). ValueError for a name the config does not have.
        """
        config = self.config
        if generator not in config.generators:
            known = list(config.generators)
            raise ValueError(f"found generator {generator!r}; the config has {known}")
        side = config.crop_side if crop_side is None else crop_side
        networks = _networks(config, generator)
        nets = networks.generators
        conditions = inference.conditions_of(nets, tuple(config.conditions.get(generator, ())))
        faces = pipeline.read_split(
            photo_source.open_split(config, "test", networks.label_names, nets.values()),
            limit=config.photos or None,
            seed=config.seed,
            skipped_file=self.workdir / "skipped.txt",
        )
        photos = FacePhotos.from_faces(faces, config.data.crop or None)
        photos = photos.resampled(side) if side else photos
        with self.console.status(f"{generator}: fakes of {len(faces)} photos"):
            reference = Reference.of(networks, conditions, photos)
        return Inputs(*self, generator, reference, _digest_of(reference, side, config.seed))

    def all_inputs(self) -> list[Inputs]:
        """Every generator of the config."""
        return [self.inputs(name) for name in self.config.generators]


def _networks(config: Config, generator: str) -> Networks:
    alone = {"generators": (config.generators[generator],), "driving": config.driving.to_dict()}
    nets = setup.generators(ml_collections.ConfigDict(alone), "float32", config.driving.test_frames)
    detectors = setup.detectors(tuple(config.detectors.values()), "float32")
    return Networks(
        {generator: nets[0]},
        dict(zip(config.detectors, detectors, strict=True)),
        setup.label_names(nets),
        config.batch_size,
    )


def _digest_of(reference: Reference, side: int, seed: int) -> str:
    nets = [*reference.networks.generators.values(), *reference.networks.detectors.values()]
    (conditions,) = reference.conditions.values()
    known = {
        "networks": [net.card.sha256 for net in nets],
        "conditions": conditions,
        "photos": _digest(*reference.photos.photos),
        "clean fakes": _digest(*(fakes.images for fakes in reference.originals.values())),
        "region": side,  # under its old name: rows that were measured before stay valid
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@functools.cache
def protector(path: str, batch_size: int) -> Protector:
    """The perturber in a weights file. ValueError if it is none."""
    net = models.load(path)
    if not isinstance(net, Perturber):
        raise ValueError(f"{path} is a {net.card.model}, expected a perturber")
    return Protector(net, batch_size)


def described(config: Config, inputs: list[Inputs]) -> dict[str, Any]:
    """Where a table's figures come from, for its JSON."""
    paths = {**config.generators, **config.detectors, **config.perturbers}
    return {
        "commit": provenance.commit(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "photos": len(inputs[0].reference.photos.photos),
        "source": "drawn faces" if not config.data.root else "photographs in CelebA's layout",
        "crop_side": config.crop_side,
        "seed": config.seed,
        "conditions": {each.generator: list(each.conditions) for each in inputs},
        "networks": dict(sorted(paths.items())),
        "in_the_loop": list(config.in_the_loop),
        "detectors_known": _known(config),
    }


def _known(config: Config) -> dict[str, list[str]]:
    """The detectors that each perturber was trained with, by its card."""
    known = {}
    for name, path in config.perturbers.items():
        try:
            detectors = models.load(path).card.info["detectors"]
        except FileNotFoundError:  # not every table needs every perturber
            continue
        known[name] = [setup.network_name(detector) for detector in detectors]
    return known
