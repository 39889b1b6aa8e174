"""The benchmark of photos in and out counts what was done and compares it with the right thing."""

import itertools
import json

from experiments import benchmark_input


def test_batches_are_counted_with_what_is_read_ahead(tmp_path):
    named = benchmark_input.write_photos("", tmp_path / "photos", 3, scale=1)
    assert named == "178 x 178 drawn faces"
    parts = benchmark_input.loading(tmp_path / "photos", 16)
    first, *others = (work() for work in parts.values())
    assert first == 3
    assert all(count >= benchmark_input.BATCH for count in others)


def test_rates_are_the_best_after_warming_and_shares_are_of_the_first():
    clock = itertools.count().__next__  # every call of `work` takes one second
    done = {"first": iter([90, 20, 40]), "other": iter([90, 10, 5])}
    parts = {name: counts.__next__ for name, counts in done.items()}
    rates = benchmark_input._best(parts, 2, clock)
    assert rates == {"first": 40, "other": 10}
    rows = benchmark_input._shares(rates)
    assert rows[1] == {"what": "other", "per_second": 10, "share": 0.25, "of": "first"}
    assert "| x | other | 10.0 | 25 % |" in benchmark_input.markdown(
        [{"files": "x", **row} for row in rows],
        dict.fromkeys(("clock", "repeats", "device", "cores", "load", "turbo", "command"), "?"),
    )
    json.dumps(rows)
