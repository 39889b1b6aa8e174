"""The benchmark of photos in and out counts what was done and compares it with the right thing."""

import json

import pytest

from experiments import benchmark
from experiments.benchmarks import input as benchmark_input


def test_batches_are_counted_with_what_is_read_ahead(tmp_path):
    named = benchmark_input.write_photos("", tmp_path / "photos", 3, scale=1)
    assert named == "178 x 178 drawn faces"
    parts = benchmark_input.loading(tmp_path / "photos")
    first, second, *others = (work() for work in parts.values())
    assert first == second == 513  # each of the three 171 times
    assert all(count >= benchmark_input.BATCHES * benchmark_input.BATCH for count in others)


def test_rates_are_medians_after_warming_and_shares_are_of_the_first(monkeypatch):
    def timed(call, clock):  # every call takes half a second
        call()
        return 500.0

    monkeypatch.setattr(benchmark_input.timing, "timed", timed)
    done = {"first": iter([90, 20, 40, 30]), "other": iter([90, 20, 5, 30]), "low": iter([9] * 4)}
    found = benchmark_input.rates({n: counts.__next__ for n, counts in done.items()}, 3, "cpu")
    assert found["first"] == {"median": 60.0, "min": 40.0, "max": 80.0}
    rows = benchmark_input.shares(found, 0.6)
    assert [row["share"] for row in rows] == [1.0, pytest.approx(2 / 3), pytest.approx(0.3)]
    assert [row["is_met"] for row in rows] == [False, True, False]
    assert rows[1]["of"] == "first"
    page = benchmark_input.page([{"files": "x", **row} for row in rows])
    assert list(page.rows[1].values()) == ["other", "x", "40 (10 … 60)", "67 %", "yes"]
    json.dumps(rows)


def test_the_part_needs_no_pytorch_and_says_where_photos_come_from():
    assert not benchmark.PARTS["input"].needs_torch
    args = benchmark.parse(["input", "--root", "photos", "--photos", "8"])
    assert (args.root, args.photos) == ("photos", 8)
    with pytest.raises(SystemExit):
        benchmark.parse(["input", "--photos", "0"])


def test_results_do_not_say_where_somebodys_photos_lie(monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmark", "input", "--root", "/home/me/photos"])
    about = benchmark.setting(benchmark.parse(["input", "--root", "/home/me/photos"]))
    assert about["command"] == "python -m experiments.benchmark input --root PORTRAITS"
