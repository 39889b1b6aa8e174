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
    """PyTorch key → array in PyTorch's layout. AssertionError if a tensor is not reproduced."""
    known = facts(case)
    return {tensor["key"]: _tensor(known["seed"], tensor) for tensor in known["tensors"]}


def _tensor(seed, tensor):
    count = math.prod(tensor["shape"])
    digest = hashlib.sha256(f"{seed}|{tensor['key']}".encode()).digest()
    raw = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(count)
    if tensor["init"] == "normal":
        total = sum(part.astype(np.int64) for part in raw.view(np.uint16).reshape(-1, 4).T)
        values = (total - 2 * 65535) / _NORMAL_STD * tensor["std"]
    elif tensor["init"] == "uniform":
        unit = (raw >> np.uint64(11)) * 2.0**-53
        values = tensor["low"] + (tensor["high"] - tensor["low"]) * unit
    else:
        values = np.zeros(count)
    array = values.reshape(tensor["shape"]).astype(tensor.get("dtype", "float32"))
    assert zlib.crc32(array.tobytes()) == tensor["crc32"], f"{tensor['key']} is not reproduced"
    return array
