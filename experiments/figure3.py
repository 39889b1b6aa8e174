"""Figure 3: fakes without protection, under PGD and under P: python -m experiments.figure3

On drawn faces unless --config.data.root names photographs: the picture of those goes to the
workdir, never to the results, as real people are in it.
"""

import pathlib

import numpy as np
from rich.console import Console

from dfd_jax.evaluation import baselines, inference, scoring
from dfd_jax.method.attacks import Attack
from dfd_jax.method.budget import Budget
from dfd_jax.runtime.config import Config
from experiments import result
from experiments.setting import Setting, open_setting, protector

GENERATORS = ("stargan", "ganimation")
PHOTOS = 4


def make(config: Config, workdir: pathlib.Path, console: Console) -> pathlib.Path:
    """Write the grid: per photo x, and for each generator G(x), then the protected photo and its
    fake by PGD and by P. Returns the file.
    """
    with config.unlocked():
        config.photos = config.photos or PHOTOS
    panels: list[dict[str, np.ndarray]] = []
    for name in GENERATORS:
        setting = open_setting(config, workdir, console, name)
        columns = _columns(setting)
        panels = panels or [{} for _ in setting.subject.photos]
        for i, panel in enumerate(panels):
            panel |= {caption: squares[i] for caption, squares in columns.items()}
    return result.save_figure("figure3", config, workdir, panels)


def _columns(setting: Setting) -> dict[str, np.ndarray]:
    """Caption → a picture of each photo."""
    net = setting.networks.generators[setting.generator]
    size, condition = net.card.input_size, setting.conditions[setting.generator][1]
    before = setting.originals[setting.generator, condition]
    shown = {"x": setting.clean[size], f"{setting.generator} G(x)": before.images[:, 0]}
    found = protector(setting.config.perturbers[setting.generator], setting.config.batch_size)
    outputs = found.outputs(setting.subject.crops(found.input_size))
    plan = Attack(steps=setting.config.attack_steps)
    pair = (setting.generator, condition)
    deltas = baselines.deltas_of(setting.networks, setting.subject, pair, plan, setting.config.seed)
    changes = {
        "PGD": scoring.addition(deltas, Budget(plan.eps_255)),
        "P": scoring.protection(found, outputs),
    }
    for name, change in changes.items():
        photos = scoring.through_files(setting.subject, change, (size,)).photos[size]
        asked = (setting.networks, setting.generator, photos, setting.subject.attributes)
        fakes = inference.make_fakes(*asked, condition).images[:, 0]
        shown[f"{setting.generator} x+{name}"] = photos
        shown[f"{setting.generator} G(x+{name})"] = fakes
    return shown


if __name__ == "__main__":
    result.run_figure(make)
