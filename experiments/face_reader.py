"""Train the face reader: python -m experiments.face_reader OUT.safetensors"""

import argparse
import dataclasses
import json
import pathlib

import numpy as np

from dfd_jax import models
from dfd_jax.data import drawn_pairs
from dfd_jax.data.synthetic import families
from dfd_jax.opponents import face_reader
from dfd_jax.runtime import provenance

LIMITS = "Faces drawn by data/synthetic at 64 px. Weak on age and on small movements."
PURPOSE = "to measure generators by the labels of their edits of drawn faces; useless on photos"


def main() -> None:
    """Train, measure on held-out people, export with a card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--people", type=int, default=4000, help="per kind of family")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder, size, seed = drawn_pairs.cache_folder(), given.size, given.seed
    pools = [drawn_pairs.Pool(kind, given.people, size, seed, folder) for kind in families.FAMILIES]
    net = face_reader.train(face_reader.new(size), pools, given.steps, given.batch_size, seed)
    held_out = [drawn_pairs.Pool(pool.kind, 300, size, seed, held_out=True) for pool in pools]
    test = face_reader.sample(held_out, 600, np.random.default_rng(seed))
    info = {
        "purpose": PURPOSE,
        "limits": LIMITS,
        "trained_on": f"drawn faces only, {given.people} people of each kind of family",
        "command": provenance.command("experiments.face_reader"),
        "commit": provenance.commit(),
        "test": face_reader.accuracy(net, test),
    }
    card = dataclasses.replace(net.card, info=info)
    models.save(given.out, net.variables, card, np.dtype(np.float16))
    print(json.dumps(info["test"], indent=1))


if __name__ == "__main__":
    main()
