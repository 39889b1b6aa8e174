"""Networks with everything needed to call them: variables, module and card.

`Network` is a pytree: it goes through `jax.jit` as an argument. Its variables are leaves, the rest
is static. Generators and detectors are frozen: their variables never change in a training of P.
Two levels of use:

* `net(images, …)` takes images in [-1, 1] of any size. It resizes and normalises them, and knows
  what the classes mean.
* `net.apply(net.variables, …)` takes exactly what the original PyTorch network takes (NHWC instead
  of NCHW) and returns its raw outputs.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from dfd_jax.models import layers


@dataclasses.dataclass(frozen=True, eq=False)
class Card:
    """What a weights file says about itself, written as JSON. Cards are equal if their JSON is."""

    model: str  # key of dfd_jax.models.MODELS
    hyper: dict[str, Any]  # keyword arguments of the Flax module
    input_size: int  # side of the square image the network was trained on
    input_mean: tuple[float, ...] = (0.5, 0.5, 0.5)  # per channel, for images in [0, 1]
    input_std: tuple[float, ...] = (0.5, 0.5, 0.5)
    condition: tuple[str, ...] = ()  # generators: what each entry of the condition means
    real_index: int | None = None  # detectors: which output is REAL; None: not a detector yet
    budget: dict[str, Any] | None = None  # perturbers: how the delta is bounded, see budget.py
    source: dict[str, Any] = dataclasses.field(default_factory=dict)  # file, sha256, converter
    info: dict[str, Any] = dataclasses.field(default_factory=dict)  # data, command, metrics, limits
    sha256: str = ""  # of the weights file, filled in when it is read; never in the file itself

    def to_json(self) -> str:
        """Canonical JSON (sorted keys), without the file's own sha256."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["sha256"]
        return json.dumps(fields, sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str, sha256: str = "") -> "Card":
        """The card in `text`. ValueError if a field is unknown or a required one is missing."""
        fields = json.loads(text)
        known = {f.name for f in dataclasses.fields(cls)} - {"sha256"}
        missing = {"model", "hyper", "input_size"} - set(fields)
        unknown = set(fields) - known
        if missing or unknown:
            raise ValueError(
                f"card: missing fields {sorted(missing)}, unknown fields {sorted(unknown)}"
            )
        for name in ("input_mean", "input_std", "condition"):
            if name in fields:
                fields[name] = tuple(fields[name])
        return cls(**fields, sha256=sha256)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Card) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())


@struct.dataclass
class Network:
    """A network whose variables are data and whose architecture and card are static."""

    variables: Any
    module: nn.Module = struct.field(pytree_node=False)
    card: Card = struct.field(pytree_node=False)

    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any:
        """The original network's forward: its own inputs in NHWC, its raw outputs."""
        return self.module.apply(variables, *args, **kwargs)

    def with_variables(self, variables: Any) -> Self:
        """The same network with other variables."""
        return self.replace(variables=variables)  # pyright: ignore[reportAttributeAccessIssue]

    def _normalised(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b s s 3"]:
        """Images in [-1, 1] at the card's size, with the card's mean and standard deviation."""
        images = layers.resize_bilinear(images, self.card.input_size)
        mean = jnp.asarray(self.card.input_mean, images.dtype)
        std = jnp.asarray(self.card.input_std, images.dtype)
        return ((images + 1) / 2 - mean) / std


@struct.dataclass
class FrozenGenerator(Network):
    """A deepfake generator: images in [-1, 1] and a condition → fakes in [-1, 1].

    Only the generator knows what a condition is made of (a label vector, action units, driving
    frames). All other code names it by a string.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that `sample_condition` takes, in its order."""
        return self.card.condition

    @property
    def conditions(self) -> tuple[str, ...]:
        """All conditions that have a name."""
        return self.card.condition

    @property
    def test_conditions(self) -> tuple[str, ...]:
        """The conditions of an evaluation by default."""
        return self.conditions

    def __call__(self, images: Float[Array, "b h w 3"], condition: Any) -> Float[Array, "n s s 3"]:
        """G(x, c), at the size of the card whatever the size of the images.

        n is b, or b times the driving frames of each photo: all frames of the first photo first.
        """
        return self.apply(self.variables, self._normalised(images), condition)

    def sample_condition(self, rng: Array, labels: Float[Array, "b a"], target: str) -> Any:
        """Conditions for photos with these labels: a pytree of arrays whose first axis is b.

        `target` is one of `conditions`, or "random": drawn for each photo. ValueError if it is
        unknown, or if these are not the labels called `labels`.
        """
        raise TypeError(f"{type(self).__name__} has no rule for drawing a condition")

    def test_condition(self, labels: Float[Array, "b a"], target: str) -> Any:
        """The same for one of `conditions`, without randomness: for evaluations."""
        return self.sample_condition(jax.random.key(0), labels, target)


@struct.dataclass
class FrozenDetector(Network):
    """A deepfake detector: images in [-1, 1] → probability that each is REAL (paper Eq. 4)."""

    def real_logits(self, images: Float[Array, "b h w 3"]) -> Float[Array, " b"]:
        """Log-odds of REAL. ValueError if the card does not say which output is REAL."""
        return self.real_logits_of((images,))[0]

    def real_logits_of(
        self, sets: Sequence[Float[Array, "_ _ _ 3"]]
    ) -> tuple[Float[Array, "_"], ...]:
        """The same for several sets of images in one pass: one program and fuller batches.

        The first set has b images, every other one b times a number of images for each photo.
        Images of one photo stay neighbours, so a batch that is sharded over devices stays in place.
        """
        real = self.card.real_index
        if real is None:
            raise ValueError(
                f"{self.card.model}: the card has no real_index, so no output is known to mean "
                "REAL. Convert a checkpoint with a two-class head, or train one "
                "with `python -m dfd_jax.train_detector`."
            )
        photos, size = len(sets[0]), self.card.input_size
        by_photo = [self._normalised(images).reshape(photos, -1, size, size, 3) for images in sets]
        joined = jnp.concatenate(by_photo, 1).reshape(-1, size, size, 3)
        logits = self.apply(self.variables, joined).astype(jnp.float32)
        verdicts = (logits[:, real] - logits[:, 1 - real]).reshape(photos, -1)
        ends = np.cumsum([part.shape[1] for part in by_photo])[:-1].tolist()
        return tuple(part.reshape(-1) for part in jnp.split(verdicts, ends, 1))

    def __call__(self, images: Float[Array, "b h w 3"]) -> Float[Array, " b"]:
        """D(x): probability that each image is real, in [0, 1]."""
        return jax.nn.sigmoid(self.real_logits(images))


@struct.dataclass
class Perturber(Network):
    """A perturber: images in [-1, 1] → unbounded delta of the same shape (budget.py bounds it)."""

    def __call__(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """P(x) before its bound, for any height and width: padded to the network's stride, then
        cropped.
        """
        return layers.padded_apply(
            lambda padded: self.apply(self.variables, padded), images, self.module.stride
        )
