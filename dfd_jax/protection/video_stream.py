"""Videos through a Protector: decode → batch → device → encode → check, in bounded memory.

In memory are the frames of one batch and those that the encoder holds, however long the video is.
"""

import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import UInt8

from dfd_jax.data.images import Box, centre_box
from dfd_jax.data.video_files import read_frames, read_info
from dfd_jax.data.video_rewriting import rewrite_video
from dfd_jax.method.protector import Protector
from dfd_jax.protection.inputs import InputFile, box_in_photo
from dfd_jax.protection.manifest import sha256_of
from dfd_jax.protection.measuring import Change
from dfd_jax.protection.results import Result, Results
from dfd_jax.runtime.files import atomic_write

_BYTES_PER_BATCH = 256 << 20  # of decoded frames: a batch of large ones starts before it is full

Frame = UInt8[np.ndarray, "h w 3"]
Stop = Callable[[], bool]
Progress = Callable[
    [InputFile, int, int], None
]  # a video, its frames protected so far, all (0: unknown)


class _Stopped(Exception):
    """The user stopped the command in the middle of a video."""


class VideoStream:
    """Protects videos into a folder, one after another, and records each in the manifest."""

    def __init__(self, protector: Protector, results: Results, workers: int = 2) -> None:
        self._protector, self._results, self._workers = protector, results, workers

    def run(self, files: Iterable[InputFile], stop: Stop, progress: Progress) -> Iterator[Result]:
        """One result per video. Once `stop` is true, the current video is given up."""
        with ThreadPoolExecutor(self._workers) as pool:
            for file in files:
                if stop():
                    return
                try:
                    result = self._protect(file, pool, stop, progress)
                except _Stopped:
                    return
                yield result

    def _protect(
        self, file: InputFile, pool: ThreadPoolExecutor, stop: Stop, progress: Progress
    ) -> Result:
        digest = None
        try:
            digest = sha256_of(file.path)
            done = self._results.done_before(file, digest)
            if done is not None:
                return done
            info = read_info(file.path)
            size = (info.height, info.width)
            box = box_in_photo(file.box, *size) if file.box else centre_box(*size)

            def protect(frames: Iterator[Frame]) -> Iterator[Frame]:
                for count, frame in enumerate(self._protected(frames, box, pool), 1):
                    if stop():
                        raise _Stopped
                    progress(file, count, info.frames)
                    yield frame

            path = self._results.output / file.output
            options = self._results.options
            with atomic_write(path) as temporary:
                written = rewrite_video(
                    file.path,
                    temporary,
                    protect,
                    quality=options.video_quality,
                    keep_metadata=options.keep_metadata,
                )
                change = _measure(file.path, temporary, box)
            output_sha256 = sha256_of(path)
        except (ValueError, OSError) as error:
            return self._results.failed(file, error, digest)
        return self._results.recorded(
            file,
            status="ok",
            input_sha256=digest,
            output_sha256=output_sha256,
            size=(info.width, info.height),
            box=tuple(box),
            frames=written.frames,
            fps=round(info.fps, 6),
            encoder=f"{written.encoder} {written.pix_fmt}",
            left_out=written.left_out,
            **change.for_record(),
        )

    def _protected(
        self, frames: Iterator[Frame], box: Box, pool: ThreadPoolExecutor
    ) -> Iterator[Frame]:
        """The frames, each with its own perturbation in the square `box`."""
        for batch in self._batches(frames):
            crops = np.stack([self._protector.crop(frame, box) for frame in batch])
            outputs = self._protector.outputs(crops)
            yield from pool.map(self._protector.apply, batch, itertools.repeat(box), outputs)

    def _batches(self, frames: Iterator[Frame]) -> Iterator[list[Frame]]:
        batch: list[Frame] = []
        for frame in frames:
            batch.append(frame)
            size = sum(frame.nbytes for frame in batch)
            if len(batch) == self._protector.batch_size or size >= _BYTES_PER_BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def _measure(original: pathlib.Path, written: pathlib.Path, box: Box) -> Change:
    """How far the file as read back is from the video. ValueError if frames are missing."""
    change = Change()
    for before, after in itertools.zip_longest(read_frames(original), read_frames(written)):
        if before is None or after is None or before.shape != after.shape:
            raise ValueError("the written file does not have the frames of the video")
        change.add(before, after, box)
    return change
