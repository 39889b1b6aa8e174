"""First Order Motion Model as its authors save it: `vox-cpk.pth.tar`, `vox-adv-cpk.pth.tar`.

One file holds the generator, the keypoint detector, the discriminator, their optimizers and the
epoch. The first two become one network. The temperature and variance of the keypoints are not
in the file; the authors use the same values everywhere.
"""

import re

import numpy as np

from converters.core import Converter, size_of
from converters.reading import State
from dfd_jax.models import warp
from dfd_jax.models.frozen import Card

SIZE = 256
DETECTOR, MOTION = "kp_detector", "generator.dense_motion_network"


def _describe(state: State, keys: set[str]) -> Card:
    num_kp = size_of(state, f"{DETECTOR}.kp.weight", 0, 10)
    jacobians = size_of(state, f"{DETECTOR}.jacobian.weight", 0, 0) // 4
    hyper = {
        "num_kp": num_kp,
        "estimate_jacobian": jacobians > 0,
        "single_jacobian_map": jacobians == 1 < num_kp,
        **_hourglass(state, "kp", DETECTOR, f"{DETECTOR}.predictor"),
        "block_expansion": size_of(state, "generator.first.conv.weight", 0, 64),
        "max_features": _widest(state, r"generator\.down_blocks\."),
        "num_down_blocks": _count(state, r"generator\.down_blocks\.\d+"),
        "num_bottleneck_blocks": _count(state, r"generator\.bottleneck\.r\d+"),
        "estimate_occlusion_map": f"{MOTION}.occlusion.weight" in state,
        **_hourglass(state, "motion", MOTION, f"{MOTION}.hourglass"),
    }
    return Card("fomm", hyper, SIZE, input_mean=(0.0,) * 3, input_std=(1.0,) * 3)


def _hourglass(state: State, label: str, owner: str, name: str) -> dict[str, float]:
    blocks = _count(state, rf"{re.escape(name)}\.encoder\.down_blocks\.\d+")
    last = f"{name}.decoder.up_blocks.{blocks - 1}.conv.weight"
    return {
        f"{label}_block_expansion": size_of(state, last, 0, 64),
        f"{label}_num_blocks": blocks,
        f"{label}_max_features": _widest(state, rf"{re.escape(name)}\.encoder\."),
        f"{label}_scale_factor": _scale(state, f"{owner}.down.weight"),
    }


def _scale(state: State, key: str) -> float:
    """The factor by which images are shrunk, from the Gaussian kernel that smooths them before."""
    if key not in state:
        return 1.0
    kernel = state[key]
    factor = 1 + (kernel.shape[-1] - 1) // 4
    window = warp.gaussian(factor) if factor > 1 else np.ones(1)
    expected = np.broadcast_to(np.outer(window, window), (3, 1, len(window), len(window)))
    if kernel.shape != expected.shape or not np.allclose(kernel, expected, atol=1e-5):
        raise ValueError(
            f"{key} {kernel.shape}: not the Gaussian with which the authors' code smooths images "
            "before it shrinks them; this network was modified and cannot be converted"
        )
    return 1 / factor


def _count(state: State, pattern: str) -> int:
    matches = (re.match(pattern, key) for key in state)
    return len({match.group() for match in matches if match})


def _widest(state: State, pattern: str) -> int:
    weights = (a for k, a in state.items() if re.match(pattern + r".*conv\.weight$", k))
    return max((array.shape[0] for array in weights), default=512)


FOMM = Converter(
    describe=_describe,
    ignorable=r"\.num_batches_tracked$|^(kp_detector|generator\.dense_motion_network)\.down\.weight$",
    parts=("generator", "kp_detector"),
    left_out=r"discriminator|optimizer_(generator|discriminator|kp_detector)|epoch",
)
