"""The baseline attacks do what the authors' code does, and never leave their budget."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import seeded_weights
from make_golden import REFERENCE, on_grid
from tiny_networks import NAMES, tiny_network

from converters import core
from converters.__main__ import CONVERTERS
from dfd_jax import models, pixels
from dfd_jax.method import attacks, budget, channel
from dfd_jax.method.attacks import ATTACKS, Aim, Attack
from dfd_jax.method.forward import Opponents
from dfd_jax.method.objective import Objective
from dfd_jax.models.frozen import FrozenDetector, FrozenGenerator

CASE = "pgd_stargan"
EPS = pixels.levels_to_units(6.375)
STEP_255 = 0.01 * 127.5
DISTORTION = Objective(budget=0.0, fake=0.0, real=0.0)
FACTS = seeded_weights.facts(CASE)
ATTACKED = ("pgd", "ifgsm_small_start", "ifgsm_target_input")


@functools.cache
def recording(dtype=jnp.float32):
    with np.load(seeded_weights.GOLDEN / f"{CASE}.npz") as file:
        arrays = {name: file[name] for name in file.files}
    inputs = {
        name.removeprefix("input."): jnp.asarray(
            a.transpose(0, 2, 3, 1) if a.ndim == 4 else a, dtype
        )
        for name, a in arrays.items()
        if name.startswith("input.")
    }
    return arrays, inputs


@functools.cache
def original(dtype=jnp.float32):
    """The small StarGAN that was attacked, as an opponent."""
    state = seeded_weights.state_dict(CASE)
    variables, card = core.convert_state(
        "stargan", CONVERTERS["stargan"], state, core.Options(input_size=64)
    )
    row = models.MODELS[card.model]
    variables = jax.tree.map(lambda x: jnp.asarray(x, dtype), variables)
    return Opponents((row.frozen(variables, row.module(**card.hyper, dtype=dtype), card),), (), ())


@functools.cache
def attacked(kind, steps, dtype=jnp.float32):
    """x + delta of one recorded attack, NCHW, and the mean squared distance it reached."""
    _, inputs = recording(dtype)
    x, opponents = inputs["x"], original(dtype)
    start = {"pgd": inputs["start_pgd"], "ifgsm_small_start": inputs["start_small"]}
    references = (x,) if kind == "ifgsm_target_input" else (target(dtype),)
    deltas = attacks.attack(
        *(opponents, x, [(inputs["c"],)]),
        Attack(step_255=STEP_255, steps=steps),
        jax.random.key(0),
        references=references,
        start=start.get(kind, jnp.zeros_like(x)),
    )
    _, (fakes,) = gradient_at(deltas, references, dtype)
    distance = float(jnp.square(fakes - references[0]).mean())
    return np.asarray(x + deltas).transpose(0, 3, 1, 2), distance


def gradient_at(deltas, references, dtype=jnp.float32):
    _, inputs = recording(dtype)
    aim = Aim((inputs["c"],), references)
    return attacks.gradient(deltas, original(dtype), inputs["x"], aim, DISTORTION)


def target(dtype=jnp.float32):
    _, inputs = recording(dtype)
    return original(dtype).generators[0](inputs["x"], inputs["c"])


def photos_attacked_in_float64(kind, steps):
    """In float32 the sign of a tiny gradient depends on the processor's rounding."""
    with jax.enable_x64(True):
        return attacked(kind, steps, jnp.float64)[0]


def rel_l2(ours, theirs):
    return np.linalg.norm(np.float64(ours) - theirs) / np.linalg.norm(theirs)


def arrays_of(kind):
    with np.load(REFERENCE / CASE / "io.npz") as full:
        return {name: full[name] for name in full.files if kind in name}


def test_the_attacked_generator_is_the_original():
    golden, limits = recording()[0]["output.target"], FACTS["tolerance"]["output.target"]
    ours = on_grid("output.target", np.asarray(target()).transpose(0, 3, 1, 2))
    assert np.abs(ours - golden).max() <= limits["atol"]
    assert rel_l2(ours, golden) <= limits["rel_l2"]


@pytest.mark.parametrize("kind", ATTACKED)
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_an_attack_breaks_as_much_as_the_original(kind, steps):
    name = f"{kind}_k{steps}"
    arrays, _ = recording()
    distance = attacked(kind, steps)[1]
    limit = FACTS["tolerance"][f"output.mse_{name}"]["rtol"]
    assert distance == pytest.approx(arrays[f"output.mse_{name}"].item(), rel=limit)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ATTACKED)
