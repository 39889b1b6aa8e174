"""Forward and input gradient of every network, compared with the same network in PyTorch."""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import traverse_util
from rich.console import Console
from rich.progress import track

from dfd_jax import models
from dfd_jax.models.frozen import Card
from dfd_jax.models.generators.fomm import KeyPoints
from experiments import torch_networks as theirs
from experiments.benchmarks import page as pages
from experiments.benchmarks import timing, torch_side
from experiments.benchmarks.page import Page
from experiments.benchmarks.seeded_weights import seeded_arrays
from experiments.charts import Bar, Chart

Arrays = tuple[np.ndarray, ...]  # the image first, NHWC, then conditions
LIMIT = 1.1  # ours over PyTorch's: what a ratio should not exceed
# Relative L2. PyTorch's norms lose digits under channels_last; a ReLU that rounds to the other side
# of zero moves a whole gradient.
SAME_OUTPUT, SAME_GRADIENT = 1e-3, 5e-2


@dataclasses.dataclass(frozen=True)
class Case:
    """A network of the table and its twin, and the inputs of both besides the image."""

    model: str
    theirs: Callable[..., Any]
    hyper: dict[str, Any] = dataclasses.field(default_factory=dict)
    conditions: Callable[[np.random.Generator, int], Arrays] = lambda rng, batch: ()
    ours: Callable[..., Any] = lambda module, variables, *inputs: module.apply(variables, *inputs)


def _labels(count: int) -> Callable[[np.random.Generator, int], Arrays]:
    return lambda rng, batch: (rng.random((batch, count), dtype=np.float32),)


def _driving(rng: np.random.Generator, batch: int) -> Arrays:
    value = rng.uniform(-0.8, 0.8, (batch, 10, 2)).astype(np.float32)
    jacobian = np.eye(2) + rng.normal(scale=0.1, size=(batch, 10, 2, 2))
    return value, jacobian.astype(np.float32)


def _our_fomm(module: Any, variables: Any, image: Any, *driving: Any) -> Any:
    return module.apply(variables, image, KeyPoints(*driving))


def _their_fomm(state: theirs.State, image: torch.Tensor, *driving: torch.Tensor) -> torch.Tensor:
    source = theirs.fomm_keypoints(theirs.part(state, "kp_detector."), image)
    generator = theirs.part(state, "generator.")
    return theirs.fomm_generator(generator, image, source, theirs.Keypoints(*driving))


CASES = {
    "stargan": Case("stargan", theirs.stargan, conditions=_labels(5)),
    "stargan_discriminator": Case("stargan_discriminator", theirs.stargan_discriminator),
    "ganimation": Case("ganimation", theirs.ganimation, conditions=_labels(17)),
    "fomm": Case("fomm", _their_fomm, conditions=_driving, ours=_our_fomm),
    "resnet18": Case("resnet18", theirs.resnet),
    "resnet50": Case("resnet50", theirs.resnet),
    "xception": Case("xception", theirs.xception),
    "efficientnet": Case("efficientnet", theirs.efficientnet),
    "multi_attentional": Case("multi_attentional", theirs.multi_attentional),
    "multi_attentional_xception": Case(
        "multi_attentional",
        lambda state, x: theirs.multi_attentional(state, x, feature_layer="b1"),
        {"backbone": "xception", "feature_layer": "b1"},
    ),
}


def run(args: argparse.Namespace, console: Console) -> tuple[dict[str, Any], Page]:
    """A row for each network, batch size and call. ValueError if unknown or the sides differ."""
    names, size = args.networks, args.size
    known = [*CASES, *(m for m in models.MODELS if m not in CASES)]
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise ValueError(f"unknown network {', '.join(unknown)}; known: {', '.join(known)}")
    rows: list[dict[str, Any]] = []
    for name in track(names or known, "networks", console=console, transient=True):
        if name not in CASES:
            rows.append({"network": name, "skipped": "no original in PyTorch"})
            continue
        for batch in args.batch:
            pair = Pair(CASES[name], size, batch)
            for what, calls in (("forward", pair.forward()), ("gradient", pair.gradient())):
                row = {"network": name, "size": size, "batch": batch, "what": what}
                rows.append(row | compare(calls, batch, args.repeats, args.clock))
                console.print(_summary(rows[-1]))
    return {"limit": LIMIT, "rows": rows}, _page(rows)


def _page(rows: list[dict[str, Any]]) -> Page:
    note = (
        "ms per photo, median (min … max), calls alternating. PyTorch runs under its fastest "
        "memory format and number of threads, weights frozen. Ratio: ours over PyTorch's, ! marks "
        f"those above {LIMIT}. Difference: relative L2 of the outputs or gradients."
    )
    bars = [
        Bar(f"{row['network']}, {row['what']}", (row["ours"], row["torch"]))
        for row in rows
        if "ours" in row
    ]
    chart = Chart(bars, ("ours", "PyTorch"), "ms")
    return Page("Every network compared with PyTorch", note, list(map(_cells, rows)), chart)


