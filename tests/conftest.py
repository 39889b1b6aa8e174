"""Eight virtual CPU devices, checked types and one compilation cache for every test."""

import atexit
import ctypes
import gc
import os
import pathlib
import shutil
import tempfile


def add_xla_flag(name: str, value: int) -> None:
    """Sets an XLA flag unless the caller's XLA_FLAGS already do."""
    flags = os.environ.get("XLA_FLAGS", "")
    if name not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{name}={value}".strip()


def cache_folder() -> str:
    """A folder for compiled programs that outlives this run, if the user's cache is writable."""
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = base / "dfd_jax" / "tests"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return str(folder)
    except OSError:  # read-only, full or no home at all
        folder = tempfile.mkdtemp(prefix="dfd-xla-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return folder


# Set before JAX is imported; processes that tests start inherit all of it.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # for workers: more arenas keep more freed memory
add_xla_flag("xla_force_host_platform_device_count", 8)
add_xla_flag("xla_backend_optimization_level", 0)  # tests mostly compile: this halves it
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # JAX's keys tell processors and flags apart
    os.environ["JAX_COMPILATION_CACHE_DIR"] = cache_folder()
    # reading the smallest program takes a third of the time of compiling it
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import type_checks  # after the environment, which JAX reads when it is imported

type_checks.install()

import jax
import jaxtyping
import numpy as np
import pytest
from absl import flags
from tiny_networks import tiny_network

from dfd_jax import models


def pytest_configure(config):
    gc.set_threshold(200_000, 50, 100)  # tracing makes many objects that live long
    flags.FLAGS.mark_as_parsed()  # grain's worker processes read absl flags


@pytest.fixture(scope="module", autouse=True)
def forget_compiled_programs():
    """Frees what a file has compiled: a worker would otherwise keep gigabytes of programs."""
    yield
    jax.clear_caches()
    gc.collect()
    return_freed_memory()


def return_freed_memory() -> None:
    """Gives freed memory back to the system where the C library can do that (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


@pytest.fixture
def without_type_checks():
    """For what a function says to arguments of another type, and for stand-ins of a network."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def tiny():
    """`tiny(model, size=16, seed=0)`: a small random network."""
    return tiny_network


@pytest.fixture(scope="session")
def tiny_zoo(tmp_path_factory):
    """Weights files of small random networks, by model name."""
    folder = tmp_path_factory.mktemp("zoo")
    paths = {}
    for model in ("stargan", "resnet18", "xception", "unet"):
        net = tiny_network(model)
        paths[model] = folder / f"{model}.safetensors"
        models.save(paths[model], net.variables, net.card)
    return paths


@pytest.fixture
def photos():
    """Eight 16-pixel pictures, uint8, with structure at several scales."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 4, 4, 3)).repeat(4, 1).repeat(4, 2)
    return np.clip(coarse + rng.integers(-20, 21, (8, 16, 16, 3)), 0, 255).astype(np.uint8)
