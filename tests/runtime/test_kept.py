"""A step that was traced once is not traced again by the next start."""

import jax
import jax.numpy as jnp
import pytest

from dfd_jax.runtime import sharding
from dfd_jax.runtime.kept import kept_step


class Traced:
    """A step that counts how often it is traced."""

    def __init__(self):
        self.count = 0
        self.step = jax.jit(self._step, donate_argnums=0)

    def _step(self, state, batch, key):
        self.count += 1
        noise = jax.random.normal(key, batch.shape)
        moved = {"w": state["w"] + (batch * noise).sum()}
        return moved, {"mean": batch.mean(), "norm": jnp.square(moved["w"]).sum()}


@pytest.fixture
def cache(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", before)


def arguments():
    mesh = sharding.make_mesh()
    batch = sharding.shard_batch({"x": jnp.arange(16.0).reshape(8, 2)}, mesh)["x"]
    state, key = sharding.replicate(({"w": jnp.ones(3)}, jax.random.key(7)), mesh)
    return state, batch, key


def two_steps(traced, about="a config"):
    step = kept_step(traced.step, about)
    state, batch, key = arguments()
    state, _ = step(state, batch, key)
    state, figures = step(state, batch, key)
    return jax.device_get((state, figures))


def test_the_next_start_traces_nothing_and_gives_the_same(cache):
    first, second, plain = Traced(), Traced(), Traced()
    expected = two_steps(first)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, two_steps(second), expected))
    assert (first.count, second.count) == (1, 0)
    state, batch, key = arguments()
    state, _ = plain.step(state, batch, key)
    assert jax.tree.all(jax.tree.map(jnp.allclose, plain.step(state, batch, key), expected))


def test_a_step_takes_its_state_over(cache):
    state, batch, key = arguments()
    kept_step(Traced().step, "a config")(state, batch, key)
    assert state["w"].is_deleted()


def test_another_config_is_another_program(cache):
    two_steps(Traced())
    other = Traced()
    two_steps(other, about="another config")
    assert other.count == 1
    assert len(list((cache / "steps").iterdir())) == 2


def test_a_broken_file_is_made_anew(cache):
    expected = two_steps(Traced())
    (path,) = (cache / "steps").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    again, last = Traced(), Traced()
    assert jax.tree.all(jax.tree.map(jnp.array_equal, two_steps(again), expected))
    two_steps(last)
    assert (again.count, last.count) == (1, 0)


def test_without_a_folder_nothing_is_kept():
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        step = Traced().step
        assert kept_step(step, "a config") is step
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_the_compiler_is_told_what_the_step_asks_for(cache):
    with pytest.raises(jax.errors.JaxRuntimeError, match="no_such_option"):
        kept_step(Traced().step, "a config", {"no_such_option": "1"})(*arguments())
