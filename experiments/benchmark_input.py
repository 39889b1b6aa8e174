"""How fast photos get in and out: python -m experiments.benchmark_input [--root PORTRAITS]

Batches for a training beside bare decoding of the same JPEG files by libjpeg-turbo (Pillow's), per
core; and protect, files in and files out, beside the network alone.
"""

import argparse
import functools
import json
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from absl import flags
from PIL import Image, features
from rich.console import Console

from dfd_jax import cli, models
from dfd_jax.data import faces, images, pack, pipeline
from dfd_jax.jobs import Job, find_inputs, output_names
from dfd_jax.ledger import Ledger, Options
from dfd_jax.manifest import Manifest
from dfd_jax.models.frozen import FrozenPerturber
from dfd_jax.photo_stream import PhotoStream
from dfd_jax.protector import Protector

CELEBA = 162_770  # photos in its training split: as many as the loader shuffles here
NETWORK = "zoo:disrupter_stargan_64"
BATCH = 32


def run(
    root: str, size: int, photos: int, repeats: int, clock: str, console: Console
) -> list[dict[str, Any]]:
    """One row per thing measured: {"what", "files", "per_second", "share", "of"}.

    `root` is a folder in CelebA's layout, or empty for drawn faces; `photos` of it are used, as
    they are and four times enlarged. Loading is per second of processor time, that is, per core.
    For protecting `clock` is "wall", or "cpu" for processor time, whatever else the machine does.
    """
    timer = {"wall": time.perf_counter, "cpu": time.process_time}[clock]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for scale in (1, 4):
            folder = pathlib.Path(scratch, f"x{scale}")
            name = write_photos(root, folder, photos, scale)
            console.print(f"{name} …")
            for parts, clocked in (
                (loading(folder, size), time.process_time),
                (protecting(folder), timer),
            ):
                found = _best(parts, repeats, clocked)
                rows += [{"files": name, **row} for row in _shares(found)]
    return rows


def write_photos(root: str, folder: pathlib.Path, count: int, scale: int) -> str:
    """Photos as JPEG files, and what to call them."""
    source = faces.open_source("celeba" if root else "synthetic", "all", root=root or None)
    folder.mkdir(parents=True)
    for index in range(count):
        photo = Image.fromarray(source[index % len(source)].pixels)
        width, height = (side * scale for side in photo.size)
        if root and scale == 1:  # as it was encoded
            path = pathlib.Path(root, "img_align_celeba", source[index % len(source)].name)
            (folder / f"{index:06d}.jpg").write_bytes(path.read_bytes())
            continue
        larger = photo.resize((width, height), Image.Resampling.BICUBIC)
        larger.save(folder / f"{index:06d}.jpg", quality=92)
    with Image.open(folder / "000000.jpg") as first:
        return f"{first.width} x {first.height} {'portraits' if root else 'drawn faces'}"


Work = Callable[[], int]  # handles some photos; how many


