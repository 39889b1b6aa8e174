"""Random arrays, and comparing two functions by their values and gradients."""

import chex
import jax
import jax.numpy as jnp
import numpy as np


def random(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape), jnp.float32)


def assert_alike(found, expected, *arguments):
    """Both functions' values and gradients."""

    def run(function):
        def outputs_and_gradients(*arguments):
            outputs, back = jax.vjp(function, *arguments)
            return outputs, back(random(*outputs.shape, seed=9))

        return jax.tree.leaves(jax.jit(outputs_and_gradients)(*arguments))

    ours, theirs = run(found), run(expected)
    chex.assert_trees_all_equal_shapes_and_dtypes(ours, theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * float(abs(other).max()) + 1e-7)
