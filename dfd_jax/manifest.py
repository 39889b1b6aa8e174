"""What was done to each photo or video: one JSON line each, from which a stopped run resumes."""

import dataclasses
import hashlib
import json
import os
import pathlib
import threading
from typing import Any

NAME = "manifest.jsonl"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One photo or video. What could not be found out, and an infinite PSNR, is None (null)."""

    input: str  # as named by the person, relative to the folder they gave
    output: str  # relative to the manifest's folder, with /
    status: str  # "ok" or "failed"
    network_sha256: str
    options: dict[str, Any]  # all else the output depends on: format, quality, metadata, box
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

    @property
    def is_ok(self) -> bool:
        """Whether the output exists and is complete, as far as the manifest knows."""
        return self.status == "ok"


class Manifest:
    """The manifest of an output folder: what it said before, and a way to add to it.

    Lines that are no records (the torn last line of a killed run) are passed over. Of several lines
    about one output the last counts.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / NAME
        self._lock = threading.Lock()
        self.is_new = not self.path.exists()
        self.latest: dict[str, Record] = {}
        if not self.is_new:
            with open(self.path, encoding="utf-8", errors="replace") as lines:
                found = filter(None, map(_record, lines))
                self.latest = {record.output: record for record in found}

    def __enter__(self) -> "Manifest":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_torn = not self.is_new and not _ends_a_line(self.path)
        self._file = open(self.path, "a", encoding="utf-8")
        if is_torn:
            self._file.write("\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, record: Record) -> None:
        """Add a line and hand it to the operating system at once. Safe in any thread."""
        line = json.dumps(dataclasses.asdict(record), allow_nan=False)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hex sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
