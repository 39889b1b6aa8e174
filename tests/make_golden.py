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
    "ganimation": "ganimation",
    "ganimation_vipermu": "ganimation",
    "resnet18": "resnet",
    "resnet50": "resnet",
    "xception_ffpp": "xception",
    "xception_dfbench": "xception",
    "fomm_kp_detector": "fomm",
    "fomm_generator": "fomm",
    "fomm_animate": "fomm",
    "mat_efficientnet_b4": "multi_attentional",
    "mat_xception": "multi_attentional",
    "pgd_stargan": "stargan",
}
WHOLE = ("pgd_stargan",)  # its losses are means over both photos: neither can go
FACTS = ("key", "shape", "init", "std", "low", "high", "offset", "values", "of", "dtype", "crc32")


def cut(name, array, batch):
    """The part of a recorded array that is kept. Losses are batch means: gradients scale back."""
    if name.startswith("const"):
        return array
    return on_grid(name, array[:1] * (batch if name == "grad_input" else 1))


def on_grid(name, first):
    """Every fourth row and column of a recorded picture that is no input."""
    is_image = first.ndim == 4 and not name.startswith("input") and first.shape[-1] > GRID
    return first[:, :, ::GRID, ::GRID] if is_image else first


def with_keypoints_for_frames(kept):
    """Driving frames would double the file: their recorded keypoints are the inputs instead."""
    frames = ("driving", "driving_initial")
    kept = {k: v for k, v in kept.items() if k not in [f"input.{frame}" for frame in frames]}
    parts = [f"kp_{frame}_{part}" for frame in frames for part in ("value", "jacobian")]
    return kept | {f"input.{part}": kept[f"output.{part}"] for part in parts}


def tensors(state):
    """The facts that rebuild the weights, tensor by tensor, without those that we leave out."""
    for part, entries in state.items():
        owner = {} if part == "model" else {"part": part}
        for tensor in entries if part != "discriminator" else ():
            yield owner | {k: tensor[k] for k in FACTS if k in tensor}


def main():
    GOLDEN.mkdir(exist_ok=True)
    for case, converter in CASES.items():
        manifest = json.loads((REFERENCE / case / "manifest.json").read_text())
        with np.load(REFERENCE / case / "io.npz") as recorded:
            kept = {k: recorded[k] for k in recorded.files if k.split(".")[0] != "mid"}
        kept = with_keypoints_for_frames(kept) if case == "fomm_animate" else kept
        batch = len(next(array for name, array in kept.items() if name.startswith("input.")))
        np.savez_compressed(
            GOLDEN / f"{case}.npz",
            **{k: on_grid(k, a) if case in WHOLE else cut(k, a, batch) for k, a in kept.items()},
        )
        facts = {
            "title": manifest["title"],
            "source": manifest["source"],
            "seed": manifest["seed"],
            "converter": converter,
            "loss": manifest["gradients"]["input"],
            "tolerance": {k: v for k, v in manifest["tolerance"].items() if k in kept},
            **{k: manifest[k] for k in ("state_of", "attack_agreement") if k in manifest},
        }
        lines = ",\n".join(json.dumps(tensor) for tensor in tensors(manifest.get("state", {})))
        text = json.dumps(facts, indent=1)[:-2] + f',\n "tensors": [\n{lines}\n]\n}}\n'
        (GOLDEN / f"{case}.json").write_text(text)


if __name__ == "__main__":
    main()
