"""Table 9: seconds a photo, P against PGD, on one device: python -m experiments.table9

Both find the perturbation of photos that are already in memory, and are done when it is on the
host. They take turns, so that a machine's moods fall on both alike; medians.
"""

import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dfd_jax import attacks, pixels
from dfd_jax.config import Config
from dfd_jax.forward import Opponents
from dfd_jax.protector import Protector
from dfd_jax.wording import Cell, Row, Table, number
from experiments import bars, paper, rows
from experiments.pages import Bar
from experiments.result import Result, run
from experiments.setting import Setting, open_setting, protector

BATCHES = (1, 4, 16, 64)
ROUNDS = 7


def make(config: Config, workdir: pathlib.Path, console: Any) -> Result:
    """Milliseconds a photo at several batch sizes, for the generators of the paper's table."""
    settings = [open_setting(config, workdir, console, name) for name in paper.TABLE9]
    figures = {s.generator: _timed(s) for s in settings}
    lines, said = [], []
    for generator, by_batch in figures.items():
        for i, (batch, found) in enumerate(by_batch.items()):
            theirs = [paper.TABLE9[generator][k] if batch == 1 else None for k in (0, 1)]
            values = [found["pgd_ms"] / 1e3, found["p_ms"] / 1e3]
            beside = [f" ({t})" if t else "" for t in theirs]
            cells = [generator, str(batch)]
            cells += [f"{value:.4f}{b}" for value, b in zip(values, beside, strict=True)]
            cells += [number(found["ratio"], 0)]
            lines.append(Row(tuple(map(Cell, cells)), starts_group=not i))
        best = {k: min(of[k] for of in by_batch.values()) for k in ("pgd_ms", "p_ms")}
        ratio = best["pgd_ms"] / best["p_ms"]
        figures[generator]["best"] = {**best, "ratio": ratio}
        said.append(
            f"{generator}: P is {by_batch[1]['ratio']:.0f} times as fast as PGD-"
            f"{config.attack_steps} at batch 1 and {ratio:.0f} times at each one's best batch"
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
    """Medians by batch size."""
    net = setting.networks.generators[setting.generator]
    condition = setting.conditions[setting.generator][0]
    plan = {e.name: e.plan for e in rows.attack_entries(setting.config.attack_steps)}["PGD"]
    assert plan is not None
    path = setting.config.perturbers[setting.generator]
    found: dict[Any, dict[str, float]] = {}
    for batch in BATCHES:
        photos = np.resize(setting.clean[net.card.input_size], (batch, *_shape(setting)))
        labels = jnp.zeros((batch, len(net.labels)))
        asked, images = (
            net.test_condition(labels, condition),
            pixels.from_uint8(jnp.asarray(photos)),
        )
        # The fakes to get away from are made beforehand: an attack has to start with them, but they
        # are no part of its steps.
        references = (jax.jit(lambda net, x, c: net(x, c))(net, images, asked),)
        of_p = protector(path, batch)

        def pgd(images: Any = images, asked: Any = asked, references: Any = references) -> Any:
            against = Opponents((net,), (), ())
            key = jax.random.key(0)
            found = attacks.attack(against, images, [(asked,)], plan, key, references=references)
            return np.asarray(found)

        def p(of_p: Protector = of_p, photos: Any = photos) -> Any:
            return of_p.outputs(photos)

        seconds = _alternated(pgd, p)
        times = {"pgd_ms": 1e3 * seconds[0] / batch, "p_ms": 1e3 * seconds[1] / batch}
        found[batch] = {**times, "ratio": times["pgd_ms"] / times["p_ms"]}
    return found


def _shape(setting: Setting) -> tuple[int, ...]:
    size = setting.networks.generators[setting.generator].card.input_size
    return setting.clean[size].shape[1:]


def _alternated(*calls: Callable[[], Any]) -> list[float]:
    """The median seconds of each, one after the other in every round, after one that warms up."""
    taken: list[list[float]] = [[] for _ in calls]
    for turn in range(ROUNDS + 1):
        for i, call in enumerate(calls):
            began = time.perf_counter()
            call()
            if turn:
                taken[i].append(time.perf_counter() - began)
    return [float(np.median(of)) for of in taken]


if __name__ == "__main__":
    run("table9", make)
