"""What a table is about: one generator, the detectors, the test photos, and the clean fakes."""

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
from dfd_jax.evaluation import inference, scoring
from dfd_jax.evaluation.inference import Networks, Photos
from dfd_jax.evaluation.scoring import AllFakes, Conditions, Subject
from dfd_jax.method.protector import Protector
from dfd_jax.models.frozen import Perturber
from dfd_jax.runtime import provenance
from dfd_jax.runtime.config import Config
from dfd_jax.training import photo_source, setup


class Setting(NamedTuple):
    """Everything that is the same for all rows of a generator."""

    config: Config
    workdir: pathlib.Path
    console: Console
    generator: str
    networks: Networks  # the generator alone, and every detector
    conditions: Conditions
    subject: Subject
    clean: Photos
    originals: AllFakes
    digest: str  # of all of the above: what a measured row depends on


def open_setting(
    config: Config,
    workdir: pathlib.Path,
    console: Console,
    generator: str,
    region: int | None = None,
) -> Setting:
    """One of the config's generators, with photos whose region is `region` pixels wide (None: the
    config's; 0: as the files are). ValueError for a name that the config does not have.
    """
    if generator not in config.generators:
        raise ValueError(f"found generator {generator!r}; the config has {list(config.generators)}")
    region = config.region if region is None else region
    (net,) = setup.generators(_of(config, generator), "float32", config.driving.test_frames)
    names = tuple(config.detectors)
    judges = setup.detectors(tuple(config.detectors[name] for name in names), "float32")
    networks = Networks(
        {generator: net},
        dict(zip(names, judges, strict=True)),
        setup.label_names((net,)),
        config.batch_size,
    )
    conditions = inference.conditions_of(
        networks.generators, tuple(config.conditions.get(generator, ()))
    )
    faces = pipeline.read_split(
        photo_source.open_split(config, "test", networks.label_names, (net,)),
        limit=config.photos or None,
        seed=config.seed,
        skipped_file=workdir / "skipped.txt",
    )
    subject = Subject.from_faces(faces, config.data.crop or None)
    subject = subject.with_region(region) if region else subject
    clean = subject.crops_of(networks.sizes)
    with console.status(f"{generator}: fakes of {len(faces)} photos"):
        originals = scoring.all_fakes(networks, conditions, clean, subject.attributes)
    known = {
        "networks": [net.card.sha256, *(judge.card.sha256 for judge in judges)],
        "conditions": conditions[generator],
        "photos": _digest(*subject.photos),
        "clean fakes": _digest(*(fakes.images for fakes in originals.values())),
        "region": region,
        "seed": config.seed,
    }
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
    return Setting(
        config, workdir, console, generator, networks, conditions, subject, clean, originals, digest
    )


@functools.cache
def protector(path: str, batch_size: int) -> Protector:
    """The perturber in a weights file. ValueError if it is none."""
    net = models.load(path)
    if not isinstance(net, Perturber):
        raise ValueError(f"{path} is a {net.card.model}, expected a perturber")
    return Protector(net, batch_size)


def described(config: Config, settings: list[Setting]) -> dict[str, Any]:
    """Where a table's figures come from, for its JSON."""
    paths = {**config.generators, **config.detectors, **config.perturbers}
    return {
        "commit": provenance.commit(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "photos": len(settings[0].subject.photos),
        "source": "drawn faces" if not config.data.root else "photographs in CelebA's layout",
        "region": config.region,
        "seed": config.seed,
        "conditions": {s.generator: list(s.conditions[s.generator]) for s in settings},
        "networks": dict(sorted(paths.items())),
        "in_the_loop": list(config.in_the_loop),
        "detectors_known": _known(config),
    }


def _known(config: Config) -> dict[str, list[str]]:
    """The detectors that each perturber was trained with, by its card."""
    known = {}
    for name, path in config.perturbers.items():
        try:
            known[name] = models.load(path).card.info["detectors"]
        except FileNotFoundError:  # not every table needs every perturber
            continue
    return {name: [setup.network_name(d) for d in found] for name, found in known.items()}


def _of(config: Config, generator: str) -> Config:
    """The config with one generator only, as assembly.py wants it."""
    alone = {"generators": (config.generators[generator],), "driving": config.driving.to_dict()}
    return ml_collections.ConfigDict(alone)


def _digest(*arrays: np.ndarray) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
