"""All networks of the project: one table, `build` for new ones, `load` and `save` for files.

net = models.load("detector.safetensors")       # or models.load("zoo:xception")
p_real = net(images)                            # see frozen.py for the two levels of use
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
import zlib
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dfd_jax.models.detectors.efficientnet import EfficientNet
from dfd_jax.models.detectors.multi_attentional import MultiAttentional
from dfd_jax.models.detectors.resnet import ResNet18, ResNet50
from dfd_jax.models.detectors.xception import Xception
from dfd_jax.models.frozen import Card, FrozenDetector, Network, Perturber
from dfd_jax.models.generators.fomm import FOMM, FirstOrderMotionModel
from dfd_jax.models.generators.ganimation import AttentionGenerator, GANimation
from dfd_jax.models.generators.stargan import Discriminator, Generator, StarGAN
from dfd_jax.models.perturbers.resnet import ResNetPerturber
from dfd_jax.models.perturbers.unet import UNet
from dfd_jax.models.tpu import stargan as tpu_stargan
from dfd_jax.models.tpu import unet as tpu_unet
from dfd_jax.models.tpu import xception as tpu_xception
from dfd_jax.runtime.files import atomic_write

ZOO = pathlib.Path(__file__).parent.parent / "zoo"


class Model(NamedTuple):
    """A row of the table: the Flax module, and its wrapper once its variables are known.

    Every module has a method `example_inputs(size)`: its raw inputs for a batch of one (zeros). It
    may have `initial_arrays()`: by name, arrays whose first values are not those of `_initial`.
    """

    module: type[nn.Module]
    frozen: type[Network]
    on_tpu: type[nn.Module] | None = None  # the same network in the memory layouts of a TPU


MODELS: dict[str, Model] = {
    "stargan": Model(Generator, StarGAN, tpu_stargan.Generator),
    "stargan_discriminator": Model(Discriminator, Network),
    "ganimation": Model(AttentionGenerator, GANimation, tpu_stargan.AttentionGenerator),
    "resnet18": Model(ResNet18, FrozenDetector),
    "resnet50": Model(ResNet50, FrozenDetector),
    "xception": Model(Xception, FrozenDetector, tpu_xception.Xception),
    "efficientnet": Model(EfficientNet, FrozenDetector),
    "multi_attentional": Model(MultiAttentional, FrozenDetector),
    "fomm": Model(FirstOrderMotionModel, FOMM),
    "unet": Model(UNet, Perturber, tpu_unet.UNet),
    "resnet_perturber": Model(ResNetPerturber, Perturber),
}


def build(card: Card, seed: int = 0, dtype: Any = jnp.float32) -> Network:
    """The network of a card with first values from a seed, the same on every platform.

    ValueError if the model is unknown or its hyper-parameters do not fit.
    """
    module = _module(card, dtype)
    arrays = {n: _initial(n, shape, seed) for n, shape in variable_shapes(card).items()}
    arrays |= getattr(module, "initial_arrays", dict)()
    variables = jax.device_put(traverse_util.unflatten_dict(arrays, sep="/"))
    return MODELS[card.model].frozen(variables=variables, module=module, card=card)


def outline(card: Card, dtype: Any = jnp.float32, platform: str | None = None) -> Network:
    """The network of a card with shapes in the place of its variables.

    To compile ahead of time for a `platform` (None: this machine's), without computing anything.
    ValueError as for `build`.
    """
    flat = variable_shapes(card)
    shapes = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in flat.items()}
    variables = traverse_util.unflatten_dict(shapes, sep="/")
    module = _module(card, dtype, platform)
    return MODELS[card.model].frozen(variables=variables, module=module, card=card)


def load(path: str | os.PathLike[str], dtype: Any = jnp.float32) -> Network:
    """The network in a `.safetensors` file, or in the package's zoo under the name `zoo:NAME`.

    Variables are float32 whatever the file holds; the network computes in `dtype`.
    ValueError lists every missing, unexpected or misshapen array; FileNotFoundError names the zoo.
    """
    path = _resolve(path)
    content = path.read_bytes()
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable .safetensors file ({error})") from error
    if "card" not in metadata:
        raise ValueError(
            f"{path}: no card in the file's header, so its network is unknown. "
            "Make the file with `python -m converters` or dfd_jax.models.save."
        )
    card = Card.from_json(metadata["card"], sha256=hashlib.sha256(content).hexdigest())
    module = _module(card, dtype)
    if path.parent != ZOO:  # tests check the zoo's files; tracing takes longer than all the rest
        _check_names(arrays, card, path)
    wide = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    variables = jax.device_put(traverse_util.unflatten_dict(wide, sep="/"))
    return MODELS[card.model].frozen(variables=variables, module=module, card=card)


def save(path: str | os.PathLike[str], variables: Any, card: Card, dtype: Any = np.float32) -> None:
    """Write a weights file and its card (NAME.json in the same folder), each atomically.

    `dtype` is the precision on disk (the zoo uses float16). ValueError as for `load`.
    """
    path = pathlib.Path(path)
    flat = traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    arrays = {name: np.ascontiguousarray(value, dtype) for name, value in flat.items()}
    _check_names(arrays, card, path)
    with atomic_write(path) as weights, atomic_write(path.with_suffix(".json")) as text:
        text.write_text(card.to_json() + "\n", encoding="utf-8")
        save_file(arrays, weights, metadata={"card": card.to_json()})
        weights.chmod(text.stat().st_mode)  # save_file makes it readable for its owner only


def variable_shapes(card: Card) -> dict[str, tuple[int, ...]]:
    """`/`-joined names of a network's variables → shapes, without computing anything."""
    return dict(_variable_shapes(dataclasses.replace(card, source={}, info={})))


@functools.cache  # tracing a large network takes seconds
def _variable_shapes(card: Card) -> dict[str, tuple[int, ...]]:
    module = _module(card, jnp.float32)
    tree = jax.eval_shape(module.init, jax.random.key(0), *_example_inputs(module, card))
    flat: dict[str, Any] = traverse_util.flatten_dict(tree, sep="/")
    return {name: leaf.shape for name, leaf in flat.items()}


def mismatches(
    shapes: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]
) -> list[str]:
    """One line for each name that is missing, unexpected or misshapen."""
    lines = [f"missing     {n} {expected[n]}" for n in expected if n not in shapes]
    lines += [f"unexpected  {n} {shapes[n]}" for n in shapes if n not in expected]
    lines += [
        f"misshapen   {n}: found {shapes[n]}, expected {expected[n]}"
        for n in expected
        if n in shapes and shapes[n] != expected[n]
    ]
    return lines


