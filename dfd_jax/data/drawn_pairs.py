"""Training examples for generators: two pictures of one drawn person, mixed with photographs.

    python -m dfd_jax.data.drawn_pairs attributes 4000      # fill the cache ahead of a training

Drawn people are cached in the user's cache folder. What the cache lacks is drawn when it is needed:
a missing or partial cache changes nothing but the time.
"""

import argparse
import functools
import hashlib
import os
import pathlib
import sys
from typing import Any

import grain
import numpy as np
from jaxtyping import Float, UInt8

from dfd_jax.data import spots, synthetic
from dfd_jax.data.pipeline import Example
from dfd_jax.data.synthetic import families
from dfd_jax.runtime.files import atomic_write

PEOPLE_PER_FILE = 50
HELD_OUT = 10**6  # index of the first person that no training sees
KINDS = {"stargan": "attributes", "ganimation": "expressions", "fomm": "motions"}
SAME = 0.1  # share of StarGAN's pairs whose target is the picture itself
FROM_FIRST = 0.5  # least share of pairs that start from variant 0, the person as sampled
MAX_SHIFT = 1 / 16  # of the side: how far a frame moves in the picture


class Pool:
    """`count` families of drawn people at `size` pixels; a family depends on (kind, seed, index).

    They are cached in `folder`; None: not at all. `held_out`: people that no training sees.
    ValueError for an unknown kind.
    """

    variants = families.SIZE

    def __init__(
        self,
        kind: str,
        count: int,
        size: int,
        seed: int = 0,
        folder: pathlib.Path | None = None,
        held_out: bool = False,
    ) -> None:
        self.kind, self.count, self.size, self.seed = kind, count, size, seed
        self.first = HELD_OUT if held_out else 0
        name = f"{kind}-{size}-{seed}-{_renderer()}{'-held-out' * held_out}"
        self.folder = None if folder is None else folder / name
        self._opened: dict[int, np.ndarray] = {}

    def parameters(self, index: int) -> list[synthetic.FaceParameters]:
        """The parameters of each variant of family `index`."""
        return families.family(self.kind, self.seed, self.first + index)

    def picture(self, index: int, variant: int) -> UInt8[np.ndarray, "s s 3"]:
        """One variant of one family."""
        cached = self._cached(index // PEOPLE_PER_FILE)
        if cached is not None:
            return cached[index % PEOPLE_PER_FILE, variant]
        return synthetic.render(self.parameters(index)[variant], self.size)

    def fill(self) -> None:
        """Draw all families that the cache lacks. Only one process may do so at a time."""
        for number in range(-(-self.count // PEOPLE_PER_FILE)):
            if self.folder is not None and self._cached(number) is None:
                self._draw(self.folder, number)

    def _path(self, folder: pathlib.Path, number: int) -> pathlib.Path:
        return folder / f"{number:05d}.npy"

    def _cached(self, number: int) -> np.ndarray | None:
        """The families of a file, memory-mapped; None if it does not exist."""
        if self.folder is None:
            return None
        if number not in self._opened:
            path = self._path(self.folder, number)
            if not path.exists():
                return None
            self._opened[number] = np.load(path, mmap_mode="r")
        return self._opened[number]

    def _draw(self, folder: pathlib.Path, number: int) -> None:
        first = number * PEOPLE_PER_FILE
        drawn = [
            [synthetic.render(face, self.size) for face in self.parameters(index)]
            for index in range(first, first + PEOPLE_PER_FILE)
        ]
        with atomic_write(self._path(folder, number)) as path:
            np.save(path, np.array(drawn))


@functools.cache
def _renderer() -> str:
    """A digest of the renderer's source: when it changes, the cache does not apply."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(pathlib.Path(synthetic.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def cache_folder() -> pathlib.Path:
    """The cache in the user's cache folder."""
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(root, "dfd_jax", "drawn")


class Pairs(grain.MapDataset[Example]):
    """An endless stream of pairs from a pool; each depends on the seed and its index alone.

    Of attributes and expressions: "images" with "attributes" [a], "targets" with
    "target_attributes", in the order of `names`, and "paired" 1. Of motions: "source" and
    "driving" with "source_spots", "driving_spots" [10, 2] (spots.py), and "known" 1.
    """

    def __init__(self, pool: Pool, names: tuple[str, ...], seed: int) -> None:
        super().__init__()
        self._pool, self._names, self._seed = pool, names, seed

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: Any) -> Any:
        rng = np.random.default_rng([self._seed, index, 11])
        return pair(self._pool, int(rng.integers(self._pool.count)), self._names, rng)


def pair(pool: Pool, person: int, names: tuple[str, ...], rng: np.random.Generator) -> Example:
    """Two random variants of a person, see `Pairs`."""
    first, second = _variants(pool.kind, rng)
    step = -1 if rng.random() < 0.5 else 1  # -1: mirrored
    pictures = [pool.picture(person, variant)[:, ::step] for variant in (first, second)]
    faces = pool.parameters(person)
    if pool.kind == "motions":
        shown = [_frame(pictures[i], faces[v], step, rng) for i, v in enumerate((first, second))]
        (source, source_spots), (driving, driving_spots) = shown
        return {
            "source": source,
            "source_spots": source_spots,
            "driving": driving,
            "driving_spots": driving_spots,
            "known": np.ones((), np.float32),
        }
    labels = [synthetic.attributes(faces[variant], names) for variant in (first, second)]
    return {
        "images": pictures[0],
        "attributes": labels[0],
        "targets": pictures[1],
        "target_attributes": labels[1],
        "paired": np.ones((), np.float32),
    }


def _variants(kind: str, rng: np.random.Generator) -> tuple[int, int]:
    """The variants of a pair. For attributes, the person as sampled is never the target, except of
    itself: its beard and its shade of hair cannot be predicted from the attributes.
    """
    first = 0 if rng.random() < FROM_FIRST else int(rng.integers(families.SIZE))
    if kind == "attributes":
        same, second = rng.random() < SAME, int(rng.integers(1, families.SIZE))
        return (first, first) if same else (first, second)
    return first, int((first + rng.integers(1, families.SIZE)) % families.SIZE)


def _frame(
    picture: UInt8[np.ndarray, "s s 3"],
    face: synthetic.FaceParameters,
    step: int,
    rng: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "s s 3"], Float[np.ndarray, "10 2"]]:
    """A frame shifted at random, with its spots; step -1: the picture is mirrored."""
    by = _shift(len(picture), rng)
    places = spots.spots(face) if step == 1 else spots.mirrored(spots.spots(face))
    return shifted(picture, by), places + np.array(by, np.float32) * 2 / len(picture)


def _shift(size: int, rng: np.random.Generator) -> tuple[int, int]:
    largest = int(size * MAX_SHIFT)
    right, down = rng.integers(-largest, largest + 1, 2) * (rng.random() < 0.5)
    return int(right), int(down)


def shifted(picture: UInt8[np.ndarray, "s s 3"], by: tuple[int, int]) -> UInt8[np.ndarray, "s s 3"]:
    """The picture moved right and down by whole pixels; border pixels are repeated."""
    indices = np.arange(len(picture))
    rows, columns = (np.clip(indices - shift, 0, len(picture) - 1) for shift in (by[1], by[0]))
    return picture[rows[:, None], columns]


class Mixed(grain.MapDataset[Example]):
    """Two endless streams mixed: each example is a photo with the probability `share`."""

    def __init__(
        self,
        drawn: grain.MapDataset[Example],
        photos: grain.MapDataset[Example],
        share: float,
        seed: int,
    ) -> None:
        super().__init__()
        self._drawn, self._photos, self._share, self._seed = drawn, photos, share, seed

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: Any) -> Any:
        digest = hashlib.blake2b(f"photo:{self._seed}:{index}".encode(), digest_size=4).digest()
        is_photo = int.from_bytes(digest) < self._share * 2**32
        return (self._photos if is_photo else self._drawn)[index]