def _cells(row: dict[str, Any]) -> dict[str, str]:
    if "skipped" in row:
        return {"network": row["network"], "what": row["skipped"]}
    return {
        "network": row["network"],
        "side": str(row["size"]),
        "batch": str(row["batch"]),
        "what": row["what"],
        "ours": pages.spread(row["ours"]),
        "PyTorch": pages.spread(row["torch"]),
        "ratio": f"{row['ratio']:.2f}{'!' if row['ratio'] > LIMIT else ''}",
        "difference": f"{row['difference']:.0e}",
    }


def _summary(row: dict[str, Any]) -> str:
    return (
        f"{row['network']} {row['what']}, batch {row['batch']}: {row['ours']['median']:.0f} ms, "
        f"PyTorch {row['torch']['median']:.0f} ms ({row['torch_under']})"
    )


@dataclasses.dataclass(frozen=True)
class Calls:
    """The same computation of both sides, and how far their results may be apart."""

    ours: Callable[[], Any]
    theirs: dict[str, Callable[[], Any]]  # by memory format and number of threads
    allowed: float


class Pair:
    """A network and its twin with the same seeded weights, and inputs for them."""

    def __init__(self, case: Case, size: int, batch: int) -> None:
        hyper = {"image_size": size} if case.model == "stargan_discriminator" else {}
        card = Card(case.model, case.hyper | hyper, size)
        self.case, self.module = case, models.MODELS[case.model].module(**card.hyper)
        arrays = seeded_arrays(models.variable_shapes(card))
        self.variables = jax.device_put(traverse_util.unflatten_dict(arrays, sep="/"))
        self.state = torch_side.torch_state(arrays)
        rng = np.random.default_rng(0)
        images = rng.uniform(0, 1, (batch, size, size, 3)).astype(np.float32)
        self.inputs = (images, *case.conditions(rng, batch))

    def forward(self) -> Calls:
        """Outputs alone."""
        ours = jax.jit(lambda variables, inputs: self.case.ours(self.module, variables, *inputs))
        inputs = jax.device_put(self.inputs)

        def call(state: theirs.State, tensors: list[torch.Tensor]) -> Any:
            with torch.inference_mode():
                return _flat(self.case.theirs(state, *tensors))

        return Calls(
            lambda: jax.block_until_ready(ours(self.variables, inputs)),
            self._each(call),
            SAME_OUTPUT,
        )

    def gradient(self) -> Calls:
        """The mean square of all outputs, and its gradient with respect to the image."""

        def loss(image: Any, variables: Any, rest: Any) -> Any:
            outputs = jax.tree.leaves(self.case.ours(self.module, variables, image, *rest))
            return sum(jnp.square(out).mean() for out in outputs)

        ours = jax.jit(jax.value_and_grad(loss))
        image, *rest = jax.device_put(self.inputs)

        def call(state: theirs.State, tensors: list[torch.Tensor]) -> Any:
            moving = tensors[0].detach().requires_grad_()
            outputs = _flat(self.case.theirs(state, moving, *tensors[1:]))
            value = torch.stack([out.square().mean() for out in outputs]).sum()
            return torch.autograd.grad(value, moving)

        return Calls(
            lambda: jax.block_until_ready(ours(image, self.variables, rest))[1],
            self._each(call),
            SAME_GRADIENT,
        )

    def _each(self, call: Callable[..., Any]) -> dict[str, Callable[[], Any]]:
        def make(layout: torch.memory_format) -> Callable[[], Any]:
            state = torch_side.placed(self.state, layout)
            vectors = (torch.from_numpy(array) for array in self.inputs[1:])
            tensors = [torch_side.images(self.inputs[0], layout), *vectors]
            return lambda: call(state, tensors)

        return torch_side.each_way(make)


def compare(calls: Calls, batch: int, repeats: int, clock: str) -> dict[str, Any]:
    """Spread in ms per photo, alternating. ValueError if the sides differ by more than allowed."""
    ours = calls.ours()
    differences = {name: _difference(ours, call()) for name, call in calls.theirs.items()}
    agreeing = {n: c for n, c in calls.theirs.items() if differences[n] <= calls.allowed}
    if not agreeing:
        raise ValueError(
            f"the two sides differ: relative L2 {differences}, not {calls.allowed:.0e}"
        )
    way = timing.fastest(agreeing, clock)
    sides = {"ours": calls.ours, "torch": calls.theirs[way]}
    times = timing.alternated(sides, repeats, clock, batch)
    ratio = times["ours"]["median"] / times["torch"]["median"]
    about = {"ratio": ratio, "difference": differences[way], "torch_under": way}
    return times | about | {"differences": differences}


def _difference(ours: Any, theirs: Any) -> float:
    """Largest relative L2 between arrays of both sides, which are listed in the same order."""
    distances = []
    for mine, other in zip(jax.tree.leaves(ours), _flat(theirs), strict=True):
        a, b = np.asarray(mine), other.detach().numpy()
        a = a.transpose(0, 3, 1, 2) if a.ndim == 4 else a
        distances.append(timing.relative_l2(a, b))
    return max(distances)


def _flat(outputs: Any) -> tuple[torch.Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
