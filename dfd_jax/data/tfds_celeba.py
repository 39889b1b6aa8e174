"""From tensorflow-datasets: CelebA as a source of faces like those in faces.py, photos of any."""

import importlib
import itertools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from dfd_jax.data import action_units, celeba
from dfd_jax.data.faces import ATTRIBUTES, Face, check_split, locate
from dfd_jax.data.shards import Packed


class TfdsCeleba:
    """CelebA as prepared by tensorflow-datasets in a random-access format.

    Reading it does without TensorFlow, preparing it does not: the ValueError that is raised where
    it has not been prepared has the command. Action units are 0, for it has none.
    """

    def __init__(
        self,
        split: str = "train",
        attribute_names: Sequence[str] = ATTRIBUTES,
        data_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.attribute_names = tuple(attribute_names)
        self.known_names = action_units.others(self.attribute_names)
        check_split(split)
        names = {"train": "train", "valid": "validation", "test": "test"}
        self._splits = list(names.values()) if split == "all" else [names[split]]
        parts = [
            open_builder("celeb_a", name, data_dir).as_data_source(name) for name in self._splits
        ]
        self._starts = list(itertools.accumulate((len(part) for part in parts), initial=0))
        self._parts = parts
        known = tuple(parts[0][0]["attributes"])
        celeba.check_known(self.attribute_names, known, "celeb_a of tensorflow-datasets")

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int, /) -> Face:
        part, offset = locate(self._starts, index)
        example = self._parts[part][offset]
        known = example["attributes"]
        attributes = np.array([known.get(n, 0) for n in self.attribute_names], np.float32)
        return Face(np.asarray(example["image"]), attributes, f"{self._splits[part]}/{offset:06d}")


def open_builder(name: str, split: str, data_dir: str | os.PathLike[str] | None = None) -> Any:
    """A data set of tensorflow-datasets. ValueError if it is not prepared, or has no such split."""
    # imported here because it takes seconds, and only these sources need it
    tfds = importlib.import_module("tensorflow_datasets")
    where = None if data_dir is None else os.fspath(data_dir)
    try:
        builder = tfds.builder(name, data_dir=where, file_format="array_record")
    except ValueError as error:  # DatasetNotFoundError names all that there are
        raise ValueError(str(error).splitlines()[0]) from error
    if not builder.info.splits:
        command = (
            "import tensorflow_datasets as tfds; "
            f"tfds.builder('{name}', data_dir={where!r}, file_format='array_record')"
            ".download_and_prepare()"
        )
        raise ValueError(
            f"{name} is not prepared in {builder.data_path}. Preparing it (not reading it) needs "
            f'TensorFlow: pip install tensorflow && python -c "{command}"'
        )
    if split not in builder.info.splits:
        raise ValueError(f"{name} has no split {split!r}; it has {', '.join(builder.info.splits)}")
    return builder


def read_tfds(asked: str) -> list[Packed]:
    """The photos of NAME/SPLIT in its feature "image", called SPLIT/000000 and so on.

    It is looked for where tensorflow-datasets does: in TFDS_DATA_DIR, or ~/tensorflow_datasets.
    ValueError if it is not there or has no photos.
    """
    name, _, split = asked.rpartition("/")
    if not name:
        raise ValueError(f"found tfds:{asked}, expected tfds:NAME/SPLIT, such as tfds:celeb_a/test")
    builder = open_builder(name, split, os.environ.get("TFDS_DATA_DIR"))
    if "image" not in builder.info.features:
        features = ", ".join(builder.info.features)
        raise ValueError(f"{name} has no feature called image; it has {features}")
    skip = importlib.import_module("tensorflow_datasets").decode.SkipDecoding()
    records = _Images(builder.as_data_source(split, decoders={"image": skip}))
    path = pathlib.Path(builder.data_path)
    return [Packed(records, i, f"{split}/{i:06d}", path) for i in range(len(records))]


class _Images:
    """The encoded photos in a data source's examples."""

    def __init__(self, examples: Sequence[Any]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, place: int, /) -> bytes:
        return self._examples[place]["image"]
