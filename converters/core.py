"""What all converters share: rules for arrays, the strict check of keys, and the card.

Our modules carry PyTorch's key names, so a conversion needs one rule for each kind of array:

    params/NAME/kernel      NAME.weight     (out, in, h, w) → (h, w, in, out), (out, in) → (in, out)
    params/NAME/scale       NAME.weight     norms
    params/NAME/bias        NAME.bias
    batch_stats/NAME/mean   NAME.running_mean
    batch_stats/NAME/var    NAME.running_var

A transposed convolution is (in, out, h, w) there and (h, w, out, in) here: the same permutation.
"""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from flax import traverse_util

from converters import reading
from converters.reading import State
from dfd_jax import models
from dfd_jax.models.frozen import Card

VERSION = 1  # raised whenever the same checkpoint would convert to different numbers or cards

_LEAVES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user may say about a checkpoint; None: the converter's default."""

    input_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    real_index: int | None = None
    condition: tuple[str, ...] | None = None
    align_corners: bool = False  # First Order Motion Model: sample as PyTorch before 1.3
    info: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Converter:
    """How one family of networks is converted."""

    describe: Callable[[State, set[str]], Card]  # state by our names, keys of the file → card
    rename: Callable[[str], str] = lambda key: key  # a key of the file → our name for it
    ignorable: str = r"\.num_batches_tracked$"  # keys (our names) that hold nothing we need
    parts: tuple[str, ...] = ()  # networks that one file holds, each in a dict of its own
    left_out: str = ""  # entries of such a file that are ignored, as a regular expression


def convert(
    name: str, converter: Converter, path: str | os.PathLike[str], options: Options
) -> tuple[dict[str, Any], Card]:
    """The variables and the card of the network in a checkpoint file.

    ValueError if the file is of another network, or lists all keys that do not fit.
    """
    if converter.parts:
        state = reading.read_parts(path, converter.parts, converter.left_out)
    else:
        state = reading.read_state(path)
    variables, card = convert_state(name, converter, state, options, path)
    source = {
        "file": pathlib.Path(path).name,
        "sha256": hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest(),
        "converter": name,
        "converter_version": VERSION,
    }
    return variables, dataclasses.replace(card, source=source)


def convert_state(
    name: str,
    converter: Converter,
    tensors: State,
    options: Options,
    path: str | os.PathLike[str] = "state dict",
) -> tuple[dict[str, Any], Card]:
    """The same for a state dict in memory; errors call it `path`."""
    _check_family(name, tensors, path)
    originals = {converter.rename(key): key for key in tensors}
    if len(originals) < len(tensors):
        twice = sorted(set(tensors) - set(originals.values()))
        raise ValueError(f"{path}: two keys for the same array, for instance {twice[0]}")
    state = {ours: _as_4d(ours, tensors[key]) for ours, key in originals.items()}
    card = apply_options(converter.describe(state, set(tensors)), options)
    state = {k: v for k, v in state.items() if not re.search(converter.ignorable, k)}
    expected = models.variable_shapes(card)
    check(state, expected, originals, path)
    flat = {n: to_flax(state[torch_key(n)]) for n in expected}
    return traverse_util.unflatten_dict(flat, sep="/"), card


def apply_options(card: Card, options: Options) -> Card:
    """The card with the user's options. ValueError if they contradict the checkpoint."""
    changes: dict[str, Any] = {
        "input_size": options.input_size,
        "input_mean": options.mean,
        "input_std": options.std,
        "real_index": options.real_index,
        "condition": options.condition,
        "info": options.info or None,
    }
    classes, labels = card.hyper.get("num_classes"), len(card.condition)
    if options.real_index is not None and classes != 2:
        raise ValueError(
            f"--real-index: this {card.model} has "
            f"{'no classes' if classes is None else f'{classes} classes'}, not real and fake"
        )
    if options.input_size not in (None, card.hyper.get("image_size", options.input_size)):
        raise ValueError(f"--input-size: this {card.model} works at {card.input_size} px only")
    if options.condition is not None and len(options.condition) != labels:
        raise ValueError(
            f"--condition: {len(options.condition)} names given, the network has {labels} labels"
        )
    if options.align_corners:
        if not hasattr(models.MODELS[card.model].module, "align_corners"):
            raise ValueError(f"--align-corners: a {card.model} does not sample at positions")
        changes["hyper"] = {**card.hyper, "align_corners": True}
    return dataclasses.replace(card, **{k: v for k, v in changes.items() if v is not None})


def torch_key(name: str) -> str:
    """The PyTorch key that belongs to one of our `/`-joined names."""
    collection, *modules, leaf = name.split("/")
    return ".".join([*modules, _LEAVES[collection, leaf]])


def to_flax(array: np.ndarray) -> np.ndarray:
    """An array of a PyTorch layer in the layout of the Flax layer."""
    return np.ascontiguousarray(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T)


def to_torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The PyTorch shape of an array that has this shape in Flax."""
    return (shape[3], shape[2], shape[0], shape[1]) if len(shape) == 4 else shape[::-1]


def check(
    state: State,
    expected: dict[str, tuple[int, ...]],
    originals: dict[str, str],
    path: str | os.PathLike[str],
) -> None:
    """ValueError with every missing, unexpected and misshapen key, in the file's own names."""
    prefix = next((o.removesuffix(n) for n, o in originals.items() if o.endswith(n)), "")

    def in_file(ours: str) -> str:
        return originals.get(ours, prefix + ours)

    wanted = {in_file(torch_key(n)): to_torch_shape(s) for n, s in expected.items()}
    lines = models.mismatches({in_file(k): a.shape for k, a in state.items()}, wanted)
    if lines:
        listing = "\n  ".join(lines)
        raise ValueError(f"{path}: {len(lines)} keys do not fit the network:\n  {listing}")


def size_of(state: State, key: str, axis: int, default: int) -> int:
    """One dimension of an array; the default if the key is missing, which `check` then reports."""
    array = state.get(key)
    return default if array is None or array.ndim <= axis else array.shape[axis]


def _as_4d(name: str, array: np.ndarray) -> np.ndarray:
    """Files of very old PyTorch versions hold 1x1 convolutions as matrices."""
    is_matrix = name.endswith(".pointwise.weight") and array.ndim == 2
    return array[:, :, None, None] if is_matrix else array


def _check_family(name: str, state: State, path: str | os.PathLike[str]) -> None:
    recognised = reading.recognise(state)
    if recognised is None:
        some = ", ".join(list(state)[:6])
        raise ValueError(f"{path}: not a {name} checkpoint; its keys begin with {some}")
    label, converter = recognised
    if converter != name:
        what = f"use `python -m converters {converter}`" if converter else "it has no converter yet"
        raise ValueError(f"{path}: not a {name} checkpoint; it looks like {label}: {what}")
