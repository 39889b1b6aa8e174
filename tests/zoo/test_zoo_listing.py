"""`python -m dfd_jax.zoo`: every shipped network, with what its card says of it."""

import hashlib
import json
import subprocess
import sys

import jax
import pytest
from rich.console import Console

from dfd_jax import models
from dfd_jax.models.frozen import Card
from dfd_jax.zoo import __main__ as zoo


def printed(width):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(zoo.listing(width))
    return capture.get()


def test_every_network_is_listed_with_its_role_and_figures(capsys):
    zoo.main([])
    text = capsys.readouterr().out
    assert text == printed(zoo.WIDTH)  # a log is wide enough for all columns
    lines = [line.split() for line in text.splitlines()]
    facts = {line[0]: line for line in lines if line and line[0] in models.zoo_names()}
    assert set(facts) == set(models.zoo_names())
    rows = {line[0]: " ".join(line) for line in reversed(lines) if line}  # the first table's win
    assert rows["stargan"].startswith("stargan stargan generator 64 4.2 2,118,112 not measured")
    marks = models.load("zoo:xception").card.info["test"]["photos"]
    assert f"AUC {marks['auc']:.3f}, R {marks['R']:.2f}, q {marks['q']:.2f}" in rows["xception"]
    assert f"q on stargan {marks['generators']['zoo:stargan']['q']:.2f}" in rows["xception"]
    test = models.load("zoo:disrupter_stargan").card.info["test"]
    assert f"{100 * test['disrupted']:.0f} %dis, {test['psnr']:.1f} dB" in rows["disrupter_stargan"]
    found = test["detectors"]["xception"]
    assert f"xception: q {found['q_unprotected']:.2f} → {found['q']:.2f}, R' 0.98" in text


def test_the_listing_says_what_all_networks_take_together():
    size = sum(path.stat().st_size for path in models.ZOO.glob("*.safetensors"))
    assert f"{len(models.zoo_names())} networks, {size / 1e6:.1f} MB" in printed(zoo.WIDTH)


@pytest.mark.parametrize("width", [80, zoo.WIDTH])
def test_no_name_figure_or_checksum_is_cut_off(width):
    text = printed(width)
    assert "…" not in text
    for entry in zoo.entries():
        for value in (entry.name, entry.card.sha256[:8], f"{entry.parameters:,}"):
            assert value in text
        assert all(word in text for word in zoo.figures(entry.card).split())


@pytest.mark.parametrize("name", models.zoo_names())
def test_parameters_are_those_that_training_fits(name):
    fitted = jax.tree.leaves(models.load(f"zoo:{name}").variables["params"])
    assert zoo.read(name).parameters == sum(array.size for array in fitted)


@pytest.mark.parametrize("name", models.zoo_names())
def test_a_name_shows_the_whole_card_its_checksum_and_where_the_file_is(name, capsys):
    zoo.main([f"zoo:{name}"])
    shown, path = json.loads(capsys.readouterr().out), models.ZOO / f"{name}.safetensors"
    assert shown["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (shown["path"], shown["bytes"]) == (str(path), path.stat().st_size)
    assert shown["role"] == zoo.read(name).role
    assert shown["card"] == json.loads(path.with_suffix(".json").read_text())


def test_a_generator_that_train_generator_made_is_described():
    """Its card is not like those of the generators that ship today."""
    test = {"photos": 8, "change_255": {"Male": 10.0, "Young": 20.0}, "cycle_255": 4.0}
    info = {"test": test, "trained_on": "16 drawn faces"}
    card = Card("stargan", {}, 64, info=info)
    assert (
        zoo.figures(card) == "changes the photo by 15.0 levels; 4.0 remain after changing it back"
    )
    assert zoo.trained_on(card) == "16 drawn faces"
    test = {"change_255": {"nod": 6.0}, "reenacted_255": 5.0, "copied_255": 9.0}
    expected = (
        "changes the photo by 6.0 levels; 5.0 levels from the target frame, the unchanged photo 9.0"
    )
    assert zoo.figures(Card("fomm", {}, 64, info={"test": test})) == expected


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"mona_lisa: not in the zoo, which has .*, xception"):
        zoo.main(["mona_lisa"])


def test_it_starts_without_touching_a_device():
    program = (
        "from dfd_jax.zoo import __main__ as zoo; zoo.main([]); zoo.main(['fomm'])\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
