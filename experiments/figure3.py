"""Figure 3: fakes without protection, under PGD and under P: python -m experiments.figure3

On drawn faces unless --config.data.root names photographs: the picture of those goes to the
workdir, never to the results, as real people are in it.
"""

import numpy as np

from dfd_jax.evaluation import baselines, files, inference
from dfd_jax.evaluation.report import picture_grid
from dfd_jax.method.attacks import Attack
from dfd_jax.method.budget import Budget
from experiments.tables import command, rows
from experiments.tables.inputs import Inputs, TableRun

GENERATORS = ("stargan", "ganimation")
PHOTOS = 4


def make(run: TableRun) -> picture_grid.Panels:
    """Per photo x, and per generator G(x), x+PGD and x+P with their fakes."""
    with run.config.unlocked():
        run.config.photos = run.config.photos or PHOTOS
    columns: dict[str, np.ndarray] = {}
    for name in GENERATORS:
        columns |= _columns(run.inputs(name))
    count = len(columns["x"])
    return [{caption: squares[i] for caption, squares in columns.items()} for i in range(count)]


def _columns(inputs: Inputs) -> dict[str, np.ndarray]:
    """Caption → a picture of each photo."""
    reference, config, name = inputs.reference, inputs.config, inputs.generator
    size, condition = inputs.net.card.input_size, inputs.conditions[1]
    before = reference.originals[name, condition].images[:, 0]
    shown = {"x": reference.clean[size], f"{name} G(x)": before}
    plan = Attack(steps=config.attack_steps)
    deltas = baselines.compute_deltas(reference, name, condition, plan, config.seed)
    changes = {
        "PGD": files.addition(deltas, Budget(plan.eps_255)),
        "P": rows.change_by(inputs, config.perturbers[name]),
    }
    for by, change in changes.items():
        crops = files.through_files(reference.photos, change, (size,)).crops[size]
        attributes = reference.photos.attributes
        fakes = inference.make_fakes(reference.networks, name, crops, attributes, condition)
        shown |= {f"{name} x+{by}": crops, f"{name} G(x+{by})": fakes.images[:, 0]}
    return shown


if __name__ == "__main__":
    command.run_figure("figure3", make)
