"""The networks and the training of the benchmark's method in PyTorch, with our weights."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from flax import traverse_util

from converters import core
from dfd_jax.models import warp
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator
from dfd_jax.training import optimizer, setup
from experiments import torch_networks as theirs
from experiments.benchmarks import torch_steps
from experiments.benchmarks.method import Draw, Method
from experiments.benchmarks.torch_steps import CropResize, Drawn, Opponents, TrainStep

FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
NETWORKS: dict[str, Callable[..., torch.Tensor]] = {
    "xception": theirs.xception,
    "resnet18": theirs.resnet,
}


def each_way(
    make: Callable[[torch.memory_format], Callable[[], Any]],
) -> dict[str, Callable[[], Any]]:
    """Calls under every memory format and number of threads, of which the fastest counts."""
    cores = len(os.sched_getaffinity(0))
    return {
        f"{name}, {threads} threads": _threaded(make(layout), threads)
        for name, layout in FORMATS.items()
        for threads in sorted({1, cores})
    }


def _threaded(call: Callable[[], Any], threads: int) -> Callable[[], Any]:
    def run() -> Any:
        torch.set_num_threads(threads)
        return call()

    return run


def images(array: np.ndarray, layout: torch.memory_format) -> torch.Tensor:
    """NHWC arrays as NCHW tensors of this memory format."""
    turned = torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
    return turned.contiguous(memory_format=layout)


def drawn(draw: Draw) -> Drawn:
    """A step's random choices, for PyTorch."""
    return Drawn(vectors(draw.condition), draw.resize)


def vectors(array: Any) -> torch.Tensor:
    """An array without pictures, for PyTorch."""
    return torch.from_numpy(np.array(array))


def train_step(method: Method, layout: torch.memory_format) -> TrainStep:
    """The training of `method`, before its first step."""
    config, t = method.config, method.config.train
    (generator,) = method.against.generators
    resizes = [
        CropResize(*(vectors(matrix) for matrix in resize)) for resize in method.against.resizes
    ]
    schedule = optimizer.learning_rate_schedule(t.learning_rate, t.steps, t.warmup)
    return TrainStep(
        perturber=theirs.unet,
        params=_params(_flat(method.perturber.variables), layout),
        opponents=Opponents(
            generator_of(generator, layout),
            [_detector(net, layout) for net in method.against.detectors],
            resizes,
        ),
        terms=setup.terms(config),
        eps_255=config.budget.eps_255,
        learning_rate=lambda step: np.asarray(schedule(step)).item(),
        clip=t.clip,
    )


def generator_of(net: FrozenGenerator, layout: torch.memory_format) -> Callable[..., torch.Tensor]:
    """StarGAN: images and conditions → fakes."""
    state = placed(torch_state(_flat(net.variables)), layout)
    size = net.card.input_size
    return lambda x, c: theirs.stargan(state, torch_steps.sized(x, size), c)


def _detector(net: FrozenDetector, layout: torch.memory_format) -> Callable[..., torch.Tensor]:
    state = placed(torch_state(_flat(net.variables)), layout)
    forward, size, real = NETWORKS[net.card.model], net.card.input_size, net.card.real_index
    assert real is not None

    def judge(x: torch.Tensor) -> torch.Tensor:
        logits = forward(state, torch_steps.sized(x, size))
        return torch_steps.real_logits(logits, real)

    return judge


def loss_and_gradient(method: Method, photos: np.ndarray, draw: Draw) -> tuple[float, np.ndarray]:
    """Eq. 7 and its gradient with respect to all of P's parameters, as `joined` orders them."""
    twin = train_step(method, torch.contiguous_format)
    values = images(photos, torch.contiguous_format), drawn(draw)
    gradients = dict(zip(twin.params, twin.gradients(*values), strict=True))
    loss = float(twin.loss(*values)[1]["loss"])
    return loss, _joined(gradients)


def joined(arrays: dict[str, Any]) -> np.ndarray:
    """Arrays of P by our names as one vector, in PyTorch's layout."""
    return _joined(_params(arrays, torch.contiguous_format))


def _joined(tensors: dict[str, torch.Tensor]) -> np.ndarray:
    return np.concatenate([tensors[name].numpy().reshape(-1) for name in sorted(tensors)])


def _params(arrays: dict[str, Any], layout: torch.memory_format) -> dict[str, torch.Tensor]:
    hosted = {name: np.array(array) for name, array in arrays.items()}
    return placed(torch_state(theirs.for_pixel_shuffle(hosted)), layout)


def placed(state: dict[str, torch.Tensor], layout: torch.memory_format) -> dict[str, torch.Tensor]:
    """Weights in a memory format."""
    return {
        name: tensor.contiguous(memory_format=layout) if tensor.ndim == 4 else tensor
        for name, tensor in state.items()
    }


def _flat(variables: Any) -> dict[str, np.ndarray]:
    flat = traverse_util.flatten_dict(variables, sep="/")
    return {name: np.array(array) for name, array in flat.items()}


def torch_state(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The same arrays under PyTorch's names and in its layouts."""
    state = {}
    for name, array in arrays.items():
        turned = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        state[core.torch_key(name)] = torch.from_numpy(np.ascontiguousarray(turned))
    if any(key.startswith("kp_detector.") for key in state):  # constants of the original
        window = np.outer(warp.gaussian(4), warp.gaussian(4)).astype(np.float32)
        for part in ("kp_detector", "generator.dense_motion_network"):
            state[f"{part}.down.weight"] = torch.from_numpy(window).expand(3, 1, -1, -1)
    return state
