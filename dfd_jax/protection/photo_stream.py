"""Photos through a Protector: decode → batch → device → write → check, in bounded memory.

While the device has one batch, the next is being decoded and the one before is being written.
However long the list is, no more than these and a window of decoded photos are in memory.
"""

import collections
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32, UInt8

from dfd_jax.data import png
from dfd_jax.data.images import Box, Photo, centre_box, read_photo, read_rgb
from dfd_jax.data.saving import write_photo
from dfd_jax.method import metrics
from dfd_jax.method.protector import Protector
from dfd_jax.protection.inputs import Job, square
from dfd_jax.protection.outcomes import Ledger, Outcome

_BYTES_PER_BATCH = 256 << 20  # of decoded pixels: a batch of large photos goes before it is full
_ROWS_AT_ONCE = 128  # so many squares of levels never exceed 32 bits
_VALUES_AT_ONCE = 1 << 17  # of 8 bits

T = TypeVar("T")
Stop = Callable[[], bool]


class _Ready(NamedTuple):
    """A decoded photo on its way to the device."""

    job: Job
    photo: Photo
    pixels: UInt8[np.ndarray, "h w 3"]  # what is protected and compared with
    box: Box
    crop: UInt8[np.ndarray, "s s 3"]
    input_sha256: str


class _Running(NamedTuple):
    """A batch that the device has, or is about to get."""

    batch: list[_Ready]
    outputs: Future[Float32[np.ndarray, "b s s 3"]]


class PhotoStream:
    """Protects a list of photos into a folder, in order, and records each in the manifest."""

    def __init__(self, protector: Protector, ledger: Ledger, workers: int = 2) -> None:
        self._protector, self._ledger, self._workers = protector, ledger, workers
        self._options = ledger.options

    def run(self, jobs: Iterable[Job], stop: Stop) -> Iterator[Outcome]:
        """One outcome per photo. Once `stop` says so, only what the device has is finished."""
        with ThreadPoolExecutor(self._workers) as pool, ThreadPoolExecutor(1) as device:
            batch: list[_Ready] = []
            running: list[_Running] = []  # at most one
            writing: list[Future[list[Outcome]]] = []
            for item in _in_order(pool, self._prepare, jobs, 2 * self._workers, stop):
                if isinstance(item, Outcome):
                    yield item
                    continue
                batch.append(item)
                if self._is_full(batch):
                    before, running = running, [self._submit(device, batch)]
                    batch = []
                    yield from _all(writing)
                    writing = self._written(pool, before)
            if batch and not stop():
                running.append(self._submit(device, batch))
            writing += self._written(pool, running)
            yield from _all(writing)

    def _is_full(self, batch: list[_Ready]) -> bool:
        size = sum(ready.pixels.nbytes for ready in batch)
        return len(batch) == self._protector.batch_size or size >= _BYTES_PER_BATCH

    def _submit(self, device: ThreadPoolExecutor, batch: list[_Ready]) -> _Running:
        crops = np.stack([ready.crop for ready in batch])
        return _Running(batch, device.submit(self._protector.outputs, crops))

    def _written(
        self, pool: ThreadPoolExecutor, batches: Iterable[_Running]
    ) -> list[Future[list[Outcome]]]:
        """Wait for the device and start writing, a few photos at a time: to wake a thread costs."""
        started = []
        for batch, outputs in batches:
            pairs = list(zip(batch, outputs.result(), strict=True))
            share = -(-len(pairs) // (2 * self._workers))
            parts = (pairs[start : start + share] for start in range(0, len(pairs), share))
            started += [pool.submit(self._finish_all, part) for part in parts]
        return started

    def _finish_all(self, pairs: list[tuple[_Ready, np.ndarray]]) -> list[Outcome]:
        return [self._finish(*pair) for pair in pairs]

    def _prepare(self, job: Job) -> _Ready | Outcome:
        """The photo decoded and cropped, or its outcome if it is done already or cannot be read."""
        digest = None
        try:
            content = job.source.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            done = self._ledger.done_before(job, digest)
            if done is not None:
                return done
            photo = read_photo(job.path, content)
            pixels = photo.pixels
            if self._options.format == "jpeg" and photo.alpha is not None:
                pixels = _over_white(pixels, photo.alpha)
            height, width, _ = pixels.shape
            box = square(job.region, height, width) if job.region else centre_box(height, width)
            return _Ready(job, photo, pixels, box, self._protector.crop(pixels, box), digest)
        except (ValueError, OSError) as error:
            return self._ledger.failed(job, error, digest)

    def _finish(self, ready: _Ready, output: np.ndarray) -> Outcome:
        """The photo protected, written, read back, measured and recorded."""
        job, photo, options = ready.job, ready.photo, self._options
        path = self._ledger.output / job.output
        try:
            protected = self._protector.apply(ready.pixels, ready.box, output)
            write_photo(
                path,
                protected,
                format=options.format,
                quality=options.quality,
                alpha=photo.alpha if options.format == "png" else None,
                icc_profile=photo.icc_profile,
                exif=photo.exif if options.keep_metadata else None,
            )
            written = path.read_bytes()
            found = protected if png.holds(written, protected) else read_rgb(path, written)
            measured = _measure(ready.pixels, found, ready.box)
            output_sha256 = hashlib.sha256(written).hexdigest()
        except (ValueError, OSError) as error:
            return self._ledger.failed(job, error, ready.input_sha256)
        height, width, _ = ready.pixels.shape
        return self._ledger.recorded(
            job,
            status="ok",
            input_sha256=ready.input_sha256,
            output_sha256=output_sha256,
            size=(width, height),
            box=tuple(ready.box),
            **measured,
        )


def _all(futures: Iterable[Future[list[Outcome]]]) -> Iterator[Outcome]:
    for future in futures:
        yield from future.result()


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Job], T], jobs: Iterable[Job], ahead: int, stop: Stop
) -> Iterator[T]:
    """`work` on each job in the order of the jobs, at most `ahead` of them waiting to be taken."""
    window: collections.deque[Future[T]] = collections.deque()
    for job in jobs:
        if stop():
            break
        window.append(pool.submit(work, job))
        if len(window) > ahead:
            yield window.popleft().result()
    while window and not stop():
        yield window.popleft().result()
    for future in window:
        future.cancel()


