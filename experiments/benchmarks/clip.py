"""A First Order Motion Model from a PyTorch checkpoint, over a whole clip, compared with PyTorch.

The checkpoint is written and converted as a user would do it, then a drawn face follows a drawn
clip. Both sides find the keypoints of all frames themselves.
"""

import argparse
import pathlib
import tempfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from converters import __main__ as cli
from dfd_jax import models, pixels
from dfd_jax.data.synthetic import FaceParameters
from dfd_jax.data.synthetic.motions import render_motion
from dfd_jax.models.frozen import Card
from dfd_jax.models.generators.fomm import FOMM
from experiments import torch_networks as theirs
from experiments.benchmarks import torch_side
from experiments.benchmarks.page import Page
from experiments.benchmarks.seeded_weights import seeded_arrays

MOTION = "yaw"
ALLOWED = 2e-4  # on [0, 1], what the recordings of the original ask for


def run(args: argparse.Namespace, console: Console) -> tuple[dict[str, Any], Page]:
    """The published sizes over a clip of `args.frames` frames of `args.size` px."""
    result = compare(args.size, args.frames, console)
    row = {
        "frames": str(result["frames"]),
        "side": str(result["size"]),
        "largest difference": f"{result['largest']:.1e}",
        "allowed": f"{result['allowed']:.0e}",
    }
    note = "Largest difference of any pixel over all frames, on [0, 1]."
    return result, Page("A reenacted clip compared with PyTorch", note, [row])


def compare(size: int, frames: int, console: Console, **hyper: Any) -> dict[str, Any]:
    """The largest difference between the two sides over all frames of a clip.

    `hyper` are sizes of the network other than the published ones. ValueError if the difference is
    larger than allowed.
    """
    arrays = seeded_arrays(models.variable_shapes(Card("fomm", hyper, size)))
    state = torch_side.torch_state(calmed(arrays))
    net = converted(state, size)
    clip = render_motion(MOTION, FaceParameters(), frames, size)
    source = render_motion("mouth", FaceParameters(skin_tone=0.8), 1, size)
    ours = our_frames(net, source, clip)
    largest = 0.0
    for number in track(range(frames), "clip", console=console, transient=True):
        inputs = [_tensor(source), _tensor(clip[number : number + 1]), _tensor(clip[:1])]
        with torch.inference_mode():
            expected = (
                theirs.fomm_animate(state, *inputs, adapt_scale=True).permute(0, 2, 3, 1).numpy()
            )
        largest = max(largest, float(np.abs(ours[number] - expected[0]).max()))
    if not largest <= ALLOWED:
        raise ValueError(f"clip: off by {largest:.1e} on [0, 1], allowed {ALLOWED:.0e}")
    return {"frames": frames, "size": size, "largest": largest, "allowed": ALLOWED}


def calmed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same weights, but Jacobians near the identity, as training starts them and keeps them.

    Those of random weights may be singular, and their inverses then have no digits to compare.
    """
    head = "params/kp_detector/jacobian"
    kernel, bias = arrays[f"{head}/kernel"], arrays[f"{head}/bias"]
    identity = np.tile(np.eye(2, dtype=np.float32).reshape(4), len(bias) // 4)
    return arrays | {f"{head}/kernel": 0.1 * kernel, f"{head}/bias": identity}


def converted(state: dict[str, torch.Tensor], size: int) -> FOMM:
    """Our network, from a checkpoint in the authors' layout with these weights."""
    content = {part: theirs.part(state, f"{part}.") for part in ("generator", "kp_detector")}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = pathlib.Path(folder, "vox-cpk.pth.tar")
        out = checkpoint.with_suffix(".safetensors")
        torch.save(content, checkpoint)
        cli.main(["fomm", str(checkpoint), str(out), "--input-size", str(size)])
        net = models.load(out)
    assert isinstance(net, FOMM)
    return net


def our_frames(net: FOMM, source: np.ndarray, clip: np.ndarray) -> np.ndarray:
    """The source in every frame of the clip, on [0, 1]."""
    known = net.with_motions({MOTION: clip}, len(clip))
    condition = known.test_condition(jnp.zeros((1, 0)), MOTION)
    photo = pixels.from_uint8(jnp.asarray(source))
    fakes = jax.jit(lambda net, *inputs: net(*inputs))(known, photo, condition)
    return np.asarray((fakes + 1) / 2)


def _tensor(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames.transpose(0, 3, 1, 2) / np.float32(255))
