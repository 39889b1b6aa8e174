"""DeepFake Disrupter in JAX: protect face photos against deepfakes in one forward pass.

    import dfd_jax

    protector = dfd_jax.Protector(dfd_jax.load("zoo:disrupter_stargan"))
    protected = protector.protect_many([photo])  # uint8 [h, w, 3], any size

Importing the package is cheap: JAX and Flax are imported on the first use of a name below.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfd_jax.method.protector import Protector
    from dfd_jax.models import load
    from dfd_jax.models.frozen import (
        Card,
        FrozenDetector,
        FrozenGenerator,
        Network,
        Perturber,
    )

__version__ = "0.1.0"
__all__ = [
    "Card",
    "FrozenDetector",
    "FrozenGenerator",
    "Network",
    "Perturber",
    "Protector",
    "__version__",
    "load",
]

_DEFINED_IN = {
    "Card": "dfd_jax.models.frozen",
    "FrozenDetector": "dfd_jax.models.frozen",
    "FrozenGenerator": "dfd_jax.models.frozen",
    "Network": "dfd_jax.models.frozen",
    "Perturber": "dfd_jax.models.frozen",
    "Protector": "dfd_jax.method.protector",
    "load": "dfd_jax.models",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_DEFINED_IN[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
