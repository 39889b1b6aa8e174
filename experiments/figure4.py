"""Figure 4: a reenacted clip with and without protection: python -m experiments.figure4

A row for each frame: the photo, the protected photo, the frame that drives, and the fakes of both.
On drawn faces unless --config.data.root names photographs, whose picture goes to the workdir: real
people are in it.
"""

import pathlib

import numpy as np
from rich.console import Console

from dfd_jax.data import sources
from dfd_jax.evaluation import inference, scoring
from dfd_jax.runtime.config import Config
from experiments import result
from experiments.setting import open_setting, protector

FRAMES, PHOTOS = 3, 2
CLIP = 0  # of the driving motions


def make(config: Config, workdir: pathlib.Path, console: Console) -> pathlib.Path:
    """Write the grid; returns the file."""
    with config.unlocked():
        config.photos = PHOTOS
        config.driving.test_frames = FRAMES
    setting = open_setting(config, workdir, console, "fomm")
    net = setting.networks.generators["fomm"]
    size, condition = net.card.input_size, setting.conditions["fomm"][CLIP]
    clip = sources.driving_clips(config.driving.root, size)[condition]
    picked = (2 * np.arange(FRAMES) + 1) * len(clip) // (2 * FRAMES)  # as test_condition
    found = protector(config.perturbers["fomm"], config.batch_size)
    change = scoring.protection(found, found.outputs(setting.subject.crops(found.input_size)))
    photos = scoring.through_files(setting.subject, change, (size,)).photos[size]
    asked = (setting.networks, "fomm", photos, setting.subject.attributes, condition)
    after, before = inference.make_fakes(*asked).images, setting.originals["fomm", condition].images
    panels = [
        {
            "x": setting.clean[size][i],
            "x+P(x)": photos[i],
            "driving": clip[picked[k]],
            "G(x)": before[i, k],
            "G(x+P(x))": after[i, k],
        }
        for i in range(len(photos))
        for k in range(FRAMES)
    ]
    return result.save_figure("figure4", config, workdir, panels)


if __name__ == "__main__":
    result.run_figure(make)