@pytest.mark.parametrize("steps", [1, 2])  # after ten, paths have diverged: distances are compared
def test_the_first_steps_change_the_pixels_that_the_original_changes(kind, steps):
    name, photos = f"{kind}_k{steps}", photos_attacked_in_float64(kind, steps)
    asked = FACTS["attack_agreement"]["arrays"][f"x_adv_{name}"]["ask"]
    theirs = recording()[0][f"output.x_adv_{name}"]
    assert (np.abs(on_grid("output", photos) - theirs) < 1e-4).mean() >= asked
    if REFERENCE.is_dir():
        theirs = arrays_of("x_adv")[f"output.x_adv_{name}"]
        assert (np.abs(photos - theirs) < 1e-4).mean() >= asked


@pytest.mark.parametrize("name", ["grad_input", "grad_target_input"])
def test_input_gradients_equal_the_original(name):
    arrays, inputs = recording()
    x = inputs["x"]
    at = {"grad_input": (inputs["start_pgd"], target()), "grad_target_input": (0 * x, x)}
    deltas, reference = at[name]
    ours = np.asarray(gradient_at(deltas, (reference,))[0]).transpose(0, 3, 1, 2)
    assert rel_l2(on_grid(name, ours), arrays[name]) <= FACTS["tolerance"][name]["rel_l2"]
    if REFERENCE.is_dir():
        assert rel_l2(ours, arrays_of(name)[name]) <= FACTS["tolerance"][name]["rel_l2"]


def test_without_jitter_i_fgsm_does_not_move():
    _, inputs = recording()
    still = ATTACKS["I-FGSM"]._replace(start_255=0.0)
    deltas = attacks.attack(original(), inputs["x"], [(inputs["c"],)], still, jax.random.key(0))
    assert not np.asarray(deltas).any()


@pytest.fixture(scope="module")
def stargan():
    """A tiny generator and detector as opponents."""
    generator, detector = tiny_network("stargan"), tiny_network("resnet18")
    assert isinstance(generator, FrozenGenerator)
    assert isinstance(detector, FrozenDetector)
    return Opponents((generator,), (detector,), ())


@pytest.fixture
def images(photos):
    return pixels.from_uint8(jnp.asarray(photos))


def asked(opponents, name, count=8):
    labels = jnp.zeros((count, len(NAMES)))
    return tuple(g.test_condition(labels, name) for g in opponents.generators)


def conditions_of(opponents, names=NAMES[:3]):
    return [asked(opponents, name) for name in names]


def made(opponents, images, plan, names=("Male",), seed=0):
    conditions = conditions_of(opponents, names)
    return attacks.attack(opponents, images, conditions, plan, jax.random.key(seed))


def distance(opponents, images, deltas, name="Male"):
    (net,), (condition,) = opponents.generators, asked(opponents, name)
    changed = jnp.clip(images + deltas, -1, 1)
    return float(jnp.square(net(changed, condition) - net(images, condition)).mean())


def noise(images):
    signs = np.random.default_rng(0).choice([-1.0, 1.0], images.shape)
    return jnp.asarray(EPS * signs, jnp.float32)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_budget_holds_after_rounding_and_noise_is_beaten(stargan, photos, images, name):
    deltas = made(stargan, images, ATTACKS[name])
    assert np.abs(deltas).max() <= EPS + 1e-6
    assert np.abs(images + deltas).max() <= 1.0
    for photo, delta in zip(photos, np.asarray(deltas), strict=True):
        changed = budget.apply_to_pixels(photo, delta, budget.Budget())
        assert 1 <= budget.linf_255(photo, changed) <= 6
    assert distance(stargan, images, deltas) > 2 * distance(stargan, images, noise(images))


def test_more_steps_break_more_than_one(stargan, images):
    one, ten = (
        distance(stargan, images, made(stargan, images, ATTACKS[n]))
        for n in ATTACKS
        if n in ("FGSM", "PGD")
    )
    assert ten > one


def test_momentum_changes_the_path(stargan, images):
    plain = made(stargan, images, ATTACKS["MI-FGSM"]._replace(momentum=0.0))
    assert np.array_equal(plain, made(stargan, images, ATTACKS["I-FGSM"]))
    assert not np.array_equal(plain, made(stargan, images, ATTACKS["MI-FGSM"]))


