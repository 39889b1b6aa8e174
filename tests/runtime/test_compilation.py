"""What is compiled is compiled once, and kept for the next start by every command."""

import pathlib

import jax
import numpy as np
import pytest
from tiny_networks import NAMES, tiny_network

from dfd_jax.evaluation import inference
from dfd_jax.runtime import command_line
from dfd_jax.training import steps

ROOT = pathlib.Path(__file__).parents[2]
# or only to look at the program
COMPILE_NOTHING = ("flops.py", "memory.py", "pack.py", "publish.py", "tpu_plan.py")


def test_an_evaluation_compiles_once_for_all_conditions_and_a_short_last_batch(photos):
    generators = {"stargan": tiny_network("stargan", seed=3)}
    detectors = {"resnet18": tiny_network("resnet18", seed=3)}
    networks = inference.Networks(generators, detectors, NAMES, batch_size=5)
    before = steps.fake_and_judge._cache_size(), steps.judge._cache_size()
    for condition in NAMES[:2]:
        found = inference.make_fakes(networks, "stargan", photos, np.zeros((8, 5)), condition)
        assert len(found.images) == 8
    inference.judge(networks, photos)
    after = steps.fake_and_judge._cache_size(), steps.judge._cache_size()
    assert after == (before[0] + 1, before[1] + 1)


def commands():
    """Every file that runs as a command and may compile."""
    files = [*(ROOT / "dfd_jax").rglob("*.py"), *(ROOT / "experiments").glob("*.py")]
    return [f for f in files if '__name__ == "__main__"' in f.read_text() and not skipped(f)]


def skipped(path):
    return path.name in COMPILE_NOTHING or path.name == "__main__.py"


@pytest.mark.parametrize("path", commands(), ids=lambda path: path.stem)
def test_every_command_keeps_what_it_compiles(path):
    text = path.read_text()
    starts = ("cli.run(main", "cli.keep_compiled()", 'run("', "run_figure(")
    assert any(start in text for start in starts), f"{path.name} never calls cli.keep_compiled"


def test_compiled_programs_are_kept_in_the_users_cache_folder(monkeypatch, tmp_path):
    told = {}
    monkeypatch.setattr(jax.config, "update", told.__setitem__)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    command_line.keep_compiled()
    assert told["jax_compilation_cache_dir"] == str(tmp_path / "dfd_jax" / "xla")
    told.clear()
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    command_line.keep_compiled()
    assert told == {}
