"""How fast photos get in and out, as they are and four times enlarged.

Training batches compared with bare decoding of the same JPEG files by libjpeg-turbo, per core; and
protect, files in and files out, compared with its network alone: the zoo's and one of full size.
"""

import argparse
import functools
import itertools
import os
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import simplejpeg
from absl import flags
from PIL import Image, features
from rich.console import Console

from dfd_jax import models
from dfd_jax.data import faces, folders, images, pack, pipeline, sources
from dfd_jax.method.protector import Protector
from dfd_jax.models.frozen import Card, Network, Perturber
from dfd_jax.protection.inputs import InputFile, find_inputs, output_names
from dfd_jax.protection.manifest import Manifest
from dfd_jax.protection.photo_stream import PhotoStream
from dfd_jax.protection.results import Options, Results
from experiments.benchmarks import full_size, timing
from experiments.benchmarks import page as pages
from experiments.benchmarks.page import Page
from experiments.charts import Bar, Chart, Spread, spread_of

TARGETS = {"loading": 0.8, "protecting": 0.7}  # of the first rate of each
CELEBA = 162_770  # photos in its training split: as many as the loader shuffles here
NETWORK, FULL = "zoo:disrupter_stargan_64", "a full-size P at 256 px"
BATCH, FULL_BATCH, SIZE = 32, 8, 64
BATCHES = 32  # of which the first waits for threads to start
DECODED = 512  # photos at least: fewer would tell how the processor warms up
SETTLING = 0.2  # seconds in which threads finish what they had begun: counted here, not in the next
THROUGH_PILLOW, ALONE = "libjpeg-turbo through Pillow", "libjpeg-turbo alone"

Row = dict[str, Any]
Work = Callable[[], int]  # handles some photos; how many


def run(args: argparse.Namespace, console: Console) -> tuple[dict[str, Any], Page]:
    """Rates of everything, and their shares of the first; loading per second of processor time."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # grain reads them
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for scale in (1, 4):
            folder = pathlib.Path(scratch, f"x{scale}")
            name = write_photos(args.root, folder, args.photos, scale)
            for kind, parts, clock in (
                ("loading", loading(folder), "cpu"),
                ("protecting", protecting(folder, NETWORK, models.load(NETWORK)), args.clock),
                ("protecting", protecting(folder, FULL, full_size_p(), FULL_BATCH), args.clock),
            ):
                measured = shares(rates(parts, args.repeats, clock), TARGETS[kind])
                rows += [{"files": name, "kind": kind, **row} for row in measured]
            console.print(f"{name}: done")
    return {"targets": TARGETS, "rows": rows}, page(rows)


def write_photos(root: str, folder: pathlib.Path, count: int, scale: int) -> str:
    """Photos as JPEG files, and what to call them."""
    source = sources.open_source("celeba" if root else "synthetic", "all", root=root or None)
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


def loading(folder: pathlib.Path) -> dict[str, Work]:
    """Bare decoding without Pillow and through it, then batches from files and from shards."""
    paths = sorted(folder.iterdir())
    many = paths * -(-DECODED // len(paths))
    packed, squares = (folder.with_name(f"{folder.name}-{what}") for what in ("packed", "squares"))
    pack.pack(folder, packed)
    pack.pack(folder, squares, square=SIZE)

    def decode() -> int:
        for path in many:
            with Image.open(path) as image:
                image.load()
        return len(many)

    def decode_without_pillow() -> int:
        for path in many:
            simplejpeg.decode_jpeg(path.read_bytes())
        return len(many)

    def batches(folder: pathlib.Path, reduced: bool) -> int:
        source = Repeated(folders.PhotoFolder(folder, "all"))  # it counts what is read ahead too
        stream = pipeline.make_loader(source, batch_size=BATCH, size=SIZE, reduced=reduced)
        for _ in range(BATCHES):
            next(stream)
        stream.close()
        time.sleep(SETTLING)
        return len(source.read)

    return {
        ALONE: decode_without_pillow,
        THROUGH_PILLOW: decode,
        "batches": functools.partial(batches, folder, True),
        "batches, data.reduced=False": functools.partial(batches, folder, False),
        "batches from shards": functools.partial(batches, packed, True),
        f"batches from shards of {SIZE} px squares": functools.partial(batches, squares, True),
    }


def full_size_p() -> Network:
    """P of configs/stargan.py:paper, its weights random: what they are changes no time."""
    budget = {"eps_255": 6.375, "bound": "tanh"}
    return models.build(Card("unet", dict(full_size.HYPER), 256, budget=budget))


def protecting(
    folder: pathlib.Path, called: str, network: Network, batch: int = BATCH
) -> dict[str, Work]:
    """The network alone on crops (one batch of a full-size one), then files to PNG and JPEG."""
    assert isinstance(network, Perturber)
    protector, every = Protector(network, batch), find_inputs([os.fspath(folder)])
    inputs = dict(itertools.islice(every.items(), None if batch == BATCH else batch))
    crops = np.stack([protector.crop(images.read_rgb(folder / name)) for name in inputs])

    def files(format: Any) -> int:
        outputs = output_names(inputs, format)
        todo = [InputFile(name, path, outputs[name]) for name, path in inputs.items()]
        output = pathlib.Path(tempfile.mkdtemp(dir=folder.parent))
        with Manifest(output) as manifest:
            results = Results(manifest, output, network.card.sha256, Options(format))
            stream = PhotoStream(protector, results, len(os.sched_getaffinity(0)))
            finished = list(stream.run(todo, lambda: False))
        assert all(result.record.is_ok for result in finished)
        return len(finished)

    return {
        f"{called} alone": lambda: len(protector.outputs(crops)),
        f"protect by {called}, to PNG": functools.partial(files, "png"),
        f"protect by {called}, to JPEG": functools.partial(files, "jpeg"),
    }


class Repeated:
    """A source as large as CelebA's training split."""

    def __init__(self, source: folders.PhotoFolder) -> None:
        self.attribute_names, self.known_names = source.attribute_names, source.known_names
        self._source = source
        self.read: list[int] = []  # the photos that were read

    def __len__(self) -> int:
        return CELEBA

    def __getitem__(self, index: int, /) -> faces.Face:
        return self._source[index % len(self._source)]

    def square(self, index: int, size: int, crop: int | None, reduced: bool) -> faces.Face:
        """As PhotoFolder's."""
        self.read.append(index)
        return self._source.square(index % len(self._source), size, crop, reduced)


