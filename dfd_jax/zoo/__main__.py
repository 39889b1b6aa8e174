"""List the networks that ship with the package: python -m dfd_jax.zoo [NAME]

Without a name: one line per network, with the figures of its card. With one: its whole card.
"""

import argparse
import hashlib
import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from dfd_jax import models
from dfd_jax.models.frozen import (
    FrozenDetector,
    FrozenGenerator,
    FrozenNetwork,
    FrozenPerturber,
)

ROLES: dict[type[FrozenNetwork], str] = {
    FrozenGenerator: "generator",
    FrozenDetector: "detector",
    FrozenPerturber: "perturber",
}


def read_card(name: str) -> dict[str, Any]:
    """The card of a network in the zoo. ValueError says which there are."""
    if name not in models.zoo_names():
        raise ValueError(f"{name}: not in the zoo, which has {', '.join(models.zoo_names())}")
    return json.loads((models.ZOO / f"{name}.json").read_text(encoding="utf-8"))


def role(card: dict[str, Any]) -> str:
    """What a network is for: generator, detector, perturber."""
    frozen = models.MODELS[card["model"]].frozen
    return next((text for kind, text in ROLES.items() if issubclass(frozen, kind)), "other")


def figures(card: dict[str, Any]) -> str:
    """The card's held-out figures in a few words."""
    test = card["info"].get("test", {})
    if role(card) == "detector":
        marks = test["photos"]
        return f"AUC {marks['auc']:.3f}, R {marks['R']:.2f}, q {marks['q']:.2f} on photos"
    if role(card) == "perturber":
        passed = ", ".join(f"{n} {v['q']:.2f}" for n, v in test["detectors"].items())
        return f"{test['disrupted']:.0%} disrupted, {test['psnr']:.1f} dB, q: {passed}"
    return (
        ", ".join(f"{k} {v}" for k, v in test.items() if not isinstance(v, dict)) or "not measured"
    )


def listing() -> Table:
    """All networks, a line each."""
    table = Table(box=None, header_style="bold")
    for column in ("zoo:", "model", "role", "px", "MB", "held-out figures"):
        table.add_column(column)
    for name in models.zoo_names():
        card, size = read_card(name), (models.ZOO / f"{name}.safetensors").stat().st_size
        row = (name, card["model"], role(card), str(card["input_size"]), f"{size / 1e6:.1f}")
        table.add_row(*row, figures(card))
    return table


def main(arguments: list[str] | None = None) -> None:
    """Print the list, or one card with its file's place and sha256."""
    parser = argparse.ArgumentParser(prog="python -m dfd_jax.zoo", description=__doc__)
    parser.add_argument("name", nargs="?", help="a network: its whole card is printed")
    name, console = parser.parse_args(arguments).name, Console()
    if name is None:
        console.print(listing())
        return
    card = read_card(name.removeprefix("zoo:"))
    path = models.ZOO / f"{name.removeprefix('zoo:')}.safetensors"
    console.print_json(json.dumps(card))
    console.print(f"{path}\nsha256 {hashlib.sha256(path.read_bytes()).hexdigest()}", soft_wrap=True)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
