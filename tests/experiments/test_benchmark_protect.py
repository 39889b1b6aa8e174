"""P and PGD are timed on the same photos, and compared at each one's best batch."""

import numpy as np
import pytest
from rich.console import Console
from tiny_networks import tiny_network

from configs import stargan
from dfd_jax.method import attacks
from dfd_jax.method.forward import Opponents
from dfd_jax.method.protector import Protector
from experiments import benchmark
from experiments.benchmarks import method, pgd, protect


def times(milliseconds):
    return {"median": milliseconds, "min": milliseconds, "max": milliseconds}


@pytest.fixture
def perturber():
    return tiny_network("unet")


def test_both_give_a_perturbation_of_every_photo(perturber):
    photos = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    net = tiny_network("stargan")
    plan = attacks.Attack(steps=2)
    attacked = pgd.Attacked(net, net.conditions[0], plan)
    both = pgd.calls(attacked, Protector(perturber, 3), photos)
    found = {name: call() for name, call in both.items()}
    assert found["pgd"].shape == found["p"].shape == photos.shape
    assert 0 < np.abs(found["pgd"]).max() <= plan.eps_255 / 127.5 + 1e-6


def test_the_best_batch_is_each_ones_own():
    by_batch = {1: {"pgd": times(100), "p": times(5)}, 4: {"pgd": times(120), "p": times(2)}}
    best = pgd.at_best(by_batch)
    assert best == {"pgd": times(100), "p": times(2)}
    assert pgd.ratio(best) == 50


def test_a_run_says_whether_the_aims_are_met(monkeypatch, perturber):
    opponents = Opponents((tiny_network("stargan"),), (), ())
    small = method.Method(stargan.get_config(), perturber, opponents)
    small.config.data.size = 16
    monkeypatch.setattr(method, "open_method", lambda scale: small)
    monkeypatch.setattr(protect, "BATCHES", (1, 2))
    found = iter([{"pgd": times(80), "p": times(2)}, {"pgd": times(60), "p": times(1)}])
    monkeypatch.setattr(pgd, "timed", lambda *_: next(found))
    result, page = protect.run(benchmark.parse(["protect"]), Console(quiet=True))
    assert [row["ratio"] for row in result["rows"]] == [40, 60, 60]
    assert [[row["aim"], row["met"]] for row in page.rows] == [
        ["30", "yes"],
        ["", ""],
        ["100", "no"],
    ]
