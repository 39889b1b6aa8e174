"""GANimation as its authors save it, and as the literature on disrupting deepfakes does.

The authors' `net_epoch_30_id_G.pth` has the heads `img_reg` and `attetion_reg` (sic). The other
code's `20001-29-G.ckpt` calls them `im_reg` and `im_att`, and repeats the layers of `main` under
`debug1` to `debug4`: they are checked to be equal and left out. Neither code switches to evaluation
mode, not even to test, so running statistics of the instance norms are ignored.
"""

import re

import numpy as np

from converters.core import Converter, size_of
from converters.reading import State
from dfd_jax.data.expressions import ACTION_UNITS
from dfd_jax.models.frozen import Card

CELEBA_SIZE = 128
_DEBUG = r"^debug[1-4]\."


def _rename(key: str) -> str:
    key = re.sub(r"^im_reg\.", "img_reg.", key)
    return re.sub(r"^im_att\.", "attetion_reg.", key)


def _describe(state: State, keys: set[str]) -> Card:
    _check_repeated(state)
    hyper = {
        "conv_dim": size_of(state, "main.0.weight", 0, 64),
        "c_dim": size_of(state, "main.0.weight", 1, 3 + len(ACTION_UNITS)) - 3,
        "blocks": sum(bool(re.fullmatch(r"main\.\d+\.main\.0\.weight", key)) for key in state),
    }
    numbered = tuple(f"unit_{i}" for i in range(hyper["c_dim"]))
    condition = ACTION_UNITS if hyper["c_dim"] == len(ACTION_UNITS) else numbered
    return Card("ganimation", hyper, CELEBA_SIZE, condition=condition)


def _check_repeated(state: State) -> None:
    """ValueError if a layer under `debug` is not the one of `main` that it must repeat."""
    for key in state:
        original = re.sub(_DEBUG, "main.", key)
        if original != key and not np.array_equal(state[key], state.get(original, np.nan)):
            raise ValueError(
                f"{key} is not a copy of {original}, as it is in every file of this code; "
                "is the file complete, and from one network?"
            )


GANIMATION = Converter(
    describe=_describe,
    rename=_rename,
    ignorable=rf"\.(running_mean|running_var|num_batches_tracked)$|{_DEBUG}",
)
