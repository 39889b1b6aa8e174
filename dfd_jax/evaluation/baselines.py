"""The rows of an evaluation for attacks that find a perturbation for each photo (attacks.py).

Their photos go through files as P's do. Unlike P, which does not know what will be asked of the
generator, an attack here is made for one generator and one condition at a time.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dfd_jax import pixels
from dfd_jax.evaluation import inference, scoring
from dfd_jax.evaluation.inference import Networks, Photos
from dfd_jax.evaluation.scoring import Arrived, Subject
from dfd_jax.method import attacks
from dfd_jax.method.attacks import Attack
from dfd_jax.method.budget import Budget
from dfd_jax.method.channel import CropResize
from dfd_jax.method.forward import Opponents
from dfd_jax.training import steps


class AttackRow(NamedTuple):
    """What one attack does to every generator, and what it costs the files; photos are left out."""

    arrived: Arrived
    cells: list[dict[str, Any]]


def attack_row(
    networks: Networks,
    subject: Subject,
    clean: Photos,
    originals: scoring.AllFakes,
    plan: Attack,
    bound: Budget,
    seed: int,
    known: tuple[str, ...] = (),
) -> AttackRow:
    """An attack on each generator and condition of `originals` alone, which it knows beforehand,
    through files: the strongest case for the attack. As large as P's `bound` allows P to be; if
    that is not hard, as the attack's own eps. `known` are the detectors whose verdicts a plan with
    `fake` or `real` uses.
    """
    bound = Budget(plan.eps_255) if bound.bound == "none" else bound
    ratio = bound.eps_255 / plan.eps_255
    plan = plan._replace(
        eps_255=bound.eps_255, step_255=ratio * plan.step_255, start_255=ratio * plan.start_255
    )
    fakes, kept, spent = {}, {}, []
    for (name, condition), before in originals.items():
        size = networks.generators[name].card.input_size
        frames = before.images.shape[1]
        asked = (networks, subject, (name, condition), plan, seed)
        deltas = deltas_of(*asked, frames=frames, known=known)
        arrived = scoring.through_files(subject, scoring.addition(deltas, bound), (size,))
        asked = (networks, name, arrived.photos[size], subject.attributes, condition)
        fakes[name, condition] = inference.make_fakes(*asked)
        kept[name, condition] = inference.judge(networks, arrived.photos[size])
        spent.append(arrived[1:])
    costs = [[x for column in columns for x in column] for columns in zip(*spent, strict=True)]
    cells = scoring.score_each(networks, clean, kept, originals, fakes)
    return AttackRow(Arrived({}, *costs), cells)


def deltas_of(
    networks: Networks,
    subject: Subject,
    pair: tuple[str, str],
    plan: Attack,
    seed: int,
    frames: int = 1,
    known: tuple[str, ...] = (),
) -> Float[np.ndarray, "n r r 3"]:
    """Deltas against a generator under a condition, by which it makes `frames` fakes a photo.

    At the resolution of the photos' regions if they have one size, else at the network's.
    """
    net, count = networks.generators[pair[0]], max(1, networks.batch_size // frames)
    size, sides = net.card.input_size, {box.side for box in subject.boxes}
    side = sides.pop() if len(sides) == 1 else size
    regions = () if side == size else (CropResize.of_side(side, size),)
    squares = subject.crops(side)
    labels = steps.pick_labels(net, subject.attributes, networks.label_names)
    judges = tuple(networks.detectors[name] for name in known)
    found = []
    for rows, filled in inference.full_batches(len(squares), count):
        asked = net.test_condition(jnp.asarray(labels[rows]), pair[1])
        deltas = attacks.attack(
            Opponents((net,), judges, regions),
            pixels.from_uint8(jnp.asarray(squares[rows])),
            [(asked,)],
            plan,
            jax.random.fold_in(jax.random.key(seed), int(rows[0])),
        )
        found.append(np.asarray(deltas)[:filled])
    return np.concatenate(found)
