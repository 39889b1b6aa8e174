"""Table 9: seconds a photo, P against PGD, on one device: python -m experiments.table9

Both find the perturbation of photos that are already in memory, and are done when it is on the
host. They take turns, so that a machine's moods fall on both alike; medians.
"""

import pathlib
from typing import Any

import numpy as np

from dfd_jax.evaluation.report.formatting import Cell, Row, Table, number
from dfd_jax.runtime.config import Config
from experiments import against_pgd, bars, paper, rows
from experiments.pages import Bar
from experiments.result import Result, run
from experiments.setting import Setting, open_setting, protector
from experiments.timing import Times

ROUNDS = 7


def make(config: Config, workdir: pathlib.Path, console: Any) -> Result:
    """Milliseconds a photo at several batch sizes, for the generators of the paper's table."""
    settings = [open_setting(config, workdir, console, name) for name in paper.TABLE9]
    figures = {s.generator: _timed(s) for s in settings}
    lines, said = [], []
    for generator, by_batch in figures.items():
        for i, batch in enumerate(against_pgd.BATCHES):
            found = by_batch[batch]
            theirs = [paper.TABLE9[generator][k] if batch == 1 else None for k in (0, 1)]
            values = [found["pgd_ms"] / 1e3, found["p_ms"] / 1e3]
            beside = [f" ({t})" if t else "" for t in theirs]
            cells = [generator, str(batch)]
            cells += [f"{value:.4f}{b}" for value, b in zip(values, beside, strict=True)]
            cells += [number(found["ratio"], 0)]
            lines.append(Row(tuple(map(Cell, cells)), starts_group=not i))
        said.append(
            f"{generator}: P is {by_batch[1]['ratio']:.0f} times as fast as PGD-"
            f"{config.attack_steps} at batch 1 and {by_batch['best']['ratio']:.0f} times at each "
            "one's best batch"
        )
    headers = ("generator", "batch", "PGD, s", "P, s", "PGD / P")
    tables = [Table("seconds a photo", headers, tuple(lines), keys=2)]
    title = (
        f"Table 9: seconds a photo, {config.attack_steps} steps of PGD (in brackets the paper's)"
    )
    each = [
        Bar(f"{generator}, batch {batch}", [bars.exact(found["ratio"])])
        for generator, by_batch in figures.items()
        for batch, found in by_batch.items()
    ]
    said = "; ".join(said) + "."
    return Result(title, said, tables, settings, figures, each, (), "times as fast")


def _timed(setting: Setting) -> dict[Any, dict[str, float]]:
    """Medians by batch size, and at each one's best."""
    net = setting.networks.generators[setting.generator]
    plan = {e.name: e.plan for e in rows.attack_entries(setting.config.attack_steps)}["PGD"]
    assert plan is not None
    attacked = against_pgd.Attacked(net, setting.conditions[setting.generator][0], plan)
    path = setting.config.perturbers[setting.generator]
    clean = setting.clean[net.card.input_size]
    times = {}
    for batch in against_pgd.BATCHES:
        photos = np.resize(clean, (batch, *clean.shape[1:]))
        both = against_pgd.calls(attacked, protector(path, batch), photos)
        times[batch] = against_pgd.timed(both, ROUNDS, "wall", batch)
    figures: dict[Any, dict[str, float]] = {b: _medians(found) for b, found in times.items()}
    return {**figures, "best": _medians(against_pgd.at_best(times))}


def _medians(found: dict[str, Times]) -> dict[str, float]:
    times = {f"{name}_ms": found[name]["median"] for name in ("pgd", "p")}
    return {**times, "ratio": against_pgd.ratio(found)}


if __name__ == "__main__":
    run("table9", make)
