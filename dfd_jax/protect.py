"""Protect photos: python -m dfd_jax.protect INPUT... OUTPUT --workdir W

INPUT: photos and folders (with their subfolders). OUTPUT: a folder that gets the protected photos
under the same names, and manifest.jsonl with one line per photo. Run the same command again to
continue where it stopped.
"""

import argparse
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dfd_jax import cli, jobs, models
from dfd_jax.jobs import Job
from dfd_jax.manifest import Manifest
from dfd_jax.models.frozen import FrozenPerturber
from dfd_jax.photo_stream import Options, Outcome, PhotoStream
from dfd_jax.progress import StopRequest, stop_on_signals
from dfd_jax.protector import Protector

EXPORTED = "perturber.safetensors"  # what a training run leaves in its workdir
REASONS_SHOWN = 50
SECONDS_BETWEEN_LINES = 10.0  # of progress, where there is no terminal


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0 if all photos are protected, 1 if any failed, 2 if it could not
    start, 130 if it was stopped.
    """
    arguments = _parser().parse_intermixed_args(argv)
    cli.keep_compiled()
    console = Console(soft_wrap=True, highlight=False, markup=False)
    output = pathlib.Path(arguments.paths[-1])
    try:
        todo = _jobs(arguments, console)
        manifest = Manifest(output)
        _refuse_to_overwrite(arguments, todo, output, manifest)
        perturber = _perturber(arguments)
        protector = Protector(perturber, min(arguments.batch, len(todo)))
        output.mkdir(parents=True, exist_ok=True)
        options = Options(arguments.format, arguments.quality, arguments.keep_metadata)
    except (ValueError, OSError) as error:
        print(f"protect: {error}", file=sys.stderr)
        return 2
    with manifest, stop_on_signals() as stop:
        stream = PhotoStream(
            protector,
            perturber.card.sha256,
            output,
            manifest,
            options,
            workers=arguments.workers,
            redo=arguments.overwrite,
        )
        return _run(stream, todo, stop, console, f"{manifest.path}")


def _run(
    stream: PhotoStream, todo: list[Job], stop: StopRequest, console: Console, manifest: str
) -> int:
    with Summary(console, len(todo)) as summary:
        for outcome in stream.run(todo, lambda: bool(stop)):
            summary.add(outcome)
    summary.show(manifest)
    if stop and summary.count < len(todo):
        console.print(
            f"stopped: {summary.count} of {len(todo)} photos are done; "
            "run the same command again for the rest"
        )
        return 130
    return 1 if summary.failures else 0


class Summary:
    """What a person sees: a progress bar (lines in a log), and at the end what was done."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._protected = self._was_done = self._linf = 0
        self._psnrs: list[float] = []
        self.failures: list[tuple[str, str]] = []
        self._began = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("protecting"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, rate="starting …")

    def __enter__(self) -> "Summary":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        self._seconds = time.monotonic() - self._began

    @property
    def count(self) -> int:
        """Photos with an outcome so far."""
        return self._protected + self._was_done + len(self.failures)

    def add(self, outcome: Outcome) -> None:
        """Count one photo and show it."""
        record = outcome.record
        if not record.is_ok:
            self.failures.append((str(outcome.job.source), record.reason or ""))
        else:
            self._protected += not outcome.was_done
            self._was_done += outcome.was_done
            self._linf = max(self._linf, record.linf_255 or 0)
            if record.psnr_region is not None:
                self._psnrs.append(record.psnr_region)
        now = time.monotonic()
        rate = f"{self._rate(now - self._began):.1f} photos/s"
        self._bar.update(self._task, completed=self.count, rate=rate)
        if not self._console.is_terminal and now - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (self._total - self.count) * (now - self._began) / self.count
            self._console.print(f"{self.count}/{self._total} photos  {rate}  {left:.0f} s left")

    def show(self, manifest: str) -> None:
        """Print the totals, then every photo that failed and why."""
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
            lines[0] += f"; {self._rate(self._seconds):.1f} photos/s"
        lines += [f"  failed: {source}: {reason}" for source, reason in self.failures][
            : REASONS_SHOWN + 1
        ]
        if len(self.failures) > REASONS_SHOWN:
            lines[-1] = f"  … and {len(self.failures) - REASONS_SHOWN} more"
        lines.append(f"details: {manifest}")
        self._console.print("\n".join(lines))

    def _rate(self, seconds: float) -> float:
        return self._protected / max(seconds, 1e-9)


