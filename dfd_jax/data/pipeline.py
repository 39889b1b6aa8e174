"""From a source of faces to batches: shuffled, cut to size, mirrored, resumable at any batch.

    batches = make_loader(source, batch_size=8, size=64, skipped_file="run/skipped.txt")
    batch = next(batches)       # {"images": uint8 [8, 64, 64, 3], "attributes": float32 [8, a]}
    position = batches.get_state()

A photo that cannot be read is left out and named once in `skipped_file`; it never stops a run.
"""

import functools
import hashlib
import os
import pathlib
import sys
import threading
from collections.abc import Callable
from typing import Any

import grain
import numpy as np
from grain.experimental import index_shuffle

from dfd_jax.data import landmarks
from dfd_jax.data.batches import Batches, Example
from dfd_jax.data.faces import Face, FaceSource, SquareSource
from dfd_jax.data.images import UnreadableImage, centre_box, crop_resize

_ROUNDS = 4  # of the shuffling cipher, grain's own choice

Transform = Callable[[Example, np.random.Generator], Example]


def make_loader(
    source: FaceSource,
    *,
    batch_size: int,
    size: int,
    crop: int | None = 178,
    seed: int = 0,
    train: bool = True,
    transform: Transform | None = None,
    workers: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    skipped_file: str | os.PathLike[str] | None = None,
    reduced: bool = False,
) -> grain.DatasetIterator:
    """Batches of `batch_size` (per process) centred squares: "images" uint8, "attributes" 0 or 1.

    Where the faces have `points`, "points" float32 [b, 5, 2] are those in the squares' pixels.
    With `train` the stream is endless: each epoch in another order, which `seed` fixes, and photos
    mirrored at random. Without, it is one epoch in order, and its last batch may be smaller. The
    processes' batches, one after another, are those that one process would get from the same global
    stream with batches as large as all of theirs together. `crop` is explained at `centre_box`,
    `reduced` at `images.read_square`; it makes no difference to sources that cannot do it.
    `transform` changes an example after all that, with a random generator of its own.

    `get_state` and `set_state` of the iterator save and restore its position; what follows is the
    same, bit for bit. `workers` > 0 decodes in so many processes, not in threads: absl's flags must
    have been parsed, and the order depends on their number. `close` ends threads and processes.
    ValueError if the source is empty or, once that is known, if no photo in it can be read.
    """
    if not 0 <= process_index < process_count:
        raise ValueError(f"found process {process_index} of {process_count}, expected 0 … count-1")
    examples = make_examples(source, size, crop, seed, train, transform, skipped_file, reduced)
    return batched(examples, batch_size, train, workers, process_index, process_count)


def make_examples(
    source: FaceSource,
    size: int,
    crop: int | None = 178,
    seed: int = 0,
    train: bool = True,
    transform: Transform | None = None,
    skipped_file: str | os.PathLike[str] | None = None,
    reduced: bool = False,
) -> grain.MapDataset[Example]:
    """The examples of `make_loader` by their places in the stream; None where a photo cannot be
    read.
    """
    if len(source) == 0:
        raise ValueError("the source has no photo, expected at least one")
    if isinstance(source, SquareSource):
        source = _Squares(source, size, crop, reduced)
    faces, cut = _Readable(source, skipped_file), _Cut(size, crop)
    examples: grain.MapDataset[Example] = _Examples(faces, cut, seed if train else None)
    return examples if transform is None else examples.seed(seed).random_map(transform)


def batched(
    examples: grain.MapDataset[Example],
    batch_size: int,
    train: bool = True,
    workers: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> grain.DatasetIterator:
    """Batches of one process's share of a stream of examples, see `make_loader`."""
    # the share comes last, so that randomness belongs to a place in the global stream
    mine = _Share(examples, batch_size, process_index, process_count)
    batches = Batches(mine, batch_size, drop_remainder=train)
    if not workers:
        loader = iter(batches)
        loader.start_prefetch()  # while networks are still being read
        return loader
    return iter(batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers)))


def read_split(
    source: FaceSource,
    *,
    limit: int | None = None,
    seed: int = 0,
    skipped_file: str | os.PathLike[str] | None = None,
) -> list[Face]:
    """`limit` faces of a source (None: all), in its order; a selection that `seed` fixes.

    Unreadable photos are replaced by others as far as there are any. ValueError if none can be
    read.
    """
    readable = _Readable(source, skipped_file)
    limit = len(source) if limit is None else limit
    chosen: dict[int, Face] = {}
    for index in np.random.default_rng(seed).permutation(len(source)).tolist():
        if len(chosen) >= limit:
            break
        face = readable[index]
        if face is not None:
            chosen[index] = face
    return [chosen[index] for index in sorted(chosen)]


