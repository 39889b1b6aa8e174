"""Figures of the cards that come from real photographs, measured again on the same photographs.

They are not part of the repository: without ../shared these tests are skipped.
"""

import hashlib

import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import NAMES, SHARED

from dfd_jax import models, pixels
from dfd_jax.data import sources
from dfd_jax.data.face_photos import FacePhotos
from dfd_jax.evaluation import inference, scoring
from dfd_jax.method import metrics
from dfd_jax.method.protector import Protector

PORTRAITS, CHECKPOINTS = SHARED / "portraits", SHARED / "weights"
DETECTORS = ("resnet18", "resnet50", "xception", "multi_attentional")
ONE_PHOTO = 1 / 63 + 1e-3  # on another machine a photo at the threshold may fall on the other side

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PORTRAITS.is_dir(), reason="the portraits (../shared/portraits) are not here"
    ),
]


@pytest.fixture(scope="module")
def portraits():
    """The test split as it is in files of the networks' own size."""
    source = sources.open_source("celeba", "test", root=PORTRAITS, attribute_names=NAMES)
    found = [source[i] for i in range(len(source))]
    digest = hashlib.sha256()
    for face in found:
        digest.update(face.name.encode() + b"\0" + face.pixels.tobytes())
    told = models.load("zoo:disrupter_stargan").card.info["test"]["photos"]
    assert digest.hexdigest() == told["sha256"], "these are other photographs than the card's"
    return FacePhotos.from_faces(found, None).resampled(64)


@pytest.fixture(scope="module")
def networks():
    judges = {name: models.load(f"zoo:{name}") for name in DETECTORS}
    return inference.Networks({"stargan": models.load("zoo:stargan")}, judges, NAMES)


def fakes_of(networks, portraits, squares):
    wanted = {"stargan": NAMES}
    return scoring.all_fakes(networks, wanted, {64: squares}, portraits.attributes)


@pytest.fixture(scope="module")
def originals(networks, portraits):
    return fakes_of(networks, portraits, portraits.crops(64))


def passed(fakes, detector):
    return np.mean([found.p_reals[detector] > 0.5 for found in fakes.values()])


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_judges_the_portraits_and_the_fakes_of_them_as_its_card_says(
    name, networks, portraits, originals
):
    told = networks.detectors[name].card.info["test"]["photos"]
    reals = inference.judge(networks, portraits.crops(64))[name]
    assert metrics.counts(reals, reals[:0]).recall == pytest.approx(told["R"], abs=ONE_PHOTO)
    unseen = told["generators"]["zoo:stargan"]
    for condition, q in unseen["q_by_condition"].items():
        found = np.mean(originals["stargan", condition].p_reals[name] > 0.5)
        assert found == pytest.approx(q, abs=ONE_PHOTO), condition
    p_fakes = np.concatenate([fakes.p_reals[name].ravel() for fakes in originals.values()])
    assert metrics.auc(reals, p_fakes) == pytest.approx(unseen["auc"], abs=0.005)


def test_the_disrupter_breaks_what_its_card_says(networks, portraits, originals):
    net = models.load("zoo:disrupter_stargan")
    told = next(each for each in net.card.info["test"]["regions"] if each["side"] == 64)
    squares = portraits.crops(64)
    protected = np.stack(Protector(net).protect_many(list(squares)))
    assert np.abs(protected.astype(int) - squares).max() == told["linf_255"]
    psnr = [metrics.psnr(*pair) for pair in zip(squares, protected, strict=True)]
    assert np.mean(psnr) == pytest.approx(told["psnr"], abs=0.05)
    fakes = fakes_of(networks, portraits, protected)
    distances = np.concatenate(
        [metrics.l2(fakes[key].units, originals[key].units) for key in originals]
    )
    assert distances.mean() == pytest.approx(told["l2"], rel=0.02)
    assert metrics.is_disrupted(distances).mean() == pytest.approx(told["disrupted"], abs=0.01)
    for detector, q in told["q"].items():
        assert passed(fakes, detector) == pytest.approx(q, abs=0.02), detector


def test_the_stargan_is_the_checkpoint_that_its_card_names():
    pytest.importorskip("torch")
    from converters import core, stargan

    path, net = CHECKPOINTS / "stargan_portraits_64-G.ckpt", models.load("zoo:stargan")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == net.card.source["sha256"]
    options = core.Options(input_size=64, condition=NAMES)
    variables, _ = core.convert("stargan", stargan.GENERATOR, path, options)
    for name, layer in variables["params"].items():
        for leaf, value in layer.items():
            kept = np.asarray(value).astype(np.float16).astype(np.float32)
            np.testing.assert_array_equal(net.variables["params"][name][leaf], kept)


def test_attributes_change_as_asked_to_the_eyes_of_its_own_discriminator(portraits, originals):
    pytest.importorskip("torch")
    from converters import core, stargan
    from dfd_jax.models.generators.stargan import Discriminator

    path = CHECKPOINTS / "stargan_portraits_64-D.ckpt"
    options = core.Options(input_size=64)
    variables, card = core.convert("stargan_discriminator", stargan.DISCRIMINATOR, path, options)
    judge = Discriminator(**card.hyper)

    def logits(pictures):
        return np.asarray(judge.apply(variables, pixels.from_uint8(jnp.asarray(pictures)))[1])

    before = logits(portraits.crops(64))
    for column, name in enumerate(NAMES):
        after = logits(originals["stargan", name].images[:, 0])[:, column]
        is_hair = name.endswith("Hair")  # asked for; the others are switched
        wanted = 1 if is_hair else 1 - 2 * portraits.attributes[:, column]
        assert np.mean((after - before[:, column]) * wanted > 0) >= 0.9, name
