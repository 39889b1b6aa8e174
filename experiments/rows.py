"""The rows of a table: what each kind of protection does to one generator's fakes.

A row that was measured once is kept in WORKDIR/rows: an interrupted table continues, and tables
that share a row measure it once.
"""

import hashlib
import json
from typing import Any, NamedTuple

import numpy as np

from dfd_jax import models, pixels
from dfd_jax.evaluation import baselines, scoring
from dfd_jax.method import attacks
from dfd_jax.method.attacks import Attack
from dfd_jax.method.budget import Budget
from dfd_jax.runtime.files import replace_file
from experiments.setting import Setting, protector

Row = dict[str, Any]  # name, what it costs the photo, and "cells" as evaluation.score makes them


class Entry(NamedTuple):
    """One kind of protection: nothing, noise, an attack on each photo, or a perturber."""

    name: str
    plan: Attack | None = None
    perturber: str = ""  # weights file
    is_noise: bool = False


NOTHING = Entry("no protection")
NOISE = Entry("random noise", is_noise=True)


def attack_entries(steps: int) -> tuple[Entry, ...]:
    """The attacks of Ruiz et al. 2020, without detectors, and PGD with Eq. 7's detector terms."""
    plans = {name: plan._replace(steps=steps) for name, plan in attacks.ATTACKS.items()}
    plans["FGSM"] = attacks.ATTACKS["FGSM"]
    aware = plans["PGD"]._replace(fake=AWARE, real=AWARE)
    listed = [Entry(name, plan) for name, plan in plans.items() if name != "MI-FGSM"]
    return (*listed, Entry("PGD + detectors", aware))


AWARE = 0.1  # C2 and C3 of an attack that knows the detectors, with the distortion at 1


def measure(setting: Setting, entry: Entry) -> Row:
    """The row, measured now or before."""
    path = setting.workdir / "rows" / f"{_key(setting, entry)}.json"
    if not path.exists():
        setting.console.log(f"{setting.generator}: {entry.name}", highlight=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps({"row": entry.name, **_measured(setting, entry)}))
    return {**json.loads(path.read_text(encoding="utf-8")), "row": entry.name}


def cell(row: Row, condition: str = "all") -> dict[str, Any]:
    """The row's figures under one condition, or pooled over all."""
    return next(c for c in row["cells"] if c["condition"] == condition)


def _measured(setting: Setting, entry: Entry) -> dict[str, Any]:
    networks, subject, clean = setting.networks, setting.subject, setting.clean
    eps = Attack().eps_255
    if entry.plan is not None:
        found = baselines.attack_row(
            networks,
            subject,
            clean,
            setting.originals,
            entry.plan,
            Budget(eps),
            setting.config.seed,
            tuple(setting.config.in_the_loop),
        )
        return {**scoring.spent(found.arrived), "cells": found.cells}
    change = None
    if entry.is_noise:
        size = max(networks.sizes)
        signs = np.sign(scoring.noise_outputs(subject.crops(size).shape, setting.config.seed))
        change = scoring.addition(signs * pixels.levels_to_units(eps), Budget(eps))
    if entry.perturber:
        found = protector(entry.perturber, setting.config.batch_size)
        change = scoring.protection(found, found.outputs(subject.crops(found.input_size)))
    arrived = scoring.through_files(subject, change, networks.sizes)
    fakes = setting.originals
    if change is not None:
        asked = (networks, setting.conditions, arrived.photos, subject.attributes)
        fakes = scoring.all_fakes(*asked)
    cells = scoring.score(networks, clean, arrived.photos, setting.originals, fakes)
    return {**scoring.spent(arrived), "cells": cells}


def _key(setting: Setting, entry: Entry) -> str:
    """What the row's figures depend on, and nothing else."""
    about = {
        "setting": setting.digest,
        "plan": entry.plan,
        "knows": list(setting.config.in_the_loop) if entry.plan and entry.plan.fake else [],
        "perturber": models.load(entry.perturber).card.sha256 if entry.perturber else "",
        "noise": entry.is_noise,
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]
