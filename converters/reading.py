"""PyTorch checkpoint files → dictionaries of NumPy arrays. Nothing in a file is ever executed.

Both containers are read: the zip of torch 1.6 and later, and the bare pickle sequence before it.
"""

import os
import pickle
import re
import struct
import warnings
from collections.abc import Collection
from typing import Any

import numpy as np

State = dict[str, np.ndarray]

# Names under which training scripts put the weights beside optimizer, epoch and the like.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network")

# label, name of our converter if there is one, a key that only this network has
SIGNATURES: tuple[tuple[str, str | None, str], ...] = (
    ("a GANimation generator", "ganimation", r"(^|\.)(img_reg|im_reg|attetion_reg|im_att)\."),
    ("a First Order Motion Model", "fomm", r"(^|\.)(dense_motion_network|kp|kp_detector)\."),
    ("a StarGAN generator", "stargan", r"^main\.\d+\.main\.\d+\.weight$"),
    ("DeepfakeBench's multi-attentional detector", None, r"(^|\.)attention_generation\."),
    ("a multi-attentional detector", "multi_attentional", r"^texture_enhance\."),
    ("an EfficientNet", "efficientnet", r"(^|\.)_conv_stem\."),
    ("an Xception", "xception", r"(^|\.)block1\.rep\.\d+\.(conv1|pointwise)\.weight$"),
    ("a ResNet", "resnet", r"(^|\.)layer1\.0\.conv1\.weight$"),
    ("a StarGAN discriminator", "stargan_discriminator", r"^main\.2\.bias$"),
)

# What torch.load raises on damaged files, depending on where the damage is.
DAMAGE = (
    pickle.UnpicklingError,
    struct.error,
    EOFError,
    RuntimeError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
)


def read_state(path: str | os.PathLike[str]) -> State:
    """The state dict in a checkpoint file: PyTorch key → array, floating point as float32.

    Wrappers such as {"state_dict": …} and the prefix `module.` of DataParallel are removed.
    FileNotFoundError if there is no file, ImportError without torch, ValueError if the file is
    damaged, holds Python objects instead of tensors, or no state dict, or weights that are NaN.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such checkpoint file")
    return _finite(_without_module(_unwrap(_load(path), path)), path)


def _finite(tensors: dict[str, Any], path: str | os.PathLike[str]) -> State:
    state = {key: _to_numpy(tensor) for key, tensor in tensors.items()}
    broken = [k for k, a in state.items() if not np.isfinite(a).all()]
    if broken:
        raise ValueError(f"{path}: NaN or infinity in {', '.join(broken)}; the training diverged")
    return state


def read_parts(path: str | os.PathLike[str], parts: Collection[str], left_out: str) -> State:
    """The state dicts `parts` of a file of several networks as one, keys `PART.KEY`.

    Its other entries must match `left_out` in full: optimizers, epochs, networks that we leave out.
    A file without any of the parts is read as one state dict. Errors are those of `read_state`, and
    ValueError if a part is missing or an entry is unknown.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such checkpoint file")
    content = _load(path)
    if not isinstance(content, dict) or not any(part in content for part in parts):
        return _finite(_without_module(_unwrap(content, path)), path)
    missing = [part for part in parts if not isinstance(content.get(part), dict)]
    unknown = [str(k) for k in content if k not in parts and not re.fullmatch(left_out, str(k))]
    if missing or unknown:
        raise ValueError(
            f"{path}: expected the networks {', '.join(parts)}; "
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
        )
    tensors = {part: _without_module(_unwrap(content[part], path)) for part in parts}
    return _finite({f"{part}.{k}": t for part in parts for k, t in tensors[part].items()}, path)


def recognise(keys: Collection[str]) -> tuple[str, str | None] | None:
    """(what the network looks like, our converter's name or None); None if it is unknown."""
    for label, converter, pattern in SIGNATURES:
        if any(re.search(pattern, key) for key in keys):
            return label, converter
    return None


def _load(path: str | os.PathLike[str]) -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "Reading PyTorch checkpoints needs PyTorch: pip install 'dfd-jax[convert]'"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickles; real problems are errors
            return torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGE as error:
        raise ValueError(f"{path}: {_why(str(error), path)}") from error


def _why(message: str, path: str | os.PathLike[str]) -> str:
    match = re.search(r"GLOBAL ([\w.]+)", message)
    if match and not _ends_inside(match.group(1), path):
        return (
            f"holds Python objects ({match.group(1)}), not only tensors. Opening it would run code "
            "chosen by whoever made the file, so it was not opened and nothing was executed. "
            "If it is a whole pickled model that you trust, open it in the project it comes from "
            "and export a plain state dict:\n"
            f"  model = torch.load({os.fspath(path)!r}, weights_only=False, map_location='cpu')\n"
            "  torch.save(model.state_dict(), 'state_dict.pth')"
        )
    if "TorchScript" in message:
        return (
            "a TorchScript archive (a program), which is not executed here. Export a state dict: "
            "torch.save(torch.jit.load(FILE).state_dict(), 'state_dict.pth')"
        )
    if message.startswith("Weights only"):  # torch advises to switch the protection off
        message = "not a sequence of tensors"
    reason = message.strip().partition("\n")[0].partition(". ")[0] or "unexpected end of file"
    return f"not a readable PyTorch checkpoint; truncated or damaged? ({reason})"


def _ends_inside(name: str, path: str | os.PathLike[str]) -> bool:
    """Whether the file is cut off in the middle of this dotted name."""
    attribute = name.rpartition(".")[2]
    with open(path, "rb") as file:
        last_line = file.read().rpartition(b"\n")[2]
    return not attribute or last_line[:-1] == attribute.encode()  # torch drops the last byte


def _unwrap(content: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: holds a {type(content).__name__}, not a state dict (key → tensor)"
        )
    tensors = {str(k): v for k, v in content.items() if hasattr(v, "detach")}
    if tensors:
        return tensors
    for name in WRAPPERS:
        if isinstance(content.get(name), dict):
            return _unwrap(content[name], path)
    keys = [str(key) for key in content]
    known = recognise([f"{key}." for key in keys])
    name = known[1] if known else None
    use = f"use `python -m converters {name}`" if name else "it has no converter yet"
    hint = f" It looks like {known[0]}: {use}." if known else ""
    raise ValueError(
        f"{path}: no tensors at the top level, nor under {', '.join(WRAPPERS)}; "
        f"the file has {', '.join(keys[:8]) or 'nothing'}.{hint}"
    )


def _without_module(tensors: dict[str, Any]) -> dict[str, Any]:
    while all(key.startswith("module.") for key in tensors):
        tensors = {key.removeprefix("module."): t for key, t in tensors.items()}
    return tensors


def _to_numpy(tensor: Any) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
