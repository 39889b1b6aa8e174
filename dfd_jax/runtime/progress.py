"""What a person sees of long work, and how they stop it."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class StepProgress:
    """Step, figures by name, photos per second and time left: a live bar on a terminal, lines in a
    log.
    """

    def __init__(self, console: Console, title: str, total: int, start: int, batch: int) -> None:
        self._console, self._total, self._batch = console, total, batch
        self._began, self._start, self._first = time.monotonic(), start, start + 1
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=total, completed=start, figures="compiling …")

    def __enter__(self) -> "StepProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, step: int) -> None:
        """`step` steps are done."""
        self._bar.update(self._task, completed=step)
        if step == self._first:  # the first step is mostly compilation: rates start after it
            self._began, self._start = time.monotonic(), step

    def show(self, step: int, figures: dict[str, float]) -> float:
        """Show the figures of `step`; returns photos per second since the first step."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        rate = (step - self._start) / seconds
        text = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        self._bar.update(self._task, figures=f"{text}  {rate * self._batch:.1f} photos/s")
        if not self._console.is_terminal:
            left = (self._total - step) / rate if rate else float("nan")
            self._console.print(
                f"step {step}/{self._total}  {text}  {rate * self._batch:.1f} photos/s"
                f"  {left:.0f} s left",
                soft_wrap=True,
                highlight=False,
            )
        return rate * self._batch


class StopRequest:
    """Whether SIGTERM or Ctrl-C has asked the program to finish what it is doing and stop."""

    def __init__(self) -> None:
        self.name = ""

    def __bool__(self) -> bool:
        return bool(self.name)

    def __str__(self) -> str:
        return self.name or "asked by another process"

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.name:  # asked twice: now
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the block SIGTERM and SIGINT set the request instead of killing; a second one
    interrupts.
    """
    request = StopRequest()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {n: signal.signal(n, request._on_signal) for n in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