def zoo_names() -> list[str]:
    """Names of the networks that ship with the package."""
    return sorted(p.stem for p in ZOO.glob("*.safetensors"))


def _resolve(path: str | os.PathLike[str]) -> pathlib.Path:
    text = os.fspath(path)
    if text.startswith("zoo:"):
        file = ZOO / f"{text[4:]}.safetensors"
        if not file.exists():
            raise FileNotFoundError(f"{text}: not in the zoo, which has {', '.join(zoo_names())}")
        return file
    if not os.path.exists(text):
        raise FileNotFoundError(f"{text}: no such weights file (the zoo's are called zoo:NAME)")
    return pathlib.Path(text)


def _module(card: Card, dtype: Any, platform: str | None = None) -> nn.Module:
    """The Flax module of a card, for a platform: this machine's unless given.

    This is where the networks of tpu/ are chosen. operations.py chooses single operations.
    """
    if card.model not in MODELS:
        raise ValueError(f"unknown model {card.model!r}; known: {', '.join(sorted(MODELS))}")
    hyper = {k: tuple(v) if isinstance(v, list) else v for k, v in card.hyper.items()}
    row, is_tpu = MODELS[card.model], (platform or jax.default_backend()) == "tpu"
    module = row.on_tpu if is_tpu and row.on_tpu else row.module
    try:
        return module(**hyper, dtype=dtype)
    except TypeError as error:
        raise ValueError(f"{card.model}: hyper-parameters do not fit ({error})") from error


def _example_inputs(module: nn.Module, card: Card) -> tuple[Any, ...]:
    return module.example_inputs(card.input_size)  # pyright: ignore[reportAttributeAccessIssue]


def _initial(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The first value of an array, computed on the host: compiling `module.init` takes far longer.

    Kernels are normal with variance 1 / fan-in (LeCun); norms start as the identity.
    """
    leaf = name.rpartition("/")[2]
    if leaf == "kernel":
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        scale = 1.0 / np.sqrt(np.prod(shape[:-1]))
        return rng.normal(0.0, scale, shape).astype(np.float32)
    constants = {"scale": 1.0, "bias": 0.0, "mean": 0.0, "var": 1.0}
    return np.full(shape, constants[leaf], np.float32)


def _check_names(arrays: dict[str, np.ndarray], card: Card, path: pathlib.Path) -> None:
    """ValueError with every array that is missing, unexpected or misshapen."""
    lines = mismatches({n: a.shape for n, a in arrays.items()}, variable_shapes(card))
    if lines:
        listing = "\n  ".join(lines)
        raise ValueError(f"{path}: {len(lines)} arrays do not fit the network:\n  {listing}")
