"""What was done to each photo or video: one JSON line each, from which a stopped run resumes.

A single process writes manifest.jsonl. Each of N processes writes a part of its own,
manifest.I-of-N.jsonl, and merges all parts into manifest.jsonl when it ends. All parts are read at
the start, whatever N was, and none is removed, so a missing merge loses nothing.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dfd_jax.protection.work_share import ALL, WorkShare
from dfd_jax.runtime.files import replace_file

NAME = "manifest.jsonl"
PARTS = "manifest.*-of-*.jsonl"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One photo or video. Unknown values and infinite PSNRs are None (null)."""

    input: str  # path relative to the given input folder
    output: str  # relative to the manifest's folder, with /
    status: str  # "ok" or "failed"
    network_sha256: str
    options: dict[str, Any]  # what else the output depends on: format, quality, metadata, box
    input_sha256: str | None = None
    output_sha256: str | None = None
    kind: str = "photo"  # or "video"
    size: tuple[int, int] | None = None  # width, height of the upright photo
    box: tuple[int, int, int] | None = None  # left, top, side of the protected region
    linf_255: int | None = None  # largest change of any pixel of the file as read back
    psnr_region: float | None = None  # dB, of the file as read back; of a video, over all frames
    psnr_photo: float | None = None
    frames: int | None = None  # of a video, like the rest
    fps: float | None = None  # on average
    encoder: str | None = None  # and pixel format
    left_out: tuple[str, ...] | None = None  # streams that the output does not have
    reason: str | None = None  # why it failed
    revision: int = 1  # of several lines about one output, in any part, the highest counts

    @property
    def is_ok(self) -> bool:
        """Whether the output exists and is complete, as far as the manifest knows."""
        return self.status == "ok"


class Manifest:
    """The manifest of an output folder: its earlier records, and a way to add new ones.

    Lines that are no records (such as the torn last line of a killed run) are skipped. Of several
    lines about one output the one with the highest revision counts; of equal ones, the last.
    """

    def __init__(self, folder: pathlib.Path, mine: WorkShare = ALL) -> None:
        self.path = folder / NAME
        self._part = folder / f"manifest.{mine.index}-of-{mine.count}.jsonl"
        if mine.count == 1:
            self._part = self.path
        self._lock = threading.Lock()
        # those that work at the same time tell nothing of before
        beside = f"-of-{mine.count}.jsonl"
        self.is_new = all(
            path != self._part and path.name.endswith(beside) for path in _files(folder)
        )
        self.latest = _read(folder)

    def __enter__(self) -> "Manifest":
        self._part.parent.mkdir(parents=True, exist_ok=True)
        is_torn = self._part.exists() and not _ends_a_line(self._part)
        self._file = open(self._part, "a", encoding="utf-8")
        if is_torn:
            self._file.write("\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._part != self.path:
            _merge(self.path.parent)

    def append(self, record: Record) -> None:
        """Add a line, as the newest about its output, and hand it to the operating system at once.

        Safe in any thread.
        """
        before = self.latest.get(record.output)
        line = _line(record, 1 if before is None else before.revision + 1)
        with self._lock:
            self._file.write(line)
            self._file.flush()


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The manifests in a folder: the merged one or that of one process, then all parts."""
    whole = folder / NAME
    return [whole] * whole.exists() + sorted(folder.glob(PARTS))


def _read(folder: pathlib.Path) -> dict[str, Record]:
    """The newest record of every output."""
    latest: dict[str, Record] = {}
    for path in _files(folder):
        with open(path, encoding="utf-8", errors="replace") as lines:
            for record in filter(None, map(_record, lines)):
                before = latest.get(record.output)
                if before is None or record.revision >= before.revision:
                    latest[record.output] = record
    return latest


def _merge(folder: pathlib.Path) -> None:
    """Rewrite manifest.jsonl from all parts: one line per output, sorted by name.

    Every process does this when it ends, one at a time, so the last one writes all records.
    """
    with _locked(folder / ".manifest.lock"):
        latest = _read(folder)
        lines = (_line(latest[o], latest[o].revision) for o in sorted(latest))
        replace_file(folder / NAME, "".join(lines))


@contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
    """One process at a time runs the block. A process that dies releases the lock."""
    import fcntl  # not on Windows, where one process can do without it

    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hex sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(record: Record, revision: int) -> str:
    fields = dataclasses.asdict(record) | {"revision": revision}
    return json.dumps(fields, allow_nan=False) + "\n"


def _record(line: str) -> Record | None:
    try:
        fields = json.loads(line)
        for name in ("size", "box", "left_out"):  # JSON knows no tuples
            if fields.get(name) is not None:
                fields[name] = tuple(fields[name])
        return Record(**fields)
    except (ValueError, TypeError, AttributeError):
        return None


def _ends_a_line(path: pathlib.Path) -> bool:
    with open(path, "rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
