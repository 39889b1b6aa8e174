"""A training step as a program, kept for the next start.

JAX keeps what its compiler made and finds it by the program's text. To have that text, Python
traces and lowers the step, which takes a third of a second start. Here the text is kept as well
(`jax.export`), and found by what it is made from: the code, the config, and the arguments'
structure and shapes.
"""

import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
from collections.abc import Callable
from typing import Any

import jax
from jax import export

CODE = pathlib.Path(__file__).parent
TRACERS = ("jax", "jaxlib", "flax", "optax", "numpy")
OPTIONS = (  # of JAX, that change a program
    *("jax_enable_x64", "jax_default_matmul_precision", "jax_default_prng_impl", "jax_debug_nans"),
    *("jax_threefry_partitionable", "jax_numpy_dtype_promotion", "jax_numpy_rank_promotion"),
)
MOST = 16  # programs in the folder, less than a MB each; those unused for longest go first

Step = Callable[..., tuple[Any, dict[str, Any]]]


def kept_step(step: Any, about: str, compiler_options: dict[str, str] | None = None) -> Step:
    """The jitted `step(state, *others) → (state, figures)`, which takes its state over, traced once
    for all starts.

    `about` says all that it depends on beside the package's code and its arguments. Programs lie
    beside JAX's compiled ones (`cli.keep_compiled`); without such a folder nothing is kept. They
    do not know the step's `compiler_options`.
    """
    folder = getattr(jax.config, "jax_compilation_cache_dir")  # noqa: B009  it has no type
    if not folder:
        return step
    known: list[Step] = []

    def run(*arguments: Any) -> tuple[Any, dict[str, Any]]:
        if not known:
            path = pathlib.Path(folder, "steps", _name(arguments, about))
            made = _read(path) or _make(path, step, arguments)
            known.append(_callable(made, arguments, compiler_options))
        return known[0](*arguments)

    return run


def _name(arguments: tuple[Any, ...], about: str) -> str:
    """What the program is made from, as a file's name."""
    leaves, tree = jax.tree.flatten(arguments)
    made_from = {
        "about": about,
        "arguments": [str(tree), *(f"{jax.typeof(x)} {x.sharding}" for x in leaves)],
        "versions": [platform.python_version(), *map(importlib.metadata.version, TRACERS)],
        "options": [str(getattr(jax.config, name)) for name in OPTIONS],
        "devices": list(map(str, jax.devices())),
    }
    name = hashlib.sha256(json.dumps(made_from).encode())
    for path in sorted(CODE.rglob("*.py")):
        name.update(path.read_bytes())
    return name.hexdigest()


def _read(path: pathlib.Path) -> tuple[list[str], export.Exported] | None:
    """The names of the figures, and the program; None if there is no such file or it is broken."""
    try:
        figures, _, program = path.read_bytes().partition(b"\n")
        found = json.loads(figures), export.deserialize(bytearray(program))
        path.touch()  # it is in use
    except OSError:
        return None
    except Exception:  # whatever a reader of binary files raises: the step is traced again
        path.unlink(missing_ok=True)
        return None
    return found


def _make(
    path: pathlib.Path, step: Any, arguments: tuple[Any, ...]
) -> tuple[list[str], export.Exported]:
    """Trace the step, and keep it if that is possible."""
    leaves, tree = jax.tree.flatten(arguments)
    figures: list[str] = []

    def flat(*leaves: Any) -> list[Any]:
        state, found = step(*jax.tree.unflatten(tree, leaves))
        figures[:] = sorted(found)
        return jax.tree.leaves((state, found))

    program = export.export(jax.jit(flat))(*leaves)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_bytes(json.dumps(figures).encode() + b"\n" + program.serialize())
        part.replace(path)
        by_age = sorted(path.parent.glob("[0-9a-f]*"), key=lambda found: found.stat().st_mtime)
        for old in by_age[:-MOST]:
            old.unlink(missing_ok=True)
    except OSError:  # a full disk, or a folder that is read only: this start has its program
        pass
    return figures, program


def _callable(
    made: tuple[list[str], export.Exported],
    arguments: tuple[Any, ...],
    compiler_options: dict[str, str] | None,
) -> Step:
    figures, program = made
    out = jax.tree.structure((arguments[0], dict.fromkeys(figures, 0)))

    def step(*arguments: Any) -> tuple[Any, dict[str, Any]]:
        return jax.tree.unflatten(out, program.call(*jax.tree.leaves(arguments)))

    return jax.jit(step, donate_argnums=0, compiler_options=compiler_options)
