"""Defaults of every training of a perturber. A config file changes what its networks need."""

import ml_collections

from dfd_jax.runtime.config import Config


def get_config() -> Config:
    """All fields, with their meaning. Perturbations in 8-bit levels: 6.375 is 0.05 on [-1, 1]."""
    config: Config = ml_collections.ConfigDict()
    config.name = "run"  # the default workdir is runs/NAME
    config.seed = 0

    config.data = photos_section()
    # Also train on slightly turned faces, warped by their landmarks: P overfits to few photos.
    config.data.poses = False

    config.perturber = ml_collections.ConfigDict()
    config.perturber.model = "unet"  # unet | resnet_perturber
    config.perturber.hyper = ml_collections.ConfigDict()
    config.generators = ("zoo:stargan",)
    config.detectors = ("zoo:xception",)
    # A condition for all steps, or "random": drawn for every photo at each step. With several
    # generators, one for all, or one each, separated by commas.
    config.condition = "random"
    config.dtype = "float32"  # compute type: float32 | bfloat16 (parameters stay float32)

    config.driving = ml_collections.ConfigDict()  # for generators that animate a photo
    config.driving.root = ""  # folder of driving videos; empty: five drawn motions
    config.driving.frames = 1  # driving frames per photo and step
    config.driving.test_frames = 8  # driving frames per clip in an evaluation

    config.budget = ml_collections.ConfigDict()
    config.budget.eps_255 = 6.375  # hard bound on every pixel
    config.budget.bound = "tanh"  # tanh: hard; none: only the soft hinge below

    config.objective = _objective()

    config.channel = ml_collections.ConfigDict()
    # Sides, in pixels, of the face crops that P's input is resized from.
    config.channel.crop_sides = (64, 128, 178, 256)

    config.train = ml_collections.ConfigDict()
    config.train.steps = 900
    config.train.batch_size = 8  # over all devices
    config.train.learning_rate = 4e-3
    config.train.warmup = 20
    config.train.clip = 1.0
    config.train.log_every = 10
    config.train.checkpoint_every = 200
    config.train.keep = 2

    config.evaluate = _evaluate()
    return config


def _objective() -> Config:
    """Eq. 7, see dfd_jax/method/objective.py."""
    objective: Config = ml_collections.ConfigDict()
    objective.distortion = 2.0  # the paper's formula has 1: only the ratios matter
    objective.budget = 30.0  # C1
    objective.fake = 0.1  # C2
    objective.real = 0.1  # C3
    objective.form = "logit"  # prob: as printed | logit: cross-entropy
    objective.distance = "mse"  # mse: as printed | log: weights the least disrupted fakes most
    objective.norm = "rms"  # rms | l2 | linf
    objective.eps_255 = 5.0  # where the hinge starts; RMS 5.0 levels = 34.2 dB
    objective.ramp = 0  # steps over which C2 and C3 rise to full weight
    objective.generator_weights = ()
    objective.detector_weights = ()
    objective.target = ""  # r: empty: G(x); a picture file: move the fakes towards it
    return objective


def _evaluate() -> Config:
    """What `python -m dfd_jax.evaluate` measures."""
    evaluate: Config = ml_collections.ConfigDict()
    evaluate.photos = 0  # from the test split; 0 = all
    evaluate.detectors = ("zoo:xception", "zoo:resnet18", "zoo:resnet50")
    evaluate.conditions = ()  # () = the generator's test conditions
    # Side of the face crop in the files of the main rows; 0: photos as they are. The paper's files
    # are as large as the network's input.
    evaluate.crop_side = 0
    evaluate.crop_sides = (64, 128, 256)  # further sides to measure through files
    # Gradient attacks to compare P with: FGSM, I-FGSM, PGD, MI-FGSM. Each is optimised for every
    # photo, generator and condition, which takes far longer than P.
    evaluate.attacks = ()
    evaluate.channels = True  # also measure after JPEG, resize, blur and noise
    evaluate.batch_size = 16
    return evaluate


def photos_section() -> Config:
    """The photos of any kind of training."""
    data: Config = ml_collections.ConfigDict()
    data.kind = "auto"  # auto | celeba | folder | array_record | videos | tfds | synthetic
    data.root = ""  # folder of photos; ignored by synthetic
    data.split_protocol = "official"  # celeba: official | stargan
    data.count = 512  # synthetic: faces in the training split
    data.size = 64  # side of the square that the networks get
    data.crop = 0  # side of the centred square cut from a photo; 0: the largest (178 in CelebA)
    data.drawn = 178  # side of drawn photos
    # Decode JPEGs at 1/2, 1/4 or 1/8 of their resolution if the centred square stays at least
    # `size` wide: twice as fast. Pixels of CelebA photos at 64 px change by 0.7 levels on average,
    # 1 % of them by 5 or more. An evaluation decodes at full resolution.
    data.reduced = True
    data.workers = 0  # decoding processes; 0: threads
    return data


def embedded(config: Config, name: str) -> None:
    """The zoo's small networks on drawn faces."""
    config.name = name
    config.data.kind = "synthetic"
    config.perturber.hyper = {"width": 16, "depth": 4, "patch": 4}
    config.detectors = ("zoo:xception",)
    config.train.steps = 150
    config.train.checkpoint_every = 50
    config.evaluate.photos = 32
    config.driving.test_frames = 4
    config.evaluate.channels = False


def photos(config: Config, name: str) -> None:
    """The zoo's small networks on photographs in `config.data.root`."""
    config.name = name
    config.perturber.hyper = {"width": 16, "depth": 4, "patch": 4}
    config.detectors = ("zoo:xception", "zoo:resnet18")  # ResNet-50 is only evaluated with
    config.objective.fake = 0.3
    config.objective.ramp = 500  # disrupt fakes first: detectors are then fooled faster
    config.train.steps = 1500


def paper(config: Config, name: str, size: int) -> None:
    """The paper's scale on CelebA, with networks of `size` pixels."""
    config.name = name
    config.data.kind = "celeba"
    config.data.root = "celeba"
    config.data.size = size
    config.data.workers = 16
    config.perturber.hyper = {"width": 64, "depth": 5, "patch": 2}
    config.detectors = ("weights/xception.safetensors",)
    config.evaluate.detectors = tuple(
        f"weights/{name}.safetensors" for name in ("xception", "resnet18", "resnet50")
    )
    config.evaluate.photos = 100  # the paper's number
    config.evaluate.crop_sides = (size, 2 * size, 4 * size)
    config.channel.crop_sides = (178, 256, 512, 1024)
    config.dtype = "bfloat16"
    config.train.batch_size = 256
    config.train.steps = 20_000
    config.train.learning_rate = 2e-4
    config.train.warmup = 500
    config.train.log_every = 50
    config.train.checkpoint_every = 1000
