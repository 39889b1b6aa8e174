"""The shipped disrupter does what its card says, on faces it was not trained on."""

from dfd_jax import models
from dfd_jax.data.face_photos import FacePhotos
from dfd_jax.data.synthetic import SyntheticFaces
from dfd_jax.evaluation import files, inference
from dfd_jax.method import metrics
from dfd_jax.method.protector import Protector


def test_it_breaks_fakes_of_drawn_faces_within_its_budget_and_noise_does_not():
    generator = models.load("zoo:stargan")
    net = models.load("zoo:disrupter_stargan")
    assert generator.card.sha256 in net.card.info["generators_sha256"]
    source = SyntheticFaces(8, seed=11, size=178, attribute_names=generator.card.condition)
    test_photos = FacePhotos.from_faces([source[i] for i in range(8)], None)
    networks = inference.Networks({"stargan": generator}, {}, generator.labels, batch_size=8)
    clean, attributes = test_photos.crops(64), test_photos.attributes
    originals = inference.make_fakes(networks, "stargan", clean, attributes, "Male")

    def broken_by(outputs):
        change = files.protection(Protector(net), outputs)
        received = files.through_files(test_photos, change, (64,))
        cost = files.cost([received])
        assert cost.linf_255 <= 6
        photos = received.crops[64]
        fakes = inference.make_fakes(networks, "stargan", photos, attributes, "Male")
        return metrics.l2(fakes.units, originals.units).mean(), cost.psnr

    l2, psnr = broken_by(Protector(net).outputs(clean))
    assert l2 > metrics.DISRUPTED_L2
    assert psnr >= 34
    noise, _ = broken_by(files.noise_outputs(clean.shape, seed=0))
    assert noise < l2 / 20
