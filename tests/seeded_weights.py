"""State dicts of the parity cases, rebuilt number for number from a few facts per tensor.

Every tensor has its own Philox stream, keyed by the case's seed and the tensor's name. Only the raw
bits of the generator are used, which numpy guarantees: the same weights on every machine.
"""

import hashlib
import json
import math
import pathlib
import zlib

import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden"
_NORMAL_STD = math.sqrt((65536.0**2 - 1) / 3)  # of the sum of four uniform 16-bit integers


def facts(case):
    """What is known of a case: seed, tensors, tolerances, the converter that reads its files."""
    return json.loads((GOLDEN / f"{case}.json").read_text())


def state_dict(case):
    """PyTorch key → array in PyTorch's layout. AssertionError if a tensor is not reproduced.

    The networks of a file of several carry their own names before their keys.
    """
    known = facts(case)
    if "state_of" in known:  # the weights of another case
        return state_dict(known["state_of"])
    with np.load(GOLDEN / f"{case}.npz") as golden:
        constants = {k.removeprefix("const."): golden[k] for k in golden if k.startswith("const.")}
    originals = [t for t in known["tensors"] if t["init"] != "alias"]
    state = {_name(t): _tensor(known["seed"], t, constants) for t in originals}
    return {_name(t): state[t.get("of", _name(t))] for t in known["tensors"]}


def _name(tensor):
    return ".".join([*([tensor["part"]] if "part" in tensor else []), tensor["key"]])


def _tensor(seed, tensor, constants):
    count = math.prod(tensor["shape"])
    digest = hashlib.sha256(f"{seed}|{tensor['key']}".encode()).digest()
    raw = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(count)
    if tensor["init"] == "normal":
        total = sum(part.astype(np.int64) for part in raw.view(np.uint16).reshape(-1, 4).T)
        values = (total - 2 * 65535) / _NORMAL_STD * tensor["std"]
        values += np.resize(tensor.get("offset", 0.0), count)
    elif tensor["init"] == "uniform":
        unit = (raw >> np.uint64(11)) * 2.0**-53
        values = tensor["low"] + (tensor["high"] - tensor["low"]) * unit
    elif tensor["init"] == "io":
        values = constants[tensor["key"]]
    elif tensor["init"] == "values":
        values = np.array(tensor["values"])
    else:
        values = np.zeros(count)
    array = values.reshape(tensor["shape"]).astype(tensor.get("dtype", "float32"))
    assert zlib.crc32(array.tobytes()) == tensor["crc32"], f"{tensor['key']} is not reproduced"
    return array
