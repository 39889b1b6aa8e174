"""Videos through a Protector: decode → batch → device → encode → check, in bounded memory.

Of a video of any length, the frames of one batch are in memory, and those that the encoder holds.
"""

import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dfd_jax.data.images import Box, centre_box
from dfd_jax.data.video_files import read_frames, read_info
from dfd_jax.data.video_rewriting import rewrite_video
from dfd_jax.method import metrics
from dfd_jax.method.protector import Protector
from dfd_jax.protection.inputs import Job, square
from dfd_jax.protection.manifest import sha256_of
from dfd_jax.protection.outcomes import Ledger, Outcome
from dfd_jax.runtime.files import atomic_write

_BYTES_PER_BATCH = 256 << 20  # of decoded frames: a batch of large ones goes before it is full
_ROWS_AT_ONCE = 256

Frame = UInt8[np.ndarray, "h w 3"]
Stop = Callable[[], bool]
Progress = Callable[[Job, int, int], None]  # a video, its frames protected so far, all (0: unknown)


class _Stopped(Exception):
    """The person does not want to wait for the rest of this video."""


class VideoStream:
    """Protects videos into a folder, one after another, and records each in the manifest."""

    def __init__(self, protector: Protector, ledger: Ledger, workers: int = 2) -> None:
        self._protector, self._ledger, self._workers = protector, ledger, workers

    def run(self, jobs: Iterable[Job], stop: Stop, progress: Progress) -> Iterator[Outcome]:
        """One outcome per video. Once `stop` says so, the video at hand is given up."""
        with ThreadPoolExecutor(self._workers) as pool:
            for job in jobs:
                if stop():
                    return
                try:
                    outcome = self._protect(job, pool, stop, progress)
                except _Stopped:
                    return
                yield outcome

    def _protect(
        self, job: Job, pool: ThreadPoolExecutor, stop: Stop, progress: Progress
    ) -> Outcome:
        digest = None
        try:
            digest = sha256_of(job.path)
            done = self._ledger.done_before(job, digest)
            if done is not None:
                return done
            info = read_info(job.path)
            size = (info.height, info.width)
            box = square(job.region, *size) if job.region else centre_box(*size)

            def change(frames: Iterator[Frame]) -> Iterator[Frame]:
                for count, frame in enumerate(self._protected(frames, box, pool), 1):
                    if stop():
                        raise _Stopped
                    progress(job, count, info.frames)
                    yield frame

            path = self._ledger.output / job.output
            options = self._ledger.options
            with atomic_write(path) as temporary:
                written = rewrite_video(
                    job.path,
                    temporary,
                    change,
                    quality=options.video_quality,
                    keep_metadata=options.keep_metadata,
                )
                measured = _measure(job.path, temporary, box)
            output_sha256 = sha256_of(path)
        except (ValueError, OSError) as error:
            return self._ledger.failed(job, error, digest)
        return self._ledger.recorded(
            job,
            status="ok",
            input_sha256=digest,
            output_sha256=output_sha256,
            size=(info.width, info.height),
            box=tuple(box),
            frames=written.frames,
            fps=round(info.fps, 6),
            encoder=f"{written.encoder} {written.pix_fmt}",
            left_out=written.left_out,
            **measured,
        )

    def _protected(
        self, frames: Iterator[Frame], box: Box, pool: ThreadPoolExecutor
    ) -> Iterator[Frame]:
        """The frames with a perturbation of their own each, in the region `box`."""
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


def _measure(original: pathlib.Path, written: pathlib.Path, box: Box) -> dict[str, Any]:
    """How far the file as read back is from the video. ValueError if frames got lost."""
    largest = region_sum = frame_sum = region_size = frame_size = 0
    region = np.s_[box.top : box.top + box.side, box.left : box.left + box.side]
    for pair in itertools.zip_longest(read_frames(original), read_frames(written)):
        before, after = pair
        if before is None or after is None or before.shape != after.shape:
            raise ValueError("the file as written has other frames than the video")
        for top in range(0, len(before), _ROWS_AT_ONCE):
            rows = np.s_[top : top + _ROWS_AT_ONCE]
            change = after[rows].astype(np.int32) - before[rows]
            largest = max(largest, int(np.abs(change).max()))
            frame_sum += int(np.square(change).sum(dtype=np.int64))
        change = after[region].astype(np.int32) - before[region]
        region_sum += int(np.square(change).sum(dtype=np.int64))
        region_size, frame_size = region_size + change.size, frame_size + before.size
    return {
        "linf_255": largest,
        "psnr_region": metrics.psnr_of_sum(region_sum, region_size),
        "psnr_photo": metrics.psnr_of_sum(frame_sum, frame_size),
    }
