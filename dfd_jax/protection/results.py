"""The result of each file: whether an earlier run did it already, and what is recorded now."""

import pathlib
from typing import Any, Literal, NamedTuple

from dfd_jax.protection.inputs import InputFile
from dfd_jax.protection.manifest import Manifest, Record, sha256_of


class Options(NamedTuple):
    """How outputs are written."""

    format: Literal["png", "jpeg"] = "png"
    quality: int = 98  # of JPEG
    video_quality: int = 12  # CRF, or LOSSLESS
    keep_metadata: bool = False

    def for_manifest(self, file: InputFile) -> dict[str, Any]:
        """Everything the output depends on except input and network, in JSON's types."""
        box = None if file.box is None else list(file.box)
        shared = {"keep_metadata": self.keep_metadata, "region": box}  # the manifest's name
        if file.is_video:
            return {"video_quality": self.video_quality} | shared
        quality = self.quality if self.format == "jpeg" else None
        return {"format": self.format, "quality": quality} | shared


class Result(NamedTuple):
    """The result of one photo or video."""

    file: InputFile
    record: Record
    was_done: bool  # by an earlier run: nothing was written now


class Results:
    """The results of one network in one output folder. With `redo` nothing counts as done."""

    def __init__(
        self,
        manifest: Manifest,
        output: pathlib.Path,
        network_sha256: str,
        options: Options,
        redo: bool = False,
    ) -> None:
        self.output, self.options = output, options
        self._manifest, self._network_sha256, self._redo = manifest, network_sha256, redo

    def done_before(self, file: InputFile, digest: str) -> Result | None:
        """The earlier result, if input, network, options and output are still the same."""
        record = self._manifest.latest.get(file.output)
        if self._redo or record is None or not record.is_ok:
            return None
        now = (digest, self._network_sha256, self.options.for_manifest(file))
        if (record.input_sha256, record.network_sha256, record.options) != now:
            return None
        path = self.output / file.output
        if not path.is_file() or sha256_of(path) != record.output_sha256:
            return None
        return Result(file, record, was_done=True)

    def failed(self, file: InputFile, error: Exception, digest: str | None) -> Result:
        """Record that a file could not be protected, and why."""
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        return self.recorded(file, status="failed", input_sha256=digest, reason=reason)

    def recorded(self, file: InputFile, **fields: Any) -> Result:
        """Record the result of a file; `fields` are those of a Record that are not known here."""
        record = Record(
            input=file.name,
            output=file.output,
            kind="video" if file.is_video else "photo",
            network_sha256=self._network_sha256,
            options=self.options.for_manifest(file),
            **fields,
        )
        self._manifest.append(record)
        return Result(file, record, was_done=False)
