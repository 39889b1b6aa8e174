"""Eq. 7 of the paper as named, signed terms and their weighted total; minimised over P alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dfd_jax import pixels

FORMS = ("prob", "logit")
DISTANCES = ("mse", "log")
_TINY = 1e-3  # added to mean squares before the logarithm


class Objective(NamedTuple):
    """Weights and forms of Eq. 7's terms.

    `fake` is C2, `real` is C3, `budget` is C1, applied to the part of each image's norm above
    `eps_255` levels. `form` is "prob" as printed in the paper, or "logit": binary cross-entropy on
    the log-odds, whose gradient does not vanish when a detector is sure. `distance` is "mse" as
    printed, the mean square over all fakes, or "log": the mean of each fake's logarithm. The mean
    square rewards most what increases large distances further; with the logarithm, fakes that are
    hardly disrupted count most.
    """

    distortion: float = 1.0
    budget: float = 1.0
    fake: float = 1.0
    real: float = 1.0
    form: str = "logit"
    distance: str = "mse"
    norm: str = "rms"
    eps_255: float = 6.375
    ramp: int = 0  # steps over which C2 and C3 grow to their weights
    generator_weights: tuple[float, ...] = ()  # empty: equal weights
    detector_weights: tuple[float, ...] = ()


class Seen(NamedTuple):
    """Outputs of one forward pass. Tuples have an entry per generator or detector."""

    norms: Float[Array, " b"]  # of P(x) in the file, in the objective's norm, on [-1, 1]
    rms: Float[Array, " b"]
    fakes: tuple[Float[Array, "_ _ _ 3"], ...]  # G(x+P(x), c) per generator
    references: tuple[Float[Array, "_ _ _ 3"], ...]  # r per generator
    fake_logits: tuple[tuple[Float[Array, "_"], ...], ...]  # G x D: log-odds of REAL
    real_logits: tuple[Float[Array, "_"], ...]  # the same of x+P(x), per detector


def terms(
    seen: Seen, objective: Objective, *, towards: bool = False
) -> dict[str, Float[Array, ""]]:
    """The four terms with their signs, without weights.

    `towards`: r is a fixed picture that fakes should approach, so the distance is minimised; Eq. 1
    as printed would maximise it.
    """
    eps = pixels.levels_to_units(objective.eps_255)
    sign = 1.0 if towards else -1.0
    pairs = zip(seen.fakes, seen.references, strict=True)
    distances = [distance(fakes, r, objective.distance) for fakes, r in pairs]
    of_g, of_d, form = objective.generator_weights, objective.detector_weights, objective.form
    passed = [_mean([judged_real(x, form) for x in row], of_d) for row in seen.fake_logits]
    return {
        "distortion": sign * _mean(distances, of_g),
        "budget": jax.nn.relu(seen.norms - eps).mean(),
        "fake": _mean(passed, of_g),
        "real": _mean([judged_fake(logits, form) for logits in seen.real_logits], of_d),
    }


def total(
    named: dict[str, Float[Array, ""]], objective: Objective, step: Int[Array, ""] | int
) -> Float[Array, ""]:
    """Eq. 7: the weighted sum of the terms, at this step of the training."""
    share = jnp.clip((step + 1) / max(objective.ramp, 1), 0.0, 1.0)
    weights = {
        "distortion": objective.distortion,
        "budget": objective.budget,
        "fake": objective.fake * share,
        "real": objective.real * share,
    }
    return jnp.stack([weights[name] * value for name, value in named.items()]).sum()


def judged_real(logits: Float[Array, " b"], form: str) -> Float[Array, ""]:
    """How real images look: E[D] (Eq. 5), or E[-log(1 - D)] in the logit form."""
    if form == "prob":
        return jax.nn.sigmoid(logits).mean()
    if form == "logit":
        return jax.nn.softplus(logits).mean()
    raise ValueError(f"objective.form is {form!r}, expected one of {', '.join(FORMS)}")


def judged_fake(logits: Float[Array, " b"], form: str) -> Float[Array, ""]:
    """How fake the images look: E[1 - D] (Eq. 6), or E[-log D] in the logit form."""
    return judged_real(-logits, form)


def distance(
    fakes: Float[Array, "n s s 3"], references: Float[Array, "n s s 3"], kind: str
) -> Float[Array, ""]:
    """Mean distance of fakes from their references on [-1, 1]: "mse", or "log" of each fake's."""
    squares = jnp.square(fakes - references).mean((1, 2, 3))
    if kind == "mse":
        return squares.mean()
    if kind == "log":
        return jnp.log(squares + _TINY).mean()
    raise ValueError(f"objective.distance is {kind!r}, expected one of {', '.join(DISTANCES)}")


def _mean(values: list[Float[Array, ""]], weights: tuple[float, ...] = ()) -> Float[Array, ""]:
    if not values:
        return jnp.float32(0.0)
    weights = weights or (1.0,) * len(values)
    weighted = [w * v for w, v in zip(weights, values, strict=True)]
    return sum(weighted, jnp.float32(0.0)) / sum(weights)
