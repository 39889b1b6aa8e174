"""Table 9: seconds per photo, P against PGD, on one device: python -m experiments.table9

Both compute the perturbation of photos that are already in memory, and are done when it is on the
host. They take turns, so that a machine's moods affect both alike; medians.
"""

from typing import Any

import numpy as np

from dfd_jax.evaluation.report.formatting import Table, number
from dfd_jax.method import attacks
from experiments.benchmarks import pgd
from experiments.charts import Bar, Chart, Spread, exact
from experiments.tables import command, paper
from experiments.tables.command import Result
from experiments.tables.inputs import Inputs, TableRun, protector

ROUNDS = 7


def make(run: TableRun) -> Result:
    """Milliseconds per photo at several batch sizes, for the generators of the paper's table."""
    inputs, steps = [run.inputs(name) for name in paper.TABLE9], run.config.attack_steps
    figures = {each.generator: _timed(each) for each in inputs}
    lines, said = [], []
    for generator, by_batch in figures.items():
        for batch in pgd.BATCHES:
            times = by_batch[batch]
            ours = [f"{times[name] / 1e3:.4f}" for name in ("pgd_ms", "p_ms")]
            theirs = [f" ({seconds})" if batch == 1 else "" for seconds in paper.TABLE9[generator]]
            cells = {
                "generator": generator,
                "batch": str(batch),
                "PGD, s": ours[0] + theirs[0],
                "P, s": ours[1] + theirs[1],
                "PGD / P": number(times["ratio"], 0),
            }
            lines.append(cells)
        said.append(
            f"{generator}: P is {by_batch[1]['ratio']:.0f} times as fast as PGD-{steps} at batch 1 "
            f"and {by_batch['best']['ratio']:.0f} times at each one's best batch"
        )
    bars = [
        Bar(f"{generator}, batch {batch}", [exact(times["ratio"])])
        for generator, by_batch in figures.items()
        for batch, times in by_batch.items()
    ]
    return Result(
        f"Table 9: seconds a photo, {steps} steps of PGD (in brackets the paper's)",
        "; ".join(said) + ".",
        [Table("seconds a photo", lines, keys=2)],
        inputs,
        figures,
        Chart(bars, (), "times as fast"),
    )


def _timed(inputs: Inputs) -> dict[Any, dict[str, float]]:
    """Medians by batch size, and at each one's best."""
    config, net = inputs.config, inputs.net
    plan = attacks.ATTACKS["PGD"]._replace(steps=config.attack_steps)
    attacked = pgd.Attacked(net, inputs.conditions[0], plan)
    clean = inputs.reference.clean[net.card.input_size]
    times = {}
    for batch in pgd.BATCHES:
        photos = np.resize(clean, (batch, *clean.shape[1:]))
        p = protector(config.perturbers[inputs.generator], batch)
        times[batch] = pgd.timed(pgd.calls(attacked, p, photos), ROUNDS, "wall", batch)
    figures: dict[Any, dict[str, float]] = {b: _medians(spread) for b, spread in times.items()}
    return {**figures, "best": _medians(pgd.at_best(times))}


def _medians(times: dict[str, Spread]) -> dict[str, float]:
    medians = {f"{name}_ms": times[name]["median"] for name in ("pgd", "p")}
    return {**medians, "ratio": pgd.ratio(times)}


if __name__ == "__main__":
    command.run("table9", make)
