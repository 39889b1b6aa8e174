"""CelebA from tensorflow-datasets: a source of faces like those in faces.py."""

import importlib
import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from dfd_jax.data import action_units, celeba
from dfd_jax.data.faces import ATTRIBUTES, Face, check_split, locate


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
        parts = [_open_tfds(name, data_dir) for name in self._splits]
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


def _open_tfds(split: str, data_dir: str | os.PathLike[str] | None) -> Sequence[Any]:
    # imported here because it takes seconds, and only this source needs it
    tfds = importlib.import_module("tensorflow_datasets")
    where = None if data_dir is None else os.fspath(data_dir)
    builder = tfds.builder("celeb_a", data_dir=where, file_format="array_record")
    if split not in builder.info.splits:
        command = (
            "import tensorflow_datasets as tfds; "
            f"tfds.builder('celeb_a', data_dir={where!r}, file_format='array_record')"
            ".download_and_prepare()"
        )
        raise ValueError(
            f"celeb_a is not prepared in {builder.data_path}. Preparing it (not reading it) needs "
            f'TensorFlow: pip install tensorflow && python -c "{command}"'
        )
    return builder.as_data_source(split)
