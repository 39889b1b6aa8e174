"""Memory is measured in processes of their own, and PyTorch's only where it is installed."""

import argparse

import numpy as np
import pytest
from rich.console import Console

from experiments import benchmark
from experiments.benchmarks import memory, peak


def run(monkeypatch, has_torch):
    asked = []

    def child(scale, kind, batch):
        asked.append((scale, kind, batch))
        return {"loaded": 100.0, "stepping": 200.0 + len(asked), "peak": 300.0, "planned": 50.0}

    monkeypatch.setattr(memory, "_child", child)
    monkeypatch.setattr(
        memory.importlib.util, "find_spec", lambda name: object() if has_torch else None
    )
    args = argparse.Namespace(scales=["zoo"], starts=3)
    return asked, *memory.run(args, Console(quiet=True))


def test_each_kind_starts_once_to_compile_and_then_as_often_as_asked(monkeypatch):
    asked, result, page = run(monkeypatch, has_torch=True)
    assert len(asked) == 3 * (1 + 3)
    first = result["rows"][0]
    assert (first["what"], first["batch"]) == ("training step", 8)
    assert first["stepping"] == {"median": 203.0, "min": 202.0, "max": 204.0}
    assert list(page.rows[0].values())[3:] == [
        "100 (100 … 100)",
        "203 (202 … 204)",
        "300 (300 … 300)",
        "50",
    ]


def test_without_pytorch_its_step_is_left_out(monkeypatch):
    assert not benchmark.PARTS["memory"].needs_torch
    _, result, _ = run(monkeypatch, has_torch=False)
    assert [row["what"] for row in result["rows"]] == ["training step", "protect"]


def test_a_process_that_fails_is_an_error():
    with pytest.raises(RuntimeError, match=r"experiments\.benchmarks\.peak zoo nothing"):
        memory._child("zoo", "nothing", 1)


def test_what_is_held_is_seen():
    before = peak.resident("VmHWM")
    held = np.ones(100 * 2**20, np.uint8)
    assert peak.resident("VmHWM") >= peak.resident("VmRSS")
    assert peak.resident("VmRSS") >= held.nbytes / 2**20
    assert peak.resident("VmHWM") >= before
