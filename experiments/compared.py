"""The rows that tables 1, 2, 3 and 8 compare, for one generator."""

from experiments import rows
from experiments.result import f1_interval
from experiments.rows import NOISE, NOTHING, Entry, Row
from experiments.setting import Setting
from experiments.training import trained

DISTORTION_ONLY = "P, C2 = C3 = 0"
MAIN, ENSEMBLE = "P", "P, ensemble"


def entries(setting: Setting) -> list[Entry]:
    """Nothing, noise, the attacks, and every perturber that is meant for this generator."""
    config, generator = setting.config, setting.generator
    plain = trained(
        config,
        setting.workdir,
        setting.console,
        f"{generator}_distortion_only",
        generator=generator,
    )
    found = [NOTHING, NOISE, *rows.attack_entries(config.attack_steps)]
    found.append(Entry(DISTORTION_ONLY, perturber=plain))
    names = {MAIN: generator, ENSEMBLE: "ensemble"}
    found += [Entry(row, perturber=config.perturbers[name]) for row, name in names.items()]
    return found


def measured(setting: Setting) -> list[Row]:
    """All of these rows."""
    return [rows.measure(setting, entry) for entry in entries(setting)]


def claims(setting: Setting, found: list[Row], detectors: tuple[str, ...]) -> dict[str, bool]:
    """For each detector: F1 with P > with PGD > without protection, P's and PGD's 95 % intervals
    apart.
    """
    by_name = {row["row"]: rows.cell(row)["detectors"] for row in found}
    held = {}
    for name in detectors:
        nothing, pgd, p = (by_name[r][name] for r in (NOTHING.name, "PGD", MAIN))
        ordered = p["f1"] > pgd["f1"] > nothing["f1"]
        held[name] = ordered and f1_interval(p)[0] > f1_interval(pgd)[1]
    return held
