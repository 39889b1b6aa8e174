"""The shipped disrupter does what its card says, on faces it was not trained on."""

import numpy as np

from dfd_jax import models
from dfd_jax.data.synthetic import SyntheticFaces
from dfd_jax.evaluation import inference, scoring
from dfd_jax.evaluation.scoring import Subject
from dfd_jax.method import metrics
from dfd_jax.method.protector import Protector


def test_it_breaks_fakes_of_drawn_faces_within_its_budget_and_noise_does_not():
    generator = models.load("zoo:stargan")
    net = models.load("zoo:disrupter_stargan")
    assert generator.card.sha256 in net.card.info["generators_sha256"]
    source = SyntheticFaces(8, seed=11, size=178, attribute_names=generator.card.condition)
    subject = Subject.from_faces([source[i] for i in range(8)], None)
    networks = inference.Networks({"stargan": generator}, {}, generator.labels, batch_size=8)
    clean = subject.crops(64)
    originals = inference.make_fakes(networks, "stargan", clean, subject.attributes, "Male")

    def broken_by(outputs):
        change = scoring.protection(Protector(net), outputs)
        arrived = scoring.through_files(subject, change, (64,))
        assert max(arrived.linf_255) <= 6
        photos = arrived.photos[64]
        fakes = inference.make_fakes(networks, "stargan", photos, subject.attributes, "Male")
        return metrics.l2(fakes.units, originals.units).mean(), np.mean(arrived.psnr)

    l2, psnr = broken_by(Protector(net).outputs(clean))
    assert l2 > metrics.DISRUPTED_L2
    assert psnr >= 34
    noise, _ = broken_by(scoring.noise_outputs(clean.shape, seed=0))
    assert noise < l2 / 20
