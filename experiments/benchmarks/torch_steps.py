"""One training step of Eq. 7 and PGD in PyTorch, which ours are compared with.

Everything is NCHW; images are on [-1, 1]. Frozen networks are functions of images whose weights
take no gradient.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from dfd_jax.method.attacks import Attack
from dfd_jax.method.objective import Objective

LEVELS_PER_UNIT = 127.5
Images = Float[Tensor, "b 3 s s"]


class CropResize(NamedTuple):
    """The two resizes of a photo whose face crop is r pixels wide, for a network of s pixels."""

    enlarge: Float[Tensor, "r s"]
    reduce: Float[Tensor, "s r"]


class Opponents(NamedTuple):
    """All that P is trained against."""

    generator: Callable[[Images, Tensor], Images]  # photos and conditions → fakes
    detectors: Sequence[Callable[[Images], Float[Tensor, " b"]]]  # photos → log-odds of REAL
    resizes: Sequence[CropResize]


class Drawn(NamedTuple):
    """The random choices of a step."""

    condition: Float[Tensor, "b c"]
    resize: int


@dataclasses.dataclass
class TrainStep:
    """P's parameters and Adam, stepped by `step`; `loss` and `gradients` change nothing."""

    perturber: Callable[[dict[str, Tensor], Images], Images]
    params: dict[str, Tensor]
    opponents: Opponents
    terms: Objective
    eps_255: float  # tanh bound
    learning_rate: Callable[[int], float]
    clip: float

    def __post_init__(self) -> None:
        self.params = {n: p.detach().clone().requires_grad_() for n, p in self.params.items()}
        self.optimizer = torch.optim.Adam(list(self.params.values()), fused=True)
        self.count = 0

    def step(self, photos: UInt8[Tensor, "b 3 s s"], drawn: Drawn) -> dict[str, Tensor]:
        """Move P along Eq. 7; the figures that training logs."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, logged = self.loss(photos, drawn)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(self.params.values()), self.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.count)
        self.optimizer.step()
        self.count += 1
        return {**logged, "gradient_norm": norm}

    def gradients(self, photos: UInt8[Tensor, "b 3 s s"], drawn: Drawn) -> list[Tensor]:
        """d(loss) / d(params), in the order of `params`."""
        return list(torch.autograd.grad(self.loss(photos, drawn)[0], list(self.params.values())))

    def loss(
        self, photos: UInt8[Tensor, "b 3 s s"], drawn: Drawn
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Eq. 7 on one batch, and its terms and rates."""
        images = photos.float() / LEVELS_PER_UNIT - 1
        raw = self.perturber(self.params, images)
        deltas, rms = _through_file(raw, self.opponents.resizes[drawn.resize], self.eps_255)
        protected = _round_8bit(images + deltas)
        with torch.no_grad():
            references = self.opponents.generator(images, drawn.condition)
        fakes = self.opponents.generator(protected, drawn.condition)
        of_fakes = torch.stack([detector(fakes) for detector in self.opponents.detectors])
        of_protected = torch.stack([detector(protected) for detector in self.opponents.detectors])
        terms = {
            "distortion": -(fakes - references).square().mean(),
            "budget": F.relu(rms - self.terms.eps_255 / LEVELS_PER_UNIT).mean(),
            "fake": F.softplus(of_fakes).mean(),
            "real": F.softplus(-of_protected).mean(),
        }
        weights = self.terms._asdict()
        loss = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        with torch.no_grad():
            l2 = (fakes - references).square().mean((1, 2, 3))
            rates = {
                "l2": l2.mean(),
                "disrupted": (l2 >= 0.05).float().mean(),
                "rms_255": LEVELS_PER_UNIT * rms.mean(),
                "fakes_pass": (of_fakes > 0).float().mean(),
                "protected_pass": (of_protected > 0).float().mean(),
            }
        logged = {name: value.detach() for name, value in terms.items()}
        return loss, {"loss": loss.detach(), **logged, **rates}


def pgd(
    generator: Callable[[Images, Tensor], Images],
    images: Images,
    condition: Float[Tensor, "b c"],
    references: Images,
    start: Images,
    plan: Attack,
) -> Images:
    """The perturbations that signed steps find, from `start`."""
    eps, size = plan.eps_255 / LEVELS_PER_UNIT, plan.step_255 / LEVELS_PER_UNIT
    deltas = start
    for _ in range(plan.steps):
        gradient = ascent(generator, images, condition, references, deltas)
        deltas = (deltas + size * gradient.sign()).clamp(-eps, eps)
        deltas = (images + deltas).clamp(-1, 1) - images
    return deltas


def ascent(
    generator: Callable[[Images, Tensor], Images],
    images: Images,
    condition: Float[Tensor, "b c"],
    references: Images,
    deltas: Images,
) -> Images:
    """The direction in which the fakes leave the references fastest."""
    moving = deltas.detach().requires_grad_()
    distance = (generator(images + moving, condition) - references).square().mean()
    return torch.autograd.grad(distance, moving)[0]


def _through_file(
    raw: Images, resize: CropResize, eps_255: float
) -> tuple[Images, Float[Tensor, " b"]]:
    """The perturbation that the generator receives, and its RMS in the file."""
    deltas = eps_255 / LEVELS_PER_UNIT * _resize(raw, resize.enlarge).tanh()
    written = deltas + ((deltas * LEVELS_PER_UNIT).round() / LEVELS_PER_UNIT - deltas).detach()
    return _resize(written, resize.reduce), deltas.square().mean((1, 2, 3)).sqrt()


def _resize(images: Images, matrix: Float[Tensor, "n s"]) -> Float[Tensor, "b 3 n n"]:
    return matrix @ images.contiguous() @ matrix.T


def _round_8bit(images: Images) -> Images:
    clipped = images.clamp(-1, 1)
    levels = ((clipped + 1) * LEVELS_PER_UNIT).round()
    return clipped + (levels / LEVELS_PER_UNIT - 1 - clipped).detach()


def sized(images: Images, size: int) -> Float[Tensor, "b 3 _ _"]:
    """Bilinear resize to a square, antialiased when shrinking."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True)


def real_logits(logits: Float[Tensor, "b 2"], real_index: int) -> Float[Tensor, " b"]:
    """Log-odds of REAL."""
    return logits[:, real_index] - logits[:, 1 - real_index]