def choose_attributes(
    names: tuple[str, ...],
    hair: tuple[str, ...],
    same: float,
    example: Example,
    rng: np.random.Generator,
) -> Example:
    """A photo as a pair: one other attribute, with an unknown target ("paired" 0); or, in a share
    `same` of them, its own attributes, and then the photo is the target.
    """
    labels = np.asarray(example["attributes"], np.float32)
    wanted, is_same = labels.copy(), rng.random() < same
    if not is_same:
        chosen = int(rng.integers(len(names)))
        if names[chosen] in hair:
            wanted[[name in hair for name in names]] = 0
            wanted[chosen] = 1
        else:
            wanted[chosen] = 1 - wanted[chosen]
    return {
        "images": example["images"],
        "attributes": labels,
        "targets": example["images"],
        "target_attributes": wanted,
        "paired": np.asarray(is_same, np.float32),
    }


def main() -> None:
    """Fill the cache."""
    parser = argparse.ArgumentParser(description="Fill the cache of drawn people.")
    parser.add_argument("kind", choices=list(families.FAMILIES))
    parser.add_argument("count", type=int, help="people, six pictures of each")
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=pathlib.Path, default=cache_folder())
    given = parser.parse_args()
    Pool(given.kind, given.count, given.size, given.seed, given.folder).fill()


if __name__ == "__main__":
    main()