def test_the_same_key_gives_the_same_attack(stargan, images):
    first, again, other = (made(stargan, images, ATTACKS["PGD"], seed=s) for s in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_several_conditions_are_broken_together_in_turn_or_at_random(stargan, images):
    found = {
        mode: made(stargan, images, Attack(conditions=mode, start_255=0.1), NAMES[:3])
        for mode in ("joint", "iterative", "random")
    }
    one = made(stargan, images, Attack(start_255=0.1), NAMES[:1])
    every = [*found.values(), one]
    assert all(not np.array_equal(a, b) for i, a in enumerate(every) for b in every[:i])
    for deltas in found.values():
        for name in NAMES[:3]:
            broken = distance(stargan, images, deltas, name)
            assert broken > 2 * distance(stargan, images, noise(images), name)


def test_a_random_attack_picks_the_references_of_the_condition_it_picked(stargan, images):
    first, second = conditions_of(stargan, NAMES[:2])
    aims = [Aim(c, (g * jnp.ones((16, 1)),)) for g, c in ((0.0, first), (1.0, second))]
    (aim,) = attacks._chosen(aims, "random", 0, jax.random.key(0), 8)
    picked = np.asarray(aim.condition[0] == second[0]).all(1)
    assert 0 < picked.sum() < 8
    assert np.array_equal(np.asarray(aim.references[0])[:, 0], picked.repeat(2))


def test_detector_terms_win_the_verdict_on_fakes_and_photos(stargan, images):
    (net,), (judge,), (condition,) = *stargan[:2], asked(stargan, "Male")
    plain, judged = (
        images + made(stargan, images, plan) for plan in (Attack(), Attack(fake=10.0, real=10.0))
    )
    assert (
        judge.real_logits(net(judged, condition)).mean()
        < judge.real_logits(net(plain, condition)).mean()
    )
    assert judge.real_logits(judged).mean() > judge.real_logits(plain).mean()


def test_a_target_picture_is_approached(stargan, images):
    (net,), (condition,) = stargan.generators, asked(stargan, "Male")
    picture = jnp.full((16, 16, 3), 0.8)
    deltas = made(stargan._replace(target=picture), images, Attack())
    before, after = (
        jnp.square(net(x, condition) - picture).mean() for x in (images, images + deltas)
    )
    assert after < before


def test_a_universal_perturbation_is_one_for_all_photos(stargan, images):
    batches = [(images[i : i + 4], [asked(stargan, n, 4) for n in NAMES[:2]]) for i in (0, 4)]
    plan = Attack(conditions="joint")
    delta, again = (attacks.universal(stargan, batches, plan, jax.random.key(0)) for _ in range(2))
    assert delta.shape == (1, 16, 16, 3)
    assert np.array_equal(delta, again)
    assert np.abs(delta).max() <= EPS + 1e-6
    broken = distance(stargan, images, attacks.inside(images, delta), NAMES[0])
    assert broken > distance(stargan, images, noise(images)[:1], NAMES[0])


def test_an_attack_at_the_regions_size_survives_the_resize_better(stargan, images):
    region = channel.CropResize.of_side(40, 16)
    grow, shrink = channel.resize_matrix(16, 40), region.reduce
    large = jnp.einsum("ij,bjkc,lk->bilc", grow, images, grow)
    there = made(stargan._replace(resizes=(region,)), large, ATTACKS["PGD"])
    assert there.shape == (8, 40, 40, 3)
    small = made(stargan, images, ATTACKS["PGD"])
    enlarged = jnp.einsum("ij,bjkc,lk->bilc", grow, small, grow)
    arrived = [
        jnp.einsum("ij,bjkc,lk->bilc", shrink, large + d, shrink) for d in (0, enlarged, there)
    ]
    clean, lost, kept = arrived
    assert distance(stargan, clean, kept - clean) > distance(stargan, clean, lost - clean)


@pytest.mark.parametrize(
    ("plan", "names", "regions", "message"),
    [
        (Attack(conditions="all"), ("Male",), 0, "'all', expected one of single, joint"),
        (Attack(), NAMES, 0, "5 conditions for a 'single' attack, expected one"),
        (Attack(conditions="joint"), (), 0, "0 conditions .* expected at least one"),
        (Attack(), ("Male",), 2, "found 2 crop sizes, expected at most one"),
    ],
)
def test_an_attack_that_cannot_be_made_says_why(stargan, images, plan, names, regions, message):
    region = channel.CropResize.of_side(16, 16)
    with pytest.raises(ValueError, match=message):
        made(stargan._replace(resizes=(region,) * regions), images, plan, names)
