"""Protect photos and videos: python -m dfd_jax.protect INPUT... OUTPUT --workdir W

INPUT: photos, videos, folders (with their subfolders), shards of photos (.array_record, as made by
dfd_jax.data.pack), or tfds:NAME/SPLIT, a data set that tensorflow-datasets has prepared.
OUTPUT: a folder for the protected files, under the same names, and manifest.jsonl with one line per
file. To continue a stopped run, run the same command again; an unfinished video starts over.
Several processes, on any hosts that share the folders, divide the files among themselves with
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
from dfd_jax.protection import work_share
from dfd_jax.protection.console import ProgressDisplay
from dfd_jax.protection.inputs import (
    InputFile,
    find_inputs,
    output_names,
    read_boxes,
    read_list,
)
from dfd_jax.protection.manifest import Manifest
from dfd_jax.protection.photo_stream import PhotoStream
from dfd_jax.protection.results import Options, Results
from dfd_jax.protection.video_stream import VideoStream
from dfd_jax.runtime import command_line
from dfd_jax.runtime.progress import StopRequest, stop_on_signals

EXPORTED = "perturber.safetensors"  # what a training run leaves in its workdir


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0 if all files are protected, 1 if any failed, 2 if it could not
    start, 130 if it was stopped by a signal.
    """
    arguments = _parser().parse_intermixed_args(argv)
    command_line.keep_compiled()
    console = Console(soft_wrap=True, highlight=False, markup=False)
    output = pathlib.Path(arguments.paths[-1])
    try:
        every = _input_files(arguments, console)
        mine = work_share.choose(arguments.processes, arguments.process)
        todo = mine.of([file for file in every if not file.is_video])
        todo += mine.of([file for file in every if file.is_video])
        manifest = Manifest(output, mine)
        _refuse_to_overwrite(arguments, todo, output, manifest)
        perturber = _perturber(arguments)
        has_video = any(file.is_video for file in every)
        # the same in all processes: a batch of another size may round differently
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
        results = Results(manifest, output, perturber.card.sha256, options, arguments.overwrite)
        if mine.count > 1:
            console.print(
                f"process {mine.index} of {mine.count}: {len(todo)} of {len(every)} files"
            )
        display = ProgressDisplay(console, todo)
        _run(todo, protector, results, arguments.workers, stop, display)
        display.show(f"{manifest.path}")
        return _status(display, len(todo), stop, console)


def _run(
    todo: list[InputFile],
    protector: Protector,
    results: Results,
    workers: int,
    stop: StopRequest,
    display: ProgressDisplay,
) -> None:
    """Photos first, many at a time; then the videos, one after another."""
    photos = [file for file in todo if not file.is_video]
    videos = [file for file in todo if file.is_video]

    def is_stopped() -> bool:
        return bool(stop)

    with display:
        for result in PhotoStream(protector, results, workers).run(photos, is_stopped):
            display.add(result)
        stream = VideoStream(protector, results, workers)
        for result in stream.run(videos, is_stopped, display.show_video):
            display.add(result)


def _status(display: ProgressDisplay, total: int, stop: StopRequest, console: Console) -> int:
    """The command's exit status. Prints how to continue if it was stopped."""
    if stop and display.count < total:
        console.print(
            f"stopped: {display.count} of {total} {display.what} are done; "
            "run the same command again for the rest"
        )
        return 130
    return 1 if display.failures else 0


