"""What happens where an optional package is not installed: one sentence."""

import sys

import numpy as np
import pytest
from PIL import Image

from dfd_jax.data import pack
from dfd_jax.training import metrics_log


@pytest.fixture
def no_tensorboard(monkeypatch):
    """tensorboardX cannot be imported; returns the warnings that are given."""
    warnings = []
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setattr(metrics_log.logging, "warning", warnings.append)
    metrics_log._warn_once.cache_clear()
    yield warnings
    metrics_log._warn_once.cache_clear()


def test_a_run_without_tensorboard_writes_its_metrics_and_says_so_once(tmp_path, no_tensorboard):
    writer = metrics_log.MetricsWriter(tmp_path)
    writer.scalars(1, {"loss": 2.0})
    writer.scalars(2, {"loss": 1.0})
    writer.close()
    metrics_log.write_image(tmp_path, 2, "grid", np.zeros((4, 4, 3), np.uint8))
    assert [record["loss"] for record in metrics_log.read_metrics(tmp_path)] == [2.0, 1.0]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
    assert len(no_tensorboard) == 1
    assert "dfd-jax[tensorboard]" in no_tensorboard[0]


def test_packing_without_array_record_ends_in_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "array_record.python.array_record_module", None)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "a.png")
    assert pack.main([str(tmp_path / "photos"), str(tmp_path / "packed")]) == 2
    error = capsys.readouterr().err
    assert "dfd-jax[shards]" in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
