"""A run's metrics: `metrics.jsonl` for programs, TensorBoard events for people."""

import functools
import json
import pathlib
import time
from typing import Any

import jax
import numpy as np
from absl import logging

from dfd_jax.runtime.progress import StepProgress

SHOWN = (
    *("loss", "distortion", "budget", "fake", "real", "disrupted", "accuracy"),
    *("wasserstein", "labels", "reconstruction", "change"),
)


class MetricsWriter:
    """Appends scalars to `workdir/metrics.jsonl` and `workdir/events.*`. Only process 0 writes.

    Lines after `from_step` are dropped: an interrupted run wrote them after its last checkpoint,
    and their steps are repeated.
    """

    def __init__(self, workdir: pathlib.Path, from_step: int = 0) -> None:
        self._active = jax.process_index() == 0
        if not self._active:
            return
        self._path = workdir / "metrics.jsonl"
        kept = [r for r in read_metrics(workdir) if r["step"] <= from_step]
        replace_text(self._path, "".join(json.dumps(r) + "\n" for r in kept))
        self._open = functools.partial(_events, workdir, purge_step=from_step + 1)
        self._events: Any = None

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write one record, and flush it."""
        if not self._active:
            return
        record = {"step": step, "time": round(time.time(), 3), **values}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self._events = self._events or self._open()
        if self._events:
            for name, value in values.items():
                self._events.add_scalar(name, value, step)
            self._events.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._active and self._events:
            self._events.close()


def _events(workdir: pathlib.Path, **options: Any) -> Any:
    """TensorBoard's writer. Imported late: if PyTorch is installed the import takes seconds, which
    would delay the first step. None without tensorboardX.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        _warn_once()
        return None
    return SummaryWriter(str(workdir), **options)


@functools.cache
def _warn_once() -> None:
    logging.warning("no TensorBoard events are written: pip install 'dfd-jax[tensorboard]'")


def write_image(workdir: pathlib.Path, step: int, name: str, pixels: np.ndarray) -> None:
    """Add one picture (uint8 [h, w, 3]) to the run's TensorBoard events."""
    events = _events(workdir)
    if events:
        events.add_image(name, pixels, step, dataformats="HWC")
        events.close()


def replace_text(path: pathlib.Path, text: str) -> None:
    """Write a text file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """The records of `metrics.jsonl`, without an incomplete last line; none if it is missing."""
    path = workdir / "metrics.jsonl"
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


class MetricsLog:
    """Collects metrics on the device; shows and writes their means every `every` steps."""

    def __init__(
        self, workdir: pathlib.Path, progress: StepProgress, from_step: int, every: int
    ) -> None:
        self._writer = MetricsWriter(workdir, from_step)
        self._progress, self._every = progress, every
        self._window: list[tuple[int, dict[str, jax.Array]]] = []

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Collect the metrics of `step`. They stay on the device: fetching them would stall it."""
        self._window.append((step, metrics))
        self._progress.advance(step)
        if step % self._every == 0:
            values = self.check()
            means = {n: float(np.mean([v[n] for v in values])) for n in values[0]}
            shown = {n: means[n] for n in SHOWN if n in means}
            means["photos_per_second"] = self._progress.show(step, shown)
            self._writer.scalars(step, means)
            self._window = []

    def record(self, step: int, values: dict[str, float]) -> None:
        """Write values that are on the host already, such as a validation's, at once."""
        self._writer.scalars(step, values)

    def check(self) -> list[dict[str, np.ndarray]]:
        """The metrics since the last record. RuntimeError, with the step, if one is not finite."""
        values = [jax.device_get(metrics) for _, metrics in self._window]
        for (step, _), named in zip(self._window, values, strict=True):
            bad = [name for name, value in named.items() if not np.isfinite(value)]
            if bad:
                raise RuntimeError(
                    f"step {step}: {', '.join(bad)} is not finite. The last checkpoint is intact; "
                    "lower train.learning_rate or the objective's weights and start again from it."
                )
        return values