def read_skipped(skipped_file: str | os.PathLike[str]) -> dict[str, str]:
    """Unreadable photos and the reasons, as loaders left them in their `skipped_file`.

    Empty if the file does not exist: nothing was skipped.
    """
    path = pathlib.Path(skipped_file)
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return dict(line.split("\t", 1) for line in lines if "\t" in line)


class _Readable:
    """A source with None in the place of every photo that cannot be read (grain leaves None out).

    ValueError once every photo has turned out to be unreadable: an endless stream would never end.
    """

    def __init__(self, source: FaceSource, skipped_file: str | os.PathLike[str] | None) -> None:
        self._source = source
        self._skipped_file = None if skipped_file is None else pathlib.Path(skipped_file)
        self._unreadable: set[int] = set()

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Face | None:
        try:
            return self._source[index]
        except UnreadableImage as error:
            if index not in self._unreadable:
                self._unreadable.add(index)
                if self._skipped_file is not None:
                    _note(self._skipped_file, error)
            if len(self._unreadable) == len(self):
                raise ValueError(f"none of the {len(self)} photos can be read; {error}") from error
            return None


class _Examples(grain.MapDataset[Example]):
    """Faces that are cut; with a seed, in another order in each of endless epochs, and half of them
    mirrored.

    One of grain's own data sets for each of these steps would take a fifth of a small photo's time.
    """

    def __init__(self, faces: _Readable, cut: "_Cut", seed: int | None) -> None:
        super().__init__()
        self._faces, self._cut, self._seed, self._count = faces, cut, seed, len(faces)

    def __len__(self) -> int:
        return self._count if self._seed is None else sys.maxsize

    def __getitem__(self, index: Any) -> Any:
        epoch, place = divmod(index, self._count)
        if self._seed is not None:
            order = _epoch_order(self._seed, epoch)
            place = index_shuffle(place, max_index=self._count - 1, seed=order, rounds=_ROUNDS)
        face = self._faces[place]
        if face is None:
            return None
        example = self._cut(face)
        is_mirrored = self._seed is not None and _hashed("mirror", self._seed, index) % 2
        return _mirrored(example) if is_mirrored else example


@functools.lru_cache(maxsize=16)
def _epoch_order(seed: int, epoch: int) -> int:
    return _hashed("order", seed, epoch)


def _hashed(what: str, seed: int, place: int) -> int:
    """A random number of 32 bits. A generator for each would take ten times as long."""
    digest = hashlib.blake2b(f"{what}:{seed}:{place}".encode(), digest_size=4).digest()
    return int.from_bytes(digest)


_NOTING = threading.Lock()


def _note(skipped_file: pathlib.Path, error: UnreadableImage) -> None:
    """Append a photo and the reason, unless another thread, process or run already did."""
    name, reason = (" ".join(text.split()) for text in (error.path, error.reason))
    with _NOTING:
        if name in read_skipped(skipped_file):
            return
        skipped_file.parent.mkdir(parents=True, exist_ok=True)
        with open(skipped_file, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{name}\t{reason}\n")


class _Share(grain.MapDataset[Any]):
    """One process's part of a stream: of every `count` blocks of `block` elements, block `index`.

    The last blocks of a finite stream may be smaller, or empty.
    """

    def __init__(self, parent: grain.MapDataset[Any], block: int, index: int, count: int) -> None:
        super().__init__(parent)
        self._block, self._first, self._stride = block, index * block, count * block
        rounds, rest = divmod(len(parent), self._stride)
        self._length = rounds * block + min(max(rest - self._first, 0), block)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        turn, place = divmod(index, self._block)
        return self._parent[turn * self._stride + self._first + place]


class _Squares:
    """A source whose faces are cut already, so that `_Cut` leaves them alone."""

    def __init__(self, source: SquareSource, size: int, crop: int | None, reduced: bool) -> None:
        self.attribute_names, self.known_names = source.attribute_names, source.known_names
        self._source, self._how = source, (size, crop, reduced)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int, /) -> Face:
        return self._source.square(index, *self._how)


class _Cut:
    """Face → example: its centred square at the size that networks see."""

    def __init__(self, size: int, crop: int | None) -> None:
        self._size = size
        self._crop = crop

    def __call__(self, face: Face) -> Example:
        height, width, _ = face.pixels.shape
        if height == width == self._size and face.points is None:
            return {"images": face.pixels, "attributes": face.attributes}
        box = centre_box(height, width, self._crop)
        example = {
            "images": crop_resize(face.pixels, box, self._size),
            "attributes": face.attributes,
        }
        if face.points is not None:
            example["points"] = landmarks.in_square(face.points, box, self._size)
        return example


def _mirrored(example: Example) -> Example:
    # faster than copying a slice with a negative step
    columns = np.arange(example["images"].shape[1] - 1, -1, -1)
    images = example["images"].take(columns, axis=1)
    if "points" not in example:
        return {**example, "images": images}
    return {
        **example,
        "images": images,
        "points": landmarks.mirrored(example["points"], len(images)),
    }
