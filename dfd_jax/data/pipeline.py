"""From a source of faces to batches: shuffled, cropped, resized, mirrored, resumable at any batch.

    batches = make_loader(source, batch_size=8, size=64, skipped_file="run/skipped.txt")
    batch = next(batches)       # {"images": uint8 [8, 64, 64, 3], "attributes": float32 [8, a]}
    position = batches.get_state()

A photo that cannot be read is replaced by the next one of its epoch and named once in
`skipped_file`; it never stops a run.
"""

import hashlib
import os
import pathlib
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import grain
import numpy as np
from grain.experimental import index_shuffle

from dfd_jax.data import landmarks
from dfd_jax.data.faces import Face, FaceSource, SquareSource
from dfd_jax.data.images import UnreadableImage, centre_box, input_crop

_ROUNDS = 4  # of the shuffling cipher: grain's own choice
_MOST_THREADS = 4  # each makes a batch; more would not keep up with each other

Example = dict[str, np.ndarray]
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
    """Batches of `batch_size` (per process) centred squares: "images" uint8 [b, size, size, 3],
    "attributes" float32 [b, a].

    If the faces have `points`, "points" float32 [b, 5, 2] holds them in the squares' pixels.
    With `train` the stream is endless: every epoch has another order, fixed by `seed`, and photos
    are mirrored at random. Without it, the stream is one epoch in order; unreadable photos are left
    out, and batches that lack photos are smaller. The global stream does not depend on the number
    of processes: their batches, one after another, are the batches of a single process with as many
    photos in each. `crop` is explained at `centre_box`, `reduced` at `images.read_square`; sources
    without `square` ignore it. `transform` gets each finished example and a random generator.

    The iterator's `get_state` and `set_state` save and restore its position; what follows is the
    same, bit for bit. `workers` > 0 decodes in that many processes instead of threads; absl's flags
    must be parsed then. `close` stops threads and processes.
    ValueError if the source is empty, or, once this is known, none of its photos can be read.
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
    batches = examples.batch(batch_size, drop_remainder=train, batch_fn=_stack)
    # processes share whole batches, so all randomness belongs to a place in the global stream
    mine = batches.slice(slice(process_index, None, process_count))
    threads = min(_MOST_THREADS, _cores())
    stream = mine.to_iter_dataset(grain.ReadOptions(threads, prefetch_buffer_size=threads))
    if workers:
        return iter(stream.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers)))
    loader = iter(stream)
    loader.start_prefetch()  # before the first batch is asked for: networks are loaded meanwhile
    return loader


def read_split(
    source: FaceSource,
    *,
    limit: int | None = None,
    seed: int = 0,
    skipped_file: str | os.PathLike[str] | None = None,
) -> list[Face]:
    """`limit` faces of a source (None: all) in its order, chosen at random by `seed`.

    Unreadable photos are replaced by others while there are any. ValueError if none can be read.
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
    """The unreadable photos that loaders listed in `skipped_file`: name → reason.

    Empty if the file does not exist.
    """
    path = pathlib.Path(skipped_file)
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return dict(line.split("\t", 1) for line in lines if "\t" in line)


class _Readable:
    """A source that gives None for a photo that cannot be read.

    ValueError once every photo has turned out to be unreadable.
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
                    _list_skipped(self._skipped_file, error)
            if len(self._unreadable) == len(self):
                raise ValueError(f"none of the {len(self)} photos can be read; {error}") from error
            return None


class _Examples(grain.MapDataset[Example]):
    """Cropped faces. With a seed: endless epochs, each in another order, half of them mirrored.

    Shuffling, repeating and mirroring are one step here: as grain's own data sets, one for each,
    they take a third of the time that batches of small photos take (docs/performance.md).
    """

    def __init__(self, faces: _Readable, cut: "_Cut", seed: int | None) -> None:
        super().__init__()
        self._faces, self._cut, self._seed, self._count = faces, cut, seed, len(faces)

    def __len__(self) -> int:
        return self._count if self._seed is None else sys.maxsize

    def __getitem__(self, index: Any) -> Any:
        if self._seed is None:
            face = self._faces[index % self._count]
            return None if face is None else self._cut(face)
        epoch, place = divmod(index, self._count)
        order = _hashed("order", self._seed, epoch)
        while (face := self._faces[self._shuffled(place, order)]) is None:
            place = (place + 1) % self._count
        example = self._cut(face)
        return _mirrored(example) if _hashed("mirror", self._seed, index) % 2 else example

    def _shuffled(self, place: int, order: int) -> int:
        return index_shuffle(place, max_index=self._count - 1, seed=order, rounds=_ROUNDS)


def _hashed(what: str, seed: int, place: int) -> int:
    """A random number of 32 bits; seeding a generator for each would take ten times as long."""
    digest = hashlib.blake2b(f"{what}:{seed}:{place}".encode(), digest_size=4).digest()
    return int.from_bytes(digest)


def _stack(examples: Sequence[Example | None]) -> Example | None:
    """One batch of the examples that are not None. None, which grain skips, if there are none."""
    present = [example for example in examples if example is not None]
    if not present:
        return None
    return {name: np.stack([example[name] for example in present]) for name in present[0]}


def _cores() -> int:
    """The processor cores that this process may use, where the system tells."""
    has_limits = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_limits else os.cpu_count() or 1


_LIST_LOCK = threading.Lock()


def _list_skipped(skipped_file: pathlib.Path, error: UnreadableImage) -> None:
    """Append a photo and the reason, unless it is listed already."""
    name, reason = (" ".join(text.split()) for text in (error.path, error.reason))
    with _LIST_LOCK:
        if name in read_skipped(skipped_file):
            return
        skipped_file.parent.mkdir(parents=True, exist_ok=True)
        with open(skipped_file, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{name}\t{reason}\n")


class _Squares:
    """A source whose faces are cropped already, so that `_Cut` leaves them alone."""

    def __init__(self, source: SquareSource, size: int, crop: int | None, reduced: bool) -> None:
        self.attribute_names, self.known_names = source.attribute_names, source.known_names
        self._source, self._how = source, (size, crop, reduced)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int, /) -> Face:
        return self._source.square(index, *self._how)


class _Cut:
    """Face → example: its centred square at the networks' input size."""

    def __init__(self, size: int, crop: int | None) -> None:
        self._size = size
        self._crop = crop

    def __call__(self, face: Face) -> Example:
        height, width, _ = face.pixels.shape
        if height == width == self._size and face.points is None:
            return {"images": face.pixels, "attributes": face.attributes}
        box = centre_box(height, width, self._crop)
        example = {
            "images": input_crop(face.pixels, box, self._size),
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
