"""Progress of a training on the console, and stop signals."""

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
    """Shows step, metrics, photos per second and time left: a bar on a terminal, else lines."""

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
            TextColumn("{task.fields[metrics]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=total, completed=start, metrics="compiling …")

    def __enter__(self) -> "StepProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, step: int) -> None:
        """Call it after each step."""
        self._bar.update(self._task, completed=step)
        if step == self._first:  # rates leave out the first step, which includes compilation
            self._began, self._start = time.monotonic(), step

    def show(self, step: int, metrics: dict[str, float]) -> float:
        """Show the metrics of `step`; returns photos per second since the first step."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        rate = (step - self._start) / seconds
        text = "  ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        self._bar.update(self._task, metrics=f"{text}  {rate * self._batch:.1f} photos/s")
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
    """True once SIGTERM or Ctrl-C has asked the program to stop after the current step."""

    def __init__(self) -> None:
        self.name = ""

    def __bool__(self) -> bool:
        return bool(self.name)

    def __str__(self) -> str:
        return self.name or "stop signal in another process"

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.name:  # the second signal stops at once
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """In the block the first SIGTERM or SIGINT sets the request, a second interrupts at once."""
    request = StopRequest()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {n: signal.signal(n, request._on_signal) for n in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
