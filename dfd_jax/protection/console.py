"""The progress display of `protect`, and its final report."""

import statistics
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dfd_jax.protection.inputs import InputFile
from dfd_jax.protection.results import Result

REASONS_SHOWN = 50
SECONDS_BETWEEN_LINES = 10.0  # of progress, where there is no terminal


class ProgressDisplay:
    """A progress bar (lines in a log), and at the end a report of what was done."""

    def __init__(self, console: Console, files: Sequence[InputFile]) -> None:
        self._console, self._total = console, len(files)
        kinds = {file.is_video for file in files}
        self.what = "files" if len(kinds) > 1 else "videos" if True in kinds else "photos"
        self._protected = self._was_done = self._linf = 0
        self._psnrs: list[float] = []
        self.failures: list[tuple[str, str]] = []
        self._began = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("protecting", total=self._total, rate="starting …")
        self._video: TaskID | None = None

    def __enter__(self) -> "ProgressDisplay":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        self._seconds = time.monotonic() - self._began

    @property
    def count(self) -> int:
        """Files with a result so far."""
        return self._protected + self._was_done + len(self.failures)

    def add(self, result: Result) -> None:
        """Count one file and show it."""
        record = result.record
        if self._video is not None:
            self._bar.remove_task(self._video)
            self._video = None
        if not record.is_ok:
            self.failures.append((str(result.file.source), record.reason or ""))
        else:
            self._protected += not result.was_done
            self._was_done += result.was_done
            self._linf = max(self._linf, record.linf_255 or 0)
            if record.psnr_region is not None:
                self._psnrs.append(record.psnr_region)
        now = time.monotonic()
        rate = f"{self._rate(now - self._began):.1f} {self.what}/s"
        self._bar.update(self._task, completed=self.count, rate=rate)
        if not self._console.is_terminal and now - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (self._total - self.count) * (now - self._began) / self.count
            self._console.print(
                f"{self.count}/{self._total} {self.what}  {rate}  {left:.0f} s left"
            )

    def show_video(self, file: InputFile, frames: int, total: int) -> None:
        """Show the progress of the current video: frames protected, and all (0: unknown)."""
        known = total if total >= frames else None
        if self._video is None:
            self._video = self._bar.add_task(file.name, total=known, rate="")
            self._began_video = time.monotonic()
        now = time.monotonic()
        rate = f"{frames / max(now - self._began_video, 1e-9):.1f} frames/s"
        self._bar.update(self._video, completed=frames, total=known, rate=rate)
        if not self._console.is_terminal and now - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._console.print(f"{file.name}: frame {frames} of {known or 'unknown'}  {rate}")

    def show(self, manifest: str) -> None:
        """Print the totals, then every file that failed and why."""
        parts = [f"{self._protected} protected"]
        if self._was_done:
            parts.append(f"{self._was_done} were done already")
        parts.append(f"{len(self.failures)} failed")
        lines = [", ".join(parts)]
        if self._psnrs:
            lines[0] += (
                f"; largest change {self._linf} levels of 255, median PSNR of the protected "
                f"regions {statistics.median(self._psnrs):.1f} dB"
            )
        if self._protected:
            lines[0] += f"; {self._rate(self._seconds):.1f} {self.what}/s"
        lines += [f"  failed: {source}: {reason}" for source, reason in self.failures][
            : REASONS_SHOWN + 1
        ]
        if len(self.failures) > REASONS_SHOWN:
            lines[-1] = f"  … and {len(self.failures) - REASONS_SHOWN} more"
        lines.append(f"details: {manifest}")
        self._console.print("\n".join(lines))

    def _rate(self, seconds: float) -> float:
        return self._protected / max(seconds, 1e-9)
