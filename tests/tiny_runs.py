"""Small complete training runs: tiny networks on a folder of small photos."""

import os
import pathlib
import subprocess
import sys
import time

import numpy as np
from PIL import Image

from configs import stargan
from dfd_jax.training import metrics_log

ROOT = pathlib.Path(__file__).parents[1]
DEVICES = "--xla_force_host_platform_device_count"
PATIENCE = 600  # seconds that a loaded machine may take; a test that hangs still ends


def photo_folder(folder, count=40, size=24):
    """A folder of small colourful PNG photos that differ."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        Image.fromarray(coarse).resize((size, size)).save(folder / f"{i:03d}.png")
    return folder


def tiny_config(zoo, photos, steps=6):
    """configs/stargan.py with the networks and photos of the tests."""
    config = stargan.get_config()
    config.data.kind, config.data.root, config.data.size = "folder", str(photos), 16
    config.data.crop = 0
    config.perturber.hyper = {"width": 4, "depth": 3, "patch": 2}
    config.generators = (str(zoo["stargan"]),)
    config.detectors = (str(zoo["resnet18"]),)
    config.channel.crop_sides = (16, 24)
    config.train.update(steps=steps, batch_size=8, log_every=1, checkpoint_every=2, warmup=1)
    config.evaluate.detectors = ()
    config.evaluate.crop_sides = (24,)
    config.evaluate.batch_size = 8
    return config


def as_flags(config, base):
    """The command line that turns configs/stargan.py into `config`."""
    changes = {k: v for k, v in _flat(config.to_dict()).items() if base.get(k) != v}
    return [f"--config.{name}={_text(value)}" for name, value in changes.items()]


def start(zoo, photos, workdir, steps=6, flags=(), devices=8):
    """The training command in a process of its own, with so many virtual devices."""
    config = tiny_config(zoo, photos, steps)
    arguments = as_flags(config, _flat(stargan.get_config().to_dict()))
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "dfd_jax.train", "--config", "configs/stargan.py"),
            *(*arguments, *flags, "--workdir", str(workdir)),
        ],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120", "XLA_FLAGS": _with_devices(devices)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_step(process, workdir, step, seconds=PATIENCE):
    """Return once the run has logged `step`; fails if it ends or takes too long before that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(record["step"] >= step for record in metrics_log.read_metrics(workdir)):
            return
        if process.poll() is not None:
            raise AssertionError(f"ended before step {step}:\n{process.stdout.read()}")
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"no step {step} within {seconds} s")


def _with_devices(count):
    """XLA's flags of this process, with so many devices."""
    kept = [f for f in os.environ["XLA_FLAGS"].split() if not f.startswith(DEVICES)]
    return " ".join([*kept, f"{DEVICES}={count}"])


def _flat(tree, prefix=""):
    out = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        out.update(_flat(value, f"{name}.") if isinstance(value, dict) else {name: value})
    return out


def _text(value):
    return repr(value) if isinstance(value, tuple) else str(value)
