"""Photos per second that P protects, compared with ten steps of PGD, by batch size."""

import argparse
from typing import Any

from rich.console import Console

from dfd_jax.method import attacks
from dfd_jax.method.protector import Protector
from experiments.benchmarks import method as methods
from experiments.benchmarks import page as pages
from experiments.benchmarks import pgd
from experiments.benchmarks.page import Page
from experiments.benchmarks.pgd import BATCHES, Attacked
from experiments.charts import Bar, Chart, Spread, exact

PLAN = attacks.ATTACKS["PGD"]
SINGLE, BEST = "1", "best of each"
AIMS = {SINGLE: 30, BEST: 100}  # times as fast as PGD

Row = dict[str, Any]


def run(args: argparse.Namespace, console: Console) -> tuple[dict[str, Any], Page]:
    """Both for every scale and batch size, and at each one's best."""
    rows = []
    for scale in args.scales:
        method = methods.open_method(scale)
        (generator,) = method.against.generators
        attacked = Attacked(generator, generator.conditions[0], PLAN)
        by_batch = {}
        for batch in BATCHES:
            protector = Protector(method.perturber, batch)
            both = pgd.calls(attacked, protector, method.batch(batch)["images"])
            by_batch[batch] = pgd.timed(both, args.repeats, args.clock, batch)
            rows.append(_row(scale, str(batch), by_batch[batch]))
            console.print(f"protect {scale}, batch {batch}: {rows[-1]['ratio']:.0f} x PGD")
        rows.append(_row(scale, BEST, pgd.at_best(by_batch)))
    return {"aims": AIMS, "rows": rows}, page(rows)


def _row(scale: str, batch: str, times: dict[str, Spread]) -> Row:
    rates = {name: pages.per_second(values) for name, values in times.items()}
    ratio = pgd.ratio(times)
    return {"scale": scale, "batch": batch, **rates, "ratio": ratio, "aim": AIMS.get(batch)}


def page(rows: list[Row]) -> Page:
    """The comparison for people."""
    shown = [
        {
            "scale": row["scale"],
            "batch": row["batch"],
            "P": pages.spread(row["p"]),
            f"PGD-{PLAN.steps}": pages.spread(row["pgd"], 2),
            "times as fast": f"{row['ratio']:.0f}",
            "aim": str(row["aim"] or ""),
            "met": pages.verdict(row["ratio"] >= row["aim"]) if row["aim"] else "",
        }
        for row in rows
    ]
    note = (
        "Photos per second, median (min … max) of alternating runs, float32: P's forward pass and "
        f"{PLAN.steps} steps of PGD against StarGAN at the photos' own size. Both compute the "
        "perturbations of photos in memory and hand them to the host; PGD may start with the fakes "
        "of the clean photos ready."
    )
    bars = [Bar(f"{row['scale']}, batch {row['batch']}", (exact(row["ratio"]),)) for row in rows]
    title = f"P compared with PGD-{PLAN.steps}"
    return Page(title, note, shown, Chart(bars, ("",), "times as fast"))
