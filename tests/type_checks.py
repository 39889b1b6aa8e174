"""Checks the types and array shapes of every call into the project, in all tests."""

import functools
import typing
from collections.abc import Callable
from typing import Any

import beartype
import jax
import jaxtyping
import numpy as np

PACKAGES = ["dfd_jax", "converters", "experiments"]

_checked = beartype.beartype(
    conf=beartype.BeartypeConf(
        is_pep484_tower=True,  # an int is a float
        # The hook decorates methods, not classes: beartype cannot tell what Self is.
        hint_overrides=beartype.FrozenDict({typing.Self: object}),
    )
)


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """The decorator that the import hook puts on every function, method and dataclass."""
    checked = _checked(function)
    if function.__name__ != "__init__":
        return checked

    @functools.wraps(function)
    def init(self: object, *args: Any, **kwargs: Any) -> Any:
        # JAX rebuilds pytrees with other leaves: of one example under vmap, booleans, None.
        is_pytree = hasattr(type(self), "_flax_dataclass")
        return (function if is_pytree else checked)(self, *args, **kwargs)

    return init


def install() -> None:
    """Call before the first import of the project.

    As for JAX itself, a NumPy array is as good an argument as one of JAX's: its shape and kind of
    numbers are what is checked.
    """
    jaxtyping.Array = jax.Array | np.ndarray  # what `from jaxtyping import Array` gives from now on
    jaxtyping.install_import_hook(PACKAGES, f"{__name__}.check")