def loading(folder: pathlib.Path, size: int) -> dict[str, Work]:
    """Bare decoding, then batches from files and from shards, whole and reduced."""
    paths = sorted(folder.iterdir())
    packed = folder.with_name(f"{folder.name}-packed")
    pack.pack(folder, packed)

    def decode() -> int:
        for path in paths:
            with Image.open(path) as image:
                image.load()
        return len(paths)

    def batches(source: faces.PhotoFolder, reduced: bool) -> int:
        repeated = Repeated(source)  # it counts what is read ahead too
        stream = pipeline.make_loader(repeated, batch_size=BATCH, size=size, reduced=reduced)
        for _ in range(max(len(paths) // BATCH, 1)):
            next(stream)
        stream.close()
        return len(repeated.read)

    files, shards = faces.PhotoFolder(folder, "all"), faces.PhotoFolder(packed, "all")
    return {
        "libjpeg-turbo": decode,
        f"batches at {size} px": functools.partial(batches, files, False),
        f"batches at {size} px, reduced": functools.partial(batches, files, True),
        f"batches at {size} px, reduced, from shards": functools.partial(batches, shards, True),
    }


def protecting(folder: pathlib.Path) -> dict[str, Work]:
    """The network alone on the crops of all photos, then whole files to PNG and JPEG."""
    network = models.load(NETWORK)
    assert isinstance(network, FrozenPerturber)
    protector = Protector(network, BATCH)
    found = find_inputs([os.fspath(folder)])
    crops = np.stack([protector.crop(images.read_rgb(folder / name)) for name in found])

    def files(format: Any) -> int:
        outputs = output_names(found, format)
        todo = [Job(name, found[name], outputs[name]) for name in found]
        with (
            tempfile.TemporaryDirectory(dir=folder.parent) as output,
            Manifest(pathlib.Path(output)) as manifest,
        ):
            options = Options(format)
            ledger = Ledger(manifest, pathlib.Path(output), network.card.sha256, options)
            stream = PhotoStream(protector, ledger, len(os.sched_getaffinity(0)))
            outcomes = list(stream.run(todo, lambda: False))
        assert all(outcome.record.is_ok for outcome in outcomes)
        return len(outcomes)

    return {
        f"{NETWORK} alone": lambda: len(protector.outputs(crops)),
        "protect, to PNG": functools.partial(files, "png"),
        "protect, to JPEG": functools.partial(files, "jpeg"),
    }


class Repeated:
    """A source as large as CelebA's training split."""

    def __init__(self, source: faces.PhotoFolder) -> None:
        self.attribute_names, self.known_names = source.attribute_names, source.known_names
        self._source = source
        self.read: list[int] = []  # the photos asked for

    def __len__(self) -> int:
        return CELEBA

    def __getitem__(self, index: int, /) -> faces.Face:
        return self._source[index % len(self._source)]

    def square(self, index: int, size: int, crop: int | None, reduced: bool) -> faces.Face:
        """As PhotoFolder's."""
        self.read.append(index)
        return self._source.square(index % len(self._source), size, crop, reduced)


def _best(parts: dict[str, Work], repeats: int, timer: Callable[[], float]) -> dict[str, float]:
    """Photos per second of each: the best of some repeats, taken in turn after one that warms."""
    best: dict[str, float] = {}
    for repeat in range(repeats + 1):
        for name, work in parts.items():
            began = timer()
            rate = work() / (timer() - began)
            if repeat:
                best[name] = max(best.get(name, 0), rate)
    return best


def _shares(rates: dict[str, float]) -> list[dict[str, Any]]:
    """Each rate, and its share of the first one."""
    first, whole = next(iter(rates.items()))
    return [
        {"what": name, "per_second": round(rate, 1), "share": round(rate / whole, 3), "of": first}
        for name, rate in rates.items()
    ]


def markdown(rows: Sequence[dict[str, Any]], setting: dict[str, Any]) -> str:
    """The table, with what the figures depend on."""
    protecting = "second" if setting["clock"] == "wall" else "second of processor time too"
    lines = [
        f"Photos per second of processor time; protecting, per {protecting}. The best of "
        f"{setting['repeats']} repeats on {setting['device']}, {setting['cores']} cores, load "
        f"{setting['load']}; libjpeg-turbo {setting['turbo']}. Share: of the row above with 100 %.",
        "",
        f"`{setting['command']}`",
        "",
        "| files | what | photos/s | share |",
        "| --- | --- | ---: | ---: |",
    ]
    for row in rows:
        share = f"{100 * row['share']:.0f} %"
        lines.append(f"| {row['files']} | {row['what']} | {row['per_second']:.1f} | {share} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write FOLDER/benchmark_input.json and .md."""
    parser = argparse.ArgumentParser("python -m experiments.benchmark_input", description=__doc__)
    parser.add_argument("--root", default="", help="photos in CelebA's layout (default: drawn)")
    parser.add_argument("--size", type=int, default=64, help="of the batches' squares")
    parser.add_argument("--photos", type=int, default=256, help="how many files")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("experiments/results"))
    args = parser.parse_args(argv)
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # grain reads them
    cli.keep_compiled()
    console = Console(width=120)
    setting = {
        "command": "python -m experiments.benchmark_input " + " ".join(sys.argv[1:]),
        "device": jax.devices()[0].device_kind,
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "turbo": features.version_feature("libjpeg_turbo"),
        "repeats": args.repeats,
        "clock": args.clock,
    }
    rows = run(args.root, args.size, args.photos, args.repeats, args.clock, console)
    text = markdown(rows, setting)
    console.print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    result = json.dumps({"setting": setting, "rows": rows}, indent=1) + "\n"
    (args.out / "benchmark_input.json").write_text(result, encoding="utf-8")
    (args.out / "benchmark_input.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
