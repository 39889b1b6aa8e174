"""Files that are written as a whole or not at all."""

import hashlib
import os
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """The name of a hidden file to write in the block; it becomes `path` when the block ends.

    If the block raises, `path` stays as it was and the hidden file is removed. It lies in the same
    folder, which is made if missing, and has the suffix of `path`. Its name depends on `path` only,
    so the next writer overwrites what a killed one left; two processes must not write the same
    `path` at the same time.
    """
    target = pathlib.Path(path)
    temporary = temporary_for(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_file(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file atomically; text as UTF-8. OSError if it cannot be written."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def temporary_for(path: pathlib.Path) -> pathlib.Path:
    """The hidden file in which `path` is prepared. Its name is short, however long that is."""
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return path.with_name(f".{digest}.part{path.suffix}")