def _input_files(arguments: argparse.Namespace, console: Console) -> list[InputFile]:
    """The files to protect. ValueError if there are none, or arguments contradict each other."""
    given = arguments.paths[:-1]
    if arguments.list and given:
        raise ValueError("give either INPUTs or --list, and then OUTPUT")
    if not arguments.list and not given:
        raise ValueError("found one path, expected INPUT... OUTPUT: what to protect and where to")
    files = read_list(arguments.list, arguments.root) if arguments.list else find_inputs(given)
    boxes = read_boxes(arguments.boxes) if arguments.boxes else {}
    unknown = sorted(set(boxes) - set(files))
    if unknown:
        example = f"for example {unknown[0]}; files are called like {next(iter(files))}"
        if len(unknown) == len(boxes):
            raise ValueError(f"{arguments.boxes}: none of its names is a file's, {example}")
        console.print(f"{arguments.boxes}: {len(unknown)} names are no file's, {example}")
    outputs = output_names(files, arguments.format)
    return [InputFile(name, files[name], outputs[name], boxes.get(name)) for name in files]


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
    arguments: argparse.Namespace, todo: list[InputFile], output: pathlib.Path, manifest: Manifest
) -> None:
    """ValueError if the outputs could touch inputs, or files that this command did not write."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: OUTPUT must be a folder, but it is a file")
    target = output.resolve()
    folders = [pathlib.Path(p).resolve() for p in arguments.paths[:-1] if os.path.isdir(p)]
    inside = [folder for folder in folders if folder == target or folder in target.parents]
    if inside:
        raise ValueError(
            f"{output}: OUTPUT lies in the input folder {inside[0]}; choose one outside of it"
        )
    sources = {os.path.realpath(path) for path in {file.path for file in todo}}
    for file in todo:
        if os.path.realpath(target / file.output) in sources:
            raise ValueError(f"{output / file.output} is an input and would be overwritten")
    if manifest.is_new and not arguments.overwrite:
        present = [file.output for file in todo if (output / file.output).exists()]
        if present:
            raise ValueError(
                f"{output}: {len(present)} files are there already that this command did not "
                f"write, for example {present[0]}; choose another OUTPUT, or add --overwrite"
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m dfd_jax.protect",
        usage="%(prog)s INPUT... OUTPUT (--workdir W | --network FILE) [options]",
        description=(__doc__ or "").partition("\n\n")[2],
    )
    add = parser.add_argument
    add(
        "paths",
        nargs="+",
        metavar="INPUT... OUTPUT",
        help="photos, videos, folders, shards or tfds:NAME/SPLIT; then the output folder",
    )
    add("--workdir", help="folder of a training run, whose perturber.safetensors is used")
    add("--network", help="a perturber's .safetensors file, or zoo:NAME")
    add("--list", metavar="FILE", help="a text file with one path per line, instead of INPUT")
    add("--root", default=".", help="folder to which the paths of --list are relative (default: .)")
    formats = "format of photos (default png, which is exact); videos keep theirs"
    add("--format", choices=("png", "jpeg"), default="png", help=formats)
    add("--quality", type=_quality, default=98, help="JPEG quality, 1 to 100 (default 98)")
    add(
        "--video_quality",
        type=_video_quality,
        default=12,
        metavar="CRF",
        help="video quality, 1 (best, largest) to 51 (default 12); or lossless, which keeps every "
        "pixel but plays in few players",
    )
    add(
        "--boxes",
        metavar="FILE",
        help="the square to protect in each file, in upright pixels, by its path in the input "
        'folder: JSON {"a/b.jpg": [left, top, side]} or CSV with the header path,left,top,side. '
        "With width,height instead of side: the square around that rectangle. Default: the largest "
        "centred square",
    )
    metadata = "keep EXIF and tags such as GPS (default: drop them)"
    add("--keep_metadata", action="store_true", help=metadata)
    add("--overwrite", action="store_true", help="protect all files again; replace files in OUTPUT")
    add("--batch", type=_positive, default=16, help="photos or frames per batch (default 16)")
    add(
        "--workers",
        type=_positive,
        default=os.cpu_count() or 1,
        help="threads that read and write files (default: one per processor core)",
    )
    add(
        "--processes",
        type=_positive,
        metavar="N",
        help="number of processes that run this command (default: from Slurm or the TPU, else 1)",
    )
    add("--process", type=int, metavar="I", help="index of this process: 0 to N-1")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"found {value}, expected at least 1")
    return value


def _video_quality(text: str) -> int:
    return LOSSLESS if text == "lossless" else _within(text, 51, "1 to 51, or lossless")


def _quality(text: str) -> int:
    return _within(text, 100, "1 to 100")


def _within(text: str, largest: int, expected: str) -> int:
    value = int(text)
    if not 1 <= value <= largest:
        raise argparse.ArgumentTypeError(f"found {value}, expected {expected}")
    return value


if __name__ == "__main__":
    sys.exit(main())
