"""The networks that ship with the package: python -m dfd_jax.zoo [NAME]

Without a name it lists all networks with the figures and limits on their cards. With a name it
prints that network's whole card, checksum and path as JSON.
"""

import argparse
import hashlib
import json
import math
import pathlib
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text
from safetensors import safe_open

from dfd_jax import models
from dfd_jax.evaluation.report import formatting
from dfd_jax.models.frozen import Card, FrozenDetector, FrozenGenerator, Network, Perturber

ALL_MB, EACH_MB = 45.0, 6.0  # size limits of the zoo and of each network, in 10^6 bytes
WIDTH = 150  # columns where the output is no terminal
LEGEND = (
    "R, q: share of reals and of fakes judged real; q on NAME: fakes of a generator that the "
    "detector was not trained on. %dis: share of fakes disrupted (L2 ≥ 0.05). R': reals judged "
    "real after protection. →: from without to with protection. One card: python -m dfd_jax.zoo "
    "NAME"
)
ROLES: dict[type[Network], str] = {
    FrozenGenerator: "generator",
    FrozenDetector: "detector",
    Perturber: "perturber",
    Network: "discriminator",  # everything else
}


class Entry(NamedTuple):
    """A network of the zoo: its card (with the file's sha256), and facts about its file."""

    name: str
    path: pathlib.Path
    card: Card
    megabytes: float  # 10^6 bytes
    parameters: int  # trainable: without the running statistics of norms

    @property
    def role(self) -> str:
        """What it is for: generator, detector, perturber or discriminator."""
        return role(self.card)


def read(name: str) -> Entry:
    """The network NAME or zoo:NAME, without its arrays. ValueError lists the known names."""
    name = name.removeprefix("zoo:")
    if name not in models.zoo_names():
        raise ValueError(f"{name}: not in the zoo, which has {', '.join(models.zoo_names())}")
    path = models.ZOO / f"{name}.safetensors"
    content = path.read_bytes()
    with safe_open(path, framework="np") as file:
        text = file.metadata()["card"]
        trained = [key for key in file.keys() if key.startswith("params/")]  # noqa: SIM118
        parameters = sum(math.prod(file.get_slice(key).get_shape()) for key in trained)
    card = Card.from_json(text, sha256=hashlib.sha256(content).hexdigest())
    return Entry(name, path, card, len(content) / 1e6, parameters)


def entries() -> list[Entry]:
    """Every network that ships, by role and name."""
    order = list(ROLES.values())
    return sorted(
        map(read, models.zoo_names()), key=lambda entry: (order.index(entry.role), entry.name)
    )


def role(card: Card) -> str:
    """What a network is for: generator, detector, perturber or discriminator."""
    frozen = models.MODELS[card.model].frozen
    return next(text for kind, text in ROLES.items() if issubclass(frozen, kind))


def figures(card: Card) -> str:
    """The card's held-out figures, one line for each measurement."""
    test = card.info.get("test") or {}
    if not test:
        return "not measured"
    describe = {
        "detector": _detector_figures,
        "perturber": _perturber_figures,
        "discriminator": _reader_figures,
    }
    return "\n".join(describe.get(role(card), _generator_figures)(test))


def _generator_figures(test: Mapping[str, Any]) -> Iterator[str]:
    change = f"changes the photo by {statistics.fmean(test['change_255'].values()):.1f} levels"
    if "cycle_255" in test:
        yield f"{change}; {test['cycle_255']:.1f} remain after changing it back"
    else:
        distance = f"{test['reenacted_255']:.1f} levels from the target frame"
        yield f"{change}; {distance}, the unchanged photo {test['copied_255']:.1f}"


def _reader_figures(test: Mapping[str, float]) -> Iterator[str]:
    for name in (name for name in test if "_" in name or name.istitle()):
        yield f"{name.replace('_', ' ')} right in {formatting.percent(test[name])} %"


def _detector_figures(test: Mapping[str, Any]) -> Iterator[str]:
    for kind, of in test.items():
        line = f"{kind}: AUC {of['auc']:.3f}, R {of['R']:.2f}, q {of['q']:.2f}"
        unseen = (of.get("generators") or {}).items()
        shares = [f"q on {path.removeprefix('zoo:')} {each['q']:.2f}" for path, each in unseen]
        yield "; ".join([line, *shares])


