"""Photos through a Protector: decode → batch → device → write → check, in bounded memory.

While the device works on one batch, the next is decoded and the previous one written. Only these
and a few decoded photos are in memory, however long the list is.
"""

import collections
import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32, UInt8

from dfd_jax.data.images import Box, Photo, centre_box, read_photo, read_rgb
from dfd_jax.data.saving import write_photo
from dfd_jax.method.protector import Protector
from dfd_jax.protection.inputs import InputFile, box_in_photo
from dfd_jax.protection.measuring import Change
from dfd_jax.protection.results import Result, Results

_BYTES_PER_BATCH = 256 << 20  # of decoded pixels: a batch of large photos starts before it is full
_ROWS = 128  # at a time: large photos need no large copies as floats

T = TypeVar("T")
Stop = Callable[[], bool]


class _Decoded(NamedTuple):
    """A decoded photo that waits for the device."""

    file: InputFile
    photo: Photo
    pixels: UInt8[np.ndarray, "h w 3"]  # what is protected and compared with
    box: Box
    crop: UInt8[np.ndarray, "s s 3"]
    input_sha256: str


class _Batch(NamedTuple):
    """Photos that the device works on."""

    photos: list[_Decoded]
    outputs: Future[Float32[np.ndarray, "b s s 3"]]


class PhotoStream:
    """Protects a list of photos into a folder, in order, and records each in the manifest."""

    def __init__(self, protector: Protector, results: Results, workers: int = 2) -> None:
        self._protector, self._results, self._workers = protector, results, workers
        self._options = results.options

    def run(self, files: Iterable[InputFile], stop: Stop) -> Iterator[Result]:
        """One result per photo. Once `stop` is true, only what the device has is finished."""
        with ThreadPoolExecutor(self._workers) as pool, ThreadPoolExecutor(1) as device:
            waiting: list[_Decoded] = []
            running: list[_Batch] = []  # at most one
            writing: list[Future[Result]] = []
            for item in _in_order(pool, self._prepare, files, 2 * self._workers, stop):
                if isinstance(item, Result):
                    yield item
                    continue
                waiting.append(item)
                if self._is_full(waiting):
                    before, running = running, [self._submit(device, waiting)]
                    waiting = []
                    yield from (future.result() for future in writing)
                    writing = self._write(pool, before)
            if waiting and not stop():
                running.append(self._submit(device, waiting))
            writing += self._write(pool, running)
            yield from (future.result() for future in writing)

    def _is_full(self, photos: list[_Decoded]) -> bool:
        size = sum(decoded.pixels.nbytes for decoded in photos)
        return len(photos) == self._protector.batch_size or size >= _BYTES_PER_BATCH

    def _submit(self, device: ThreadPoolExecutor, photos: list[_Decoded]) -> _Batch:
        crops = np.stack([decoded.crop for decoded in photos])
        return _Batch(photos, device.submit(self._protector.outputs, crops))

    def _write(self, pool: ThreadPoolExecutor, batches: Iterable[_Batch]) -> list[Future[Result]]:
        """Wait for the device and start to write its photos."""
        return [
            pool.submit(self._finish, decoded, output)
            for photos, outputs in batches
            for decoded, output in zip(photos, outputs.result(), strict=True)
        ]

    def _prepare(self, file: InputFile) -> _Decoded | Result:
        """The photo decoded and cropped, or its result if it was done before or is unreadable."""
        digest = None
        try:
            content = file.source.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            done = self._results.done_before(file, digest)
            if done is not None:
                return done
            photo = read_photo(file.path, content)
            pixels = photo.pixels
            if self._options.format == "jpeg" and photo.alpha is not None:
                pixels = _over_white(pixels, photo.alpha)
            height, width, _ = pixels.shape
            box = box_in_photo(file.box, height, width) if file.box else centre_box(height, width)
            return _Decoded(file, photo, pixels, box, self._protector.crop(pixels, box), digest)
        except (ValueError, OSError) as error:
            return self._results.failed(file, error, digest)

    def _finish(self, decoded: _Decoded, output: np.ndarray) -> Result:
        """The photo protected, written, read back, measured and recorded."""
        file, photo, options = decoded.file, decoded.photo, self._options
        path = self._results.output / file.output
        try:
            protected = self._protector.apply(decoded.pixels, decoded.box, output)
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
            change = Change()
            change.add(decoded.pixels, read_rgb(path, written), decoded.box)
            output_sha256 = hashlib.sha256(written).hexdigest()
        except (ValueError, OSError) as error:
            return self._results.failed(file, error, decoded.input_sha256)
        height, width, _ = decoded.pixels.shape
        return self._results.recorded(
            file,
            status="ok",
            input_sha256=decoded.input_sha256,
            output_sha256=output_sha256,
            size=(width, height),
            box=tuple(decoded.box),
            **change.for_record(),
        )


def _in_order(
    pool: ThreadPoolExecutor,
    work: Callable[[InputFile], T],
    files: Iterable[InputFile],
    ahead: int,
    stop: Stop,
) -> Iterator[T]:
    """The results of `work` on each file, in order, with at most `ahead` of them not yet taken."""
    window: collections.deque[Future[T]] = collections.deque()
    for file in files:
        if stop():
            break
        window.append(pool.submit(work, file))
        if len(window) > ahead:
            yield window.popleft().result()
    while window and not stop():
        yield window.popleft().result()
    for future in window:
        future.cancel()


def _over_white(
    pixels: UInt8[np.ndarray, "h w 3"], alpha: UInt8[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """A transparent photo blended with white, as JPEG has no transparency."""
    shown = np.empty_like(pixels)
    for top in range(0, len(pixels), _ROWS):
        rows = np.s_[top : top + _ROWS]
        share = alpha[rows, :, None].astype(np.float32) / 255
        shown[rows] = np.rint(255 - share * (255 - pixels[rows].astype(np.float32)))
    return shown
