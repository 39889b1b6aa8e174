"""The rows of a table: what each kind of protection does to one generator's fakes.

A row that was measured once is kept in WORKDIR/rows: an interrupted table continues, and tables
that share a row measure it once.
"""

import hashlib
import json
from typing import NamedTuple

import numpy as np

from dfd_jax import models, pixels
from dfd_jax.evaluation import baselines, files, results, scoring
from dfd_jax.evaluation.results import PROTECTED, UNPROTECTED, Row
from dfd_jax.method import attacks
from dfd_jax.method.attacks import Attack
from dfd_jax.method.budget import Budget
from dfd_jax.runtime.files import replace_file
from experiments.tables.inputs import Inputs, protector
from experiments.tables.perturbers import trained

DISTORTION_ONLY = "P, C2 = C3 = 0"
MAIN, ENSEMBLE = PROTECTED, "P, ensemble"
AWARE = 0.1  # C2 and C3 of an attack that knows the detectors, with the distortion at 1


class Protection(NamedTuple):
    """One kind of protection: nothing, noise, an attack on each photo, or a perturber."""

    name: str
    attack: Attack | None = None
    perturber: str = ""  # weights file
    is_noise: bool = False


NOTHING = Protection(UNPROTECTED)
NOISE = Protection("random noise", is_noise=True)


def attack_protections(steps: int) -> tuple[Protection, ...]:
    """The attacks of Ruiz et al. 2020, without detectors, and PGD with Eq. 7's detector terms."""
    known = {name: attack._replace(steps=steps) for name, attack in attacks.ATTACKS.items()}
    known["FGSM"] = attacks.ATTACKS["FGSM"]
    aware = known["PGD"]._replace(fake=AWARE, real=AWARE)
    listed = [Protection(name, attack) for name, attack in known.items() if name != "MI-FGSM"]
    return (*listed, Protection("PGD + detectors", aware))


def measure_all(inputs: Inputs) -> list[Row]:
    """Nothing, noise, the attacks, and every perturber that is meant for this generator."""
    config, generator = inputs.config, inputs.generator
    plain = trained(inputs, f"{generator}_distortion_only", generator=generator)
    protections = [
        NOTHING,
        NOISE,
        *attack_protections(config.attack_steps),
        Protection(DISTORTION_ONLY, perturber=plain),
        Protection(MAIN, perturber=config.perturbers[generator]),
        Protection(ENSEMBLE, perturber=config.perturbers["ensemble"]),
    ]
    return [measure(inputs, protection) for protection in protections]


def measure(inputs: Inputs, protection: Protection) -> Row:
    """The row, measured now or before."""
    path = inputs.workdir / "rows" / f"{_key(inputs, protection)}.json"
    if not path.exists():
        inputs.console.log(f"{inputs.generator}: {protection.name}", highlight=False)
        replace_file(path, results.to_json(_measured(inputs, protection)))
    plain = json.loads(path.read_text(encoding="utf-8")) | {"row": protection.name}
    return results.from_json(json.dumps(plain), Row)


def _measured(inputs: Inputs, protection: Protection) -> Row:
    reference, config = inputs.reference, inputs.config
    name, attack, bound = protection.name, protection.attack, Budget(Attack().eps_255)
    if attack is not None:
        known = tuple(config.in_the_loop)
        return baselines.measure_attack(reference, name, attack, bound, config.seed, known)
    change = None
    if protection.is_noise:
        crops = reference.photos.crops(max(reference.networks.sizes))
        signs = np.sign(files.noise_outputs(crops.shape, config.seed))
        change = files.addition(signs * pixels.levels_to_units(bound.eps_255), bound)
    if protection.perturber:
        change = change_by(inputs, protection.perturber)
    return scoring.measure(reference, name, change).row


def change_by(inputs: Inputs, perturber: str) -> files.Change:
    """What a perturber's weights file does to the photos."""
    p = protector(perturber, inputs.config.batch_size)
    return files.protection(p, p.outputs(files.perturber_inputs(inputs.reference.photos, p)))


def _key(inputs: Inputs, protection: Protection) -> str:
    """What the row's figures depend on, and nothing else."""
    attack, path = protection.attack, protection.perturber
    about = {
        "setting": inputs.digest,
        "plan": attack,
        "knows": list(inputs.config.in_the_loop) if attack and attack.fake else [],
        "perturber": models.load(path).card.sha256 if path else "",
        "noise": protection.is_noise,
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]


def claims(measured: list[Row], detectors: tuple[str, ...]) -> dict[str, bool]:
    """By detector: F1 with P > PGD > no protection, the 95 % intervals of P and PGD apart."""
    held = {}
    for name in detectors:
        nothing, pgd, p = (
            results.row_named(measured, row).cell().detectors[name]
            for row in (NOTHING.name, "PGD", MAIN)
        )
        ordered = p.f1 > pgd.f1 > nothing.f1
        held[name] = ordered and p.f1_interval[0] > pgd.f1_interval[1]
    return held