def _perturber_figures(test: Mapping[str, Any]) -> Iterator[str]:
    several = test.get("others", [])
    for part in (test, *several):
        where = f"{part['generator']}: " if several else ""
        cost = f", {test['psnr']:.1f} dB" if part is test else ""
        yield f"{where}{formatting.percent(part['disrupted'])} %dis{cost}"
        for name, of in part["detectors"].items():
            change = f"{of['q_unprotected']:.2f} → {of['q']:.2f}"
            yield f"{name}: q {change}, R' {of['R_protected']:.2f}"


def trained_on(card: Card) -> str:
    """What the network was trained with, by its card."""
    info = card.info
    if "trained_on" in info:
        return info["trained_on"]
    data = info.get("data", formatting.MISSING)
    if isinstance(data, Mapping) and "reals" in data:
        reals = " and ".join(f"{count} {kind}" for kind, count in data["reals"].items())
        made = f"{reals} faces and {len(data['families'])} kinds of manipulation of them"
        return f"{made}; fakes of {', '.join(data['generators']) or 'no generator'}"
    against = [*info.get("generators", ()), *info.get("detectors", ())]
    return f"{data}; through {', '.join(against)}" if against else str(data)


def listing(width: int = WIDTH) -> Group:
    """All networks: facts and figures, training data and limits, and their total size.

    Where `WIDTH` does not fit in `width` columns, the figures stand in the second table.
    """
    networks, is_wide = entries(), width >= WIDTH
    facts = ["zoo:", "model", "role", "px", "MB", "parameters", "sha256"]
    texts = ["zoo:", "trained on", "limits"]
    (facts if is_wide else texts).insert(-1 if is_wide else 1, "held-out figures")
    blocks = [_table(columns, networks) for columns in (facts, texts)]
    total = sum(entry.megabytes for entry in networks)
    line = f"{len(networks)} networks, {total:.1f} MB (limit {ALL_MB:.0f}; {EACH_MB:.0f} each)"
    return Group(blocks[0], "", blocks[1], "", Text(line, "bold"), Text(LEGEND, "dim"))


class Column(NamedTuple):
    """A column of the listing: what it says of a network, and how it is set."""

    text: Callable[[Entry], str]
    is_number: bool = False
    wraps: bool = False


COLUMNS = {
    "zoo:": Column(lambda entry: entry.name),
    "model": Column(lambda entry: entry.card.model, wraps=True),
    "role": Column(lambda entry: entry.role),
    "px": Column(lambda entry: str(entry.card.input_size), is_number=True),
    "MB": Column(lambda entry: f"{entry.megabytes:.1f}", is_number=True),
    "parameters": Column(lambda entry: f"{entry.parameters:,}", is_number=True),
    "held-out figures": Column(lambda entry: figures(entry.card), wraps=True),
    "sha256": Column(lambda entry: entry.card.sha256[:8]),
    "trained on": Column(lambda entry: trained_on(entry.card), wraps=True),
    "limits": Column(lambda entry: entry.card.info.get("limits", formatting.MISSING), wraps=True),
}


def _table(headers: Sequence[str], networks: Sequence[Entry]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    columns = [COLUMNS[header] for header in headers]
    longest = max(len(word) for entry in networks for word in figures(entry.card).split())
    for header, column in zip(headers, columns, strict=True):
        table.add_column(
            header,
            justify="right" if column.is_number else "left",
            no_wrap=not column.wraps,
            overflow="fold",
            min_width=longest if header == "held-out figures" else None,
        )
    for entry in networks:
        table.add_row(*(Text(column.text(entry)) for column in columns))
    return table


def as_json(entry: Entry) -> dict[str, Any]:
    """The entry as plain data: facts about its file, and the card as it is."""
    return {
        "name": entry.name,
        "role": entry.role,
        "path": str(entry.path),
        "bytes": round(entry.megabytes * 1e6),
        "parameters": entry.parameters,
        "sha256": entry.card.sha256,
        "card": json.loads(entry.card.to_json()),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the list, or one network in full."""
    parser = argparse.ArgumentParser(prog="python -m dfd_jax.zoo", description=__doc__)
    parser.add_argument("name", nargs="?", help="a network: its whole card is printed")
    name, console = parser.parse_args(arguments).name, Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    if name is None:
        console.print(listing(console.width), highlight=False)
    else:
        console.print_json(json.dumps(as_json(read(name))))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
