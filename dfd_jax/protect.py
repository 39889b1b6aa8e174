"""Protect photos and videos: python -m dfd_jax.protect INPUT... OUTPUT --workdir W

INPUT: photos, videos, folders (with their subfolders), shards of photos (.array_record, as made by
dfd_jax.data.pack), or tfds:NAME/SPLIT, a data set that tensorflow-datasets has prepared.
OUTPUT: a folder that gets the protected files under the same names, and manifest.jsonl with one
line for each. Run the same command again to continue where it stopped; a video that was not
finished begins anew. Several processes, on any hosts that share the folders, take a slice each with
--processes and --process.
"""

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence

from rich.console import Console

from dfd_jax import models
from dfd_jax.data.video_rewriting import LOSSLESS
from dfd_jax.method.protector import Protector
from dfd_jax.models.frozen import Perturber
from dfd_jax.protection import inputs, work_split
from dfd_jax.protection.console import Summary
from dfd_jax.protection.inputs import Job
from dfd_jax.protection.manifest import Manifest
from dfd_jax.protection.outcomes import Ledger, Options
from dfd_jax.protection.photo_stream import PhotoStream
from dfd_jax.protection.video_stream import VideoStream
from dfd_jax.runtime import command_line
from dfd_jax.runtime.progress import StopRequest, stop_on_signals

EXPORTED = "perturber.safetensors"  # what a training run leaves in its workdir


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0 if all files are protected, 1 if any failed, 2 if it could not
    start, 130 if it was stopped.
    """
    arguments = _parser().parse_intermixed_args(argv)
    command_line.keep_compiled()
    console = Console(soft_wrap=True, highlight=False, markup=False)
    output = pathlib.Path(arguments.paths[-1])
    try:
        every = _jobs(arguments, console)
        mine = work_split.choose(arguments.processes, arguments.process)
        todo = mine.of([job for job in every if not job.is_video])
        todo += mine.of([job for job in every if job.is_video])
        manifest = Manifest(output, mine)
        _refuse_to_overwrite(arguments, todo, output, manifest)
        perturber = _perturber(arguments)
        has_video = any(job.is_video for job in every)
        # of all, not of the slice: a batch of another size may round differently
        batch = arguments.batch if has_video else min(arguments.batch, len(every))
        protector = Protector(perturber, batch)
        output.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(f"protect: {error}", file=sys.stderr)
        return 2
    options = Options(
        arguments.format, arguments.quality, arguments.video_quality, arguments.keep_metadata
    )
    with manifest, stop_on_signals() as stop:
        ledger = Ledger(manifest, output, perturber.card.sha256, options, arguments.overwrite)
        if mine.count > 1:
            console.print(
                f"process {mine.index} of {mine.count}: {len(todo)} of {len(every)} files"
            )
        summary = Summary(console, todo)
        _run(todo, protector, ledger, arguments.workers, stop, summary)
        summary.show(f"{manifest.path}")
        return _status(summary, len(todo), stop, console)


def _run(
    todo: list[Job],
    protector: Protector,
    ledger: Ledger,
    workers: int,
    stop: StopRequest,
    summary: Summary,
) -> None:
    """Photos first, many at a time; then the videos, one after another."""
    photos = [job for job in todo if not job.is_video]
    videos = [job for job in todo if job.is_video]

    def is_stopped() -> bool:
        return bool(stop)

    with summary:
        for outcome in PhotoStream(protector, ledger, workers).run(photos, is_stopped):
            summary.add(outcome)
        stream = VideoStream(protector, ledger, workers)
        for outcome in stream.run(videos, is_stopped, summary.show_video):
            summary.add(outcome)


def _status(summary: Summary, total: int, stop: StopRequest, console: Console) -> int:
    """The command's exit status; says how to go on if it was stopped."""
    if stop and summary.count < total:
        console.print(
            f"stopped: {summary.count} of {total} {summary.what} are done; "
            "run the same command again for the rest"
        )
        return 130
    return 1 if summary.failures else 0


def _jobs(arguments: argparse.Namespace, console: Console) -> list[Job]:
    """The files asked for. ValueError if none, or if the arguments do not fit together."""
    paths = arguments.paths[:-1]
    if arguments.list and paths:
        raise ValueError("give either INPUTs or --list, and then OUTPUT")
    if not arguments.list and not paths:
        raise ValueError("found one path, expected INPUT... OUTPUT: what to protect and where to")
    if arguments.list:
        found = inputs.read_list(arguments.list, arguments.root)
    else:
        found = inputs.find_inputs(paths)
    regions = inputs.read_regions(arguments.boxes) if arguments.boxes else {}
    strangers = sorted(set(regions) - set(found))
    if strangers:
        example = f"for example {strangers[0]}; files are called like {next(iter(found))}"
        if len(strangers) == len(regions):
            raise ValueError(f"{arguments.boxes}: none of its names is a file's, {example}")
        console.print(f"{arguments.boxes}: {len(strangers)} names are no file's, {example}")
    outputs = inputs.output_names(found, arguments.format)
    return [Job(name, found[name], outputs[name], regions.get(name)) for name in found]


def _perturber(arguments: argparse.Namespace) -> Perturber:
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
    if not isinstance(network, Perturber):
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
    sources = {os.path.realpath(path) for path in {job.path for job in todo}}
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
    add(
        "paths",
        nargs="+",
        metavar="INPUT... OUTPUT",
        help="photos, videos or folders, then a folder",
    )
    add("--workdir", help="a training run: its perturber.safetensors is used")
    add("--network", help="a perturber's .safetensors file, or zoo:NAME")
    add("--list", metavar="FILE", help="a text file with one path a line, in place of INPUT")
    add("--root", default=".", help="the folder that --list's paths start at (default: this one)")
    add(
        "--format",
        choices=("png", "jpeg"),
        default="png",
        help="of photos (default png, which is exact); videos keep theirs",
    )
    add("--quality", type=_quality, default=98, help="of JPEG, 1 to 100 (default 98)")
    add(
        "--video_quality",
        type=_video_quality,
        default=12,
        metavar="CRF",
        help="of videos: 1 to 51, lower is better and larger (default 12); or lossless, with "
        "every pixel exact, which few players show",
    )
    add(
        "--boxes",
        metavar="FILE",
        help="protected region of each file in its upright pixels, by its path inside the input "
        'folder: JSON {"a/b.jpg": [left, top, side]} or CSV with the header path,left,top,side; '
        "width,height in place of side stands for the square around that rectangle. Files "
        "without one: the largest centred square",
    )
    add(
        "--keep_metadata",
        action="store_true",
        help="keep EXIF and tags like GPS (default: dropped)",
    )
    add("--overwrite", action="store_true", help="redo what is done; replace files in OUTPUT")
    add(
        "--batch",
        type=_positive,
        default=16,
        help="photos or frames at once (default 16)",
    )
    add(
        "--workers",
        type=_positive,
        default=os.cpu_count() or 1,
        help="threads that read and write files (default: one per processor)",
    )
    add(
        "--processes",
        type=_positive,
        metavar="N",
        help="how many processes run this command (default: what Slurm or the TPU says, or 1)",
    )
    add("--process", type=int, metavar="I", help="which of them this one is: 0 to N-1")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"found {value}, expected at least 1")
    return value


def _video_quality(text: str) -> int:
    if text == "lossless":
        return LOSSLESS
    value = int(text)
    if not 1 <= value <= 51:
        raise argparse.ArgumentTypeError(f"found {value}, expected 1 to 51, or lossless")
    return value


def _quality(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError(f"found {value}, expected 1 to 100")
    return value


if __name__ == "__main__":
    sys.exit(main())
