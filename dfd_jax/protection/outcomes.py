"""What the manifest means for a run: which outputs are done, and what became of the others."""

import pathlib
from typing import Any, Literal, NamedTuple

from dfd_jax.protection.inputs import Job
from dfd_jax.protection.manifest import Manifest, Record, sha256_of


class Options(NamedTuple):
    """How outputs are written."""

    format: Literal["png", "jpeg"] = "png"
    quality: int = 98  # of JPEG
    video_quality: int = 12  # CRF, or LOSSLESS
    keep_metadata: bool = False

    def for_manifest(self, job: Job) -> dict[str, Any]:
        """All that the output depends on beside input and network, in JSON's types."""
        region = None if job.region is None else list(job.region)
        shared = {"keep_metadata": self.keep_metadata, "region": region}
        if job.is_video:
            return {"video_quality": self.video_quality} | shared
        quality = self.quality if self.format == "jpeg" else None
        return {"format": self.format, "quality": quality} | shared


class Outcome(NamedTuple):
    """What became of one photo or video."""

    job: Job
    record: Record
    was_done: bool  # by an earlier run, so nothing was written


class Ledger:
    """The outputs of one network in one folder. With `redo` nothing counts as done."""

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

    def done_before(self, job: Job, digest: str) -> Outcome | None:
        """The earlier outcome, if input, network, options and output are still the same."""
        record = self._manifest.latest.get(job.output)
        if self._redo or record is None or not record.is_ok:
            return None
        now = (digest, self._network_sha256, self.options.for_manifest(job))
        if (record.input_sha256, record.network_sha256, record.options) != now:
            return None
        path = self.output / job.output
        if not path.is_file() or sha256_of(path) != record.output_sha256:
            return None
        return Outcome(job, record, was_done=True)

    def failed(self, job: Job, error: Exception, digest: str | None) -> Outcome:
        """Record that a file could not be protected, and why."""
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        return self.recorded(job, status="failed", input_sha256=digest, reason=reason)

    def recorded(self, job: Job, **fields: Any) -> Outcome:
        """Record what became of a file, in the fields of a Record that are not known here."""
        record = Record(
            input=job.name,
            output=job.output,
            kind="video" if job.is_video else "photo",
            network_sha256=self._network_sha256,
            options=self.options.for_manifest(job),
            **fields,
        )
        self._manifest.append(record)
        return Outcome(job, record, was_done=False)
