"""First Order Motion Model: network.py computes one frame, animator.py whole driving clips."""

from dfd_jax.models.generators.fomm.animator import FOMM
from dfd_jax.models.generators.fomm.motion import KeyPoints, Motion
from dfd_jax.models.generators.fomm.network import FirstOrderMotionModel

__all__ = ["FOMM", "FirstOrderMotionModel", "KeyPoints", "Motion"]
