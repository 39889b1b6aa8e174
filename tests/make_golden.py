"""Cut the golden arrays out of the full reference recordings: python tests/make_golden.py

Keeps the first image of every recording, its outputs and input gradient on a coarse grid, and the
facts that rebuild the weights. Needs ../shared/reference; the tests need only what this wrote.
"""

import json
import pathlib

import numpy as np

REFERENCE = pathlib.Path(__file__).parents[2] / "shared/reference/cases"
GOLDEN = pathlib.Path(__file__).parent / "golden"
GRID = 4  # every fourth row and column of image-like arrays
CASES = {  # case → name of the converter that reads its checkpoint
    "stargan": "stargan",
    "stargan_discriminator": "stargan_discriminator",
    "resnet18": "resnet",
    "resnet50": "resnet",
    "xception_ffpp": "xception",
    "xception_dfbench": "xception",
}
FACTS = ("key", "shape", "init", "std", "low", "high", "dtype", "crc32")


def cut(name, array, batch):
    """The part of a recorded array that is kept. Losses are batch means: gradients scale back."""
    first = array[:1] * (batch if name == "grad_input" else 1)
    is_image = first.ndim == 4 and not name.startswith("input") and first.shape[-1] > GRID
    return first[:, :, ::GRID, ::GRID] if is_image else first


def main():
    GOLDEN.mkdir(exist_ok=True)
    for case, converter in CASES.items():
        manifest = json.loads((REFERENCE / case / "manifest.json").read_text())
        with np.load(REFERENCE / case / "io.npz") as recorded:
            kept = {k: recorded[k] for k in recorded.files if k.split(".")[0] != "mid"}
        batch = len(kept["input.x"])
        np.savez_compressed(
            GOLDEN / f"{case}.npz", **{k: cut(k, a, batch) for k, a in kept.items()}
        )
        tensors = [{k: t[k] for k in FACTS if k in t} for t in manifest["state"]["model"]]
        facts = {
            "title": manifest["title"],
            "source": manifest["source"],
            "seed": manifest["seed"],
            "converter": converter,
            "loss": manifest["gradients"]["input"],
            "tolerance": {k: v for k, v in manifest["tolerance"].items() if k in kept},
        }
        lines = ",\n".join(json.dumps(tensor) for tensor in tensors)
        text = json.dumps(facts, indent=1)[:-2] + f',\n "tensors": [\n{lines}\n]\n}}\n'
        (GOLDEN / f"{case}.json").write_text(text)


if __name__ == "__main__":
    main()