def _measure(
    original: UInt8[np.ndarray, "h w 3"], written: UInt8[np.ndarray, "h w 3"], box: Box
) -> dict[str, Any]:
    """How far the file as read back is from the photo."""
    left, top, side = box
    largest = region_sum = photo_sum = 0
    for start, end in itertools.pairwise(_cuts(original.shape, box)):
        before, after = original[start:end], written[start:end]
        change = np.maximum(before, after) - np.minimum(before, after)
        most = int(change.max())
        if not most:
            continue
        largest = max(largest, most)
        squares = np.square(change, dtype=np.uint16)
        # sums of 16 bits are the fastest, where they cannot overflow
        is_small = most**2 * (end - start) < 1 << 16
        columns = squares.sum(0, dtype=np.uint16 if is_small else np.uint32)
        photo_sum += int(columns.sum(dtype=np.uint64))
        if top <= start < top + side:
            region_sum += int(columns[left : left + side].sum(dtype=np.uint64))
    return {
        "linf_255": largest,
        "psnr_region": metrics.psnr_of_sum(region_sum, 3 * side * side),
        "psnr_photo": metrics.psnr_of_sum(photo_sum, original.size),
    }


def _cuts(shape: tuple[int, ...], box: Box) -> list[int]:
    """Where to cut a photo into strips that fit the cache, inside the region or outside of it."""
    height, width, _ = shape
    rows = max(min(_VALUES_AT_ONCE // (3 * width), _ROWS_AT_ONCE), 1)
    ends = (0, box.top, box.top + box.side, height)
    return sorted({*ends, *(c for a, b in itertools.pairwise(ends) for c in range(a, b, rows))})


def _over_white(
    pixels: UInt8[np.ndarray, "h w 3"], alpha: UInt8[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """What a viewer shows of a transparent photo: JPEG has no transparency to keep."""
    shown = np.empty_like(pixels)
    for top in range(0, len(pixels), _ROWS_AT_ONCE):
        rows = np.s_[top : top + _ROWS_AT_ONCE]
        share = alpha[rows, :, None].astype(np.float32) / 255
        shown[rows] = np.rint(255 - share * (255 - pixels[rows].astype(np.float32)))
    return shown
