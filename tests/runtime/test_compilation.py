"""What is compiled is compiled once, and kept for the next start by every command."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import NAMES, tiny_network

from dfd_jax.evaluation import inference
from dfd_jax.runtime import command_line, processes
from dfd_jax.training import steps


def test_an_evaluation_compiles_once_for_all_conditions_and_a_short_last_batch(photos):
    generators = {"stargan": tiny_network("stargan", seed=3)}
    detectors = {"resnet18": tiny_network("resnet18", seed=3)}
    networks = inference.Networks(generators, detectors, NAMES, batch_size=5)
    before = steps.fake_and_judge._cache_size(), steps.judge._cache_size()
    for condition in NAMES[:2]:
        fakes = inference.make_fakes(networks, "stargan", photos, np.zeros((8, 5)), condition)
        assert len(fakes.images) == 8
    inference.judge(networks, photos)
    after = steps.fake_and_judge._cache_size(), steps.judge._cache_size()
    assert after == (before[0] + 1, before[1] + 1)


def test_every_command_line_keeps_what_it_compiles(monkeypatch):
    """`run` sets the cache folder before the command's own work."""
    order = []
    monkeypatch.setattr(command_line.app, "run", lambda guarded: guarded(["command"]))
    monkeypatch.setattr(command_line.flags, "DEFINE_string", lambda *_, **__: None)
    monkeypatch.setattr(command_line, "keep_compiled", lambda: order.append("cache"))
    command_line.run(lambda: order.append("work"), with_config=False)
    assert order == ["cache", "work"]


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


def test_a_step_compiled_ahead_keeps_its_donation_and_compiler_options():
    state = jnp.ones(3)
    step = jax.jit(lambda state, batch: state + batch, donate_argnums=0)
    compiled = processes.compile_step(step, state, jnp.ones(3))
    np.testing.assert_array_equal(compiled(state, jnp.ones(3)), 2 * np.ones(3))
    assert state.is_deleted()
    told = jax.jit(lambda x: x + 1, compiler_options={"no_such_option": "1"})
    with pytest.raises(jax.errors.JaxRuntimeError, match="no_such_option"):
        processes.compile_step(told, jnp.ones(3))