def _jobs(arguments: argparse.Namespace, console: Console) -> list[Job]:
    """The photos asked for. ValueError if none, or if the arguments do not fit together."""
    inputs = arguments.paths[:-1]
    if arguments.list and inputs:
        raise ValueError("give either INPUTs or --list, and then OUTPUT")
    if not arguments.list and not inputs:
        raise ValueError("found one path, expected INPUT... OUTPUT: what to protect and where to")
    if arguments.list:
        found = jobs.read_list(arguments.list, arguments.root)
    else:
        found = jobs.find_photos(inputs)
    regions = jobs.read_regions(arguments.boxes) if arguments.boxes else {}
    strangers = sorted(set(regions) - set(found))
    if strangers:
        example = f"for example {strangers[0]}; photos are called like {next(iter(found))}"
        if len(strangers) == len(regions):
            raise ValueError(f"{arguments.boxes}: none of its names is a photo's, {example}")
        console.print(f"{arguments.boxes}: {len(strangers)} names are no photo's, {example}")
    outputs = jobs.output_names(found, arguments.format)
    return [Job(name, found[name], outputs[name], regions.get(name)) for name in found]


def _perturber(arguments: argparse.Namespace) -> FrozenPerturber:
    if bool(arguments.workdir) == bool(arguments.network):
        raise ValueError("give either --workdir, a training run, or --network, a weights file")
    path = arguments.network
    if arguments.workdir:
        path = os.path.join(arguments.workdir, EXPORTED)
        if not os.path.exists(path):
            raise ValueError(
                f"{arguments.workdir}: no {EXPORTED} in this folder; give the --workdir of a "
                "finished `python -m dfd_jax.train`"
            )
    network = models.load(path)
    if not isinstance(network, FrozenPerturber):
        raise ValueError(f"{path} holds {network.card.model}, which is not a perturber")
    return network


def _refuse_to_overwrite(
    arguments: argparse.Namespace, todo: list[Job], output: pathlib.Path, manifest: Manifest
) -> None:
    """ValueError if the outputs could touch inputs, or files that this command did not write."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: OUTPUT must be a folder, but it is a file")
    target = output.resolve()
    folders = [pathlib.Path(p).resolve() for p in arguments.paths[:-1] if os.path.isdir(p)]
    inside = [folder for folder in folders if folder == target or folder in target.parents]
    if inside:
        raise ValueError(
            f"{output}: OUTPUT lies in the input folder {inside[0]}; choose one beside it"
        )
    sources = {os.path.realpath(job.source) for job in todo}
    for job in todo:
        if os.path.realpath(target / job.output) in sources:
            raise ValueError(f"{output / job.output} is an input and would be overwritten")
    if manifest.is_new and not arguments.overwrite:
        present = [job.output for job in todo if (output / job.output).exists()]
        if present:
            raise ValueError(
                f"{output}: {len(present)} files are there already that this command did not "
                f"write, for example {present[0]}; choose another OUTPUT, or add --overwrite"
            )


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").partition("\n\n")[2]
    parser = argparse.ArgumentParser(
        "python -m dfd_jax.protect",
        usage="%(prog)s INPUT... OUTPUT (--workdir W | --network FILE) [options]",
        description=summary,
    )
    add = parser.add_argument
    add("paths", nargs="+", metavar="INPUT... OUTPUT", help="photos or folders, then a folder")
    add("--workdir", help="a training run: its perturber.safetensors is used")
    add("--network", help="a perturber's .safetensors file, or zoo:NAME")
    add("--list", metavar="FILE", help="a text file with one path a line, in place of INPUT")
    add("--root", default=".", help="the folder that --list's paths start at (default: this one)")
    add("--format", choices=("png", "jpeg"), default="png", help="default png, which is exact")
    add("--quality", type=_quality, default=98, help="of JPEG, 1 to 100 (default 98)")
    add(
        "--boxes",
        metavar="FILE",
        help="protected region of each photo in its upright pixels, by its path inside the input "
        'folder: JSON {"a/b.jpg": [left, top, side]} or CSV with the header path,left,top,side; '
        "width,height in place of side stands for the square around that rectangle. Photos "
        "without one: the largest centred square",
    )
    add("--keep_metadata", action="store_true", help="keep EXIF, such as GPS (default: dropped)")
    add("--overwrite", action="store_true", help="redo what is done; replace files in OUTPUT")
    add("--batch", type=_positive, default=16, help="photos per pass of the network (default 16)")
    add(
        "--workers",
        type=_positive,
        default=os.cpu_count() or 1,
        help="threads that read and write photos (default: one per processor)",
    )
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"found {value}, expected at least 1")
    return value


def _quality(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError(f"found {value}, expected 1 to 100")
    return value


if __name__ == "__main__":
    sys.exit(main())