def rates(parts: dict[str, Work], repeats: int, clock: str) -> dict[str, Spread]:
    """Photos per second of each, taken in turn after a turn that warms up."""
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for repeat in range(repeats + 1):
        for name, work in parts.items():
            done: list[int] = []
            milliseconds = timing.timed(lambda work=work, done=done: done.append(work()), clock)
            if repeat:
                taken[name].append(1000 * done[0] / milliseconds)
    return {name: spread_of(values) for name, values in taken.items()}


def shares(rates: dict[str, Spread], target: float) -> list[Row]:
    """Each rate, and its share of the first one, which the target is about."""
    first, whole = next(iter(rates.items()))
    return [
        {
            "what": name,
            "per_second": rate,
            "share": rate["median"] / whole["median"],
            "of": first,
            "is_met": name not in (first, THROUGH_PILLOW)
            and rate["median"] >= target * whole["median"],
        }
        for name, rate in rates.items()
    ]


def page(rows: list[Row]) -> Page:
    """The shares for people."""
    shown = []
    for row in rows:
        rate, is_reference = row["per_second"], row["what"] in (row["of"], THROUGH_PILLOW)
        cells = {
            "what": row["what"],
            "files": row["files"],
            "photos/s": pages.spread(rate, 0 if rate["median"] >= 10 else 2),
            "share": f"{100 * row['share']:.0f} %",
            "aim met": "" if is_reference else pages.verdict(row["is_met"]),
        }
        shown.append(cells)
    note = (
        f"Batches of {BATCH} squares of {SIZE} px, photos per second of processor time (per core). "
        f"Protecting: {BATCH} photos at once, by the full-size P (random weights, the network of "
        f"configs/stargan.py:paper) {FULL_BATCH}, by the clock below. Median (min … max) of "
        "alternating runs. Share: of the row above with 100 %; the aims are "
        f"{100 * TARGETS['loading']:.0f} % for batches and {100 * TARGETS['protecting']:.0f} % for "
        f"protecting. libjpeg-turbo {features.version_feature('libjpeg_turbo')}."
    )
    bars = [Bar(row["what"][:40], (row["per_second"],)) for row in rows]
    return Page("Photos in and out", note, shown, Chart(bars, ("",), "photos/s"))
