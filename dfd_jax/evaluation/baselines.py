"""The rows of attacks that compute a perturbation for each photo (method/attacks.py).

Their photos go through files as P's do. Unlike P, which does not know the generator's condition, an
attack here is made for one generator and one condition at a time.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dfd_jax import pixels
from dfd_jax.evaluation import files, inference, scoring
from dfd_jax.evaluation.results import Row
from dfd_jax.evaluation.scoring import Reference
from dfd_jax.method import attacks
from dfd_jax.method.attacks import Attack
from dfd_jax.method.budget import Budget
from dfd_jax.method.channel import CropResize
from dfd_jax.method.forward import Opponents
from dfd_jax.runtime.batching import padded_batches
from dfd_jax.training import steps


def measure_attack(
    reference: Reference,
    name: str,
    attack: Attack,
    bound: Budget,
    seed: int,
    known: tuple[str, ...] = (),
) -> Row:
    """The row of an attack that knows the generator, the condition and the detectors `known`
    (their verdicts count if the attack has `fake` or `real` terms): the strongest case for it.

    It may change pixels as much as P's `bound` allows; if that is not hard, by the attack's own
    eps.
    """
    networks, photos = reference.networks, reference.photos
    bound = Budget(attack.eps_255) if bound.bound == "none" else bound
    ratio = bound.eps_255 / attack.eps_255
    attack = attack._replace(
        eps_255=bound.eps_255, step_255=ratio * attack.step_255, start_255=ratio * attack.start_255
    )
    fakes, p_protected, received = {}, {}, []
    for (generator, condition), original in reference.originals.items():
        size = networks.size(generator)
        deltas = compute_deltas(
            reference, generator, condition, attack, seed, original.images.shape[1], known
        )
        files_of = files.through_files(photos, files.addition(deltas, bound), (size,))
        received.append(files_of)
        crops = files_of.crops[size]
        fakes[generator, condition] = inference.make_fakes(
            networks, generator, crops, photos.attributes, condition
        )
        p_protected[generator, condition] = inference.judge(networks, crops)
    cells = scoring.score_each(reference, p_protected, fakes)
    return Row(name=name, cells=cells, **vars(files.cost(received)))


def compute_deltas(
    reference: Reference,
    generator: str,
    condition: str,
    attack: Attack,
    seed: int,
    frames: int = 1,
    known: tuple[str, ...] = (),
) -> Float[np.ndarray, "n r r 3"]:
    """Perturbations on [-1, 1], of the size of the photos' boxes if they share one, else of the
    network's. The generator makes `frames` fakes per photo.
    """
    networks, photos = reference.networks, reference.photos
    net = networks.generators[generator]
    batch = max(1, networks.batch_size // frames)
    size, sides = networks.size(generator), {box.side for box in photos.boxes}
    side = sides.pop() if len(sides) == 1 else size
    resizes = () if side == size else (CropResize.of_side(side, size),)
    crops = photos.crops(side)
    labels = steps.pick_labels(net, photos.attributes, networks.label_names)
    opponents = Opponents((net,), tuple(networks.detectors[name] for name in known), resizes)
    deltas = []
    for rows, real in padded_batches(len(crops), batch):
        target = net.test_condition(jnp.asarray(labels[rows]), condition)
        made = attacks.attack(
            opponents,
            pixels.from_uint8(jnp.asarray(crops[rows])),
            [(target,)],
            attack,
            jax.random.fold_in(jax.random.key(seed), int(rows[0])),
        )
        deltas.append(np.asarray(made)[:real])
    return np.concatenate(deltas)
