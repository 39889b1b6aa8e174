"""Every network of the project: one table, `build` for new ones, `load` and `save` for weights files.

    net = models.load("detector.safetensors")       # or models.load("zoo:xception")
    p_real = net(images)                            # see frozen.py for the two levels of use
"""

import hashlib
import json
import os
import pathlib
import tempfile
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dfd_jax.models import frozen
from dfd_jax.models.frozen import Card, FrozenNetwork

ZOO = pathlib.Path(__file__).parent.parent / "zoo"


class Model(NamedTuple):
    """A row of the table: the Flax module, how to call it frozen, shapes of its raw inputs."""

    module: type[nn.Module]
    frozen: type[FrozenNetwork]


MODELS: dict[str, Model] = {}
