"""First Order Motion Model (Siarohin et al. 2019): a photo moves as the face in a driving clip.

Keypoint detector and generator under the key names of the authors' PyTorch code. The sizes default
to the configuration of the published weights for faces, vox-256.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dfd_jax.models.generators.fomm.dense_motion import DenseMotion, Flow
from dfd_jax.models.generators.fomm.generator import Decoder, Encoder, Generator
from dfd_jax.models.generators.fomm.keypoints import HEAD_SIZE, KeypointDetector
from dfd_jax.models.generators.fomm.motion import KeyPoints


class FirstOrderMotionModel(nn.Module):
    """Photos in [0, 1] and the keypoints they should get → images in (0, 1), float32.

    The sides of an image must be multiples of `stride`, and leave the keypoint head 7 pixels.
    `align_corners=False` is what the authors' code computes on PyTorch 1.3 and later, True what it
    computed when the weights were published. `relative` and `adapt_movement_scale` say how a
    driving clip is followed, see motion.normalize_kp; the network itself does not use them.
    With `train` its batch norms use the batch's statistics and update the stored ones.
    """

    num_kp: int = 10
    estimate_jacobian: bool = True
    single_jacobian_map: bool = False
    temperature: float = 0.1
    kp_block_expansion: int = 32
    kp_num_blocks: int = 5
    kp_max_features: int = 1024
    kp_scale_factor: float = 0.25
    block_expansion: int = 64
    max_features: int = 512
    num_down_blocks: int = 2
    num_bottleneck_blocks: int = 6
    estimate_occlusion_map: bool = True
    motion_block_expansion: int = 64
    motion_num_blocks: int = 5
    motion_max_features: int = 1024
    motion_scale_factor: float = 0.25
    kp_variance: float = 0.01
    align_corners: bool = False
    relative: bool = True
    adapt_movement_scale: bool = True
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """The two networks, side by side as in the authors' files."""
        self.kp_detector = KeypointDetector(
            num_kp=self.num_kp,
            block_expansion=self.kp_block_expansion,
            num_blocks=self.kp_num_blocks,
            max_features=self.kp_max_features,
            factor=round(1 / self.kp_scale_factor),
            temperature=self.temperature,
            estimate_jacobian=self.estimate_jacobian,
            single_jacobian_map=self.single_jacobian_map,
            dtype=self.dtype,
        )
        self.generator = self._generator()

    def keypoints(self, images: Float[Array, "b h w 3"], train: bool = False) -> KeyPoints:
        """Keypoints of images in [0, 1]. ValueError if the sides do not fit the network."""
        self._check(images)
        return self.kp_detector(images, train)

    def encode(
        self, photos: Float[Array, "b h w 3"], train: bool = False
    ) -> Float[Array, "b h4 w4 c"]:
        """The generator's features of photos in [0, 1], the same for every frame."""
        self._check(photos)
        return self.generator.encode(photos, train)

    def flow(
        self,
        photos: Float[Array, "b h w 3"],
        source: KeyPoints,
        driving: KeyPoints,
        train: bool = False,
    ) -> Flow:
        """The dense motion that takes keypoints `source` of photos in [0, 1] to `driving`."""
        return self.generator.flow(photos, source, driving, train)

    def decode(
        self, features: Float[Array, "b h4 w4 c"], flow: Flow, train: bool = False
    ) -> Float[Array, "b h w 3"]:
        """Images in (0, 1): the features of `encode`, moved along the flow."""
        return self.generator.decode(features, flow, train)

    def deform(self, images: Float[Array, "b h w c"], flow: Flow) -> Float[Array, "b h w c"]:
        """Images looked up where the flow says: what of a photo is only moved."""
        return self.generator.deform(images, flow)

    def __call__(
        self, photos: Float[Array, "b h w 3"], driving: KeyPoints, source: KeyPoints | None = None
    ) -> Float[Array, "b h w 3"]:
        """Photos in [0, 1] with keypoints `source` (default: detected) moved to `driving`."""
        source = self.keypoints(photos) if source is None else source
        return self.decode(self.encode(photos), self.flow(photos, source, driving))

    def example_inputs(self, size: int) -> tuple[Array, KeyPoints]:
        """An image of zeros and keypoints in its middle, batch of one."""
        jacobian = jnp.broadcast_to(jnp.eye(2), (1, self.num_kp, 2, 2))
        middle = jnp.zeros((1, self.num_kp, 2))
        points = KeyPoints(middle, jacobian if self.estimate_jacobian else None)
        return jnp.zeros((1, size, size, 3)), points

    def initial_arrays(self) -> dict[str, np.ndarray]:
        """First values other than usual, by `/`-joined names: every Jacobian is the identity."""
        if not self.estimate_jacobian:
            return {}
        maps = 1 if self.single_jacobian_map else self.num_kp
        head = "params/kp_detector/jacobian"
        inputs = min(self.kp_max_features, self.kp_block_expansion) + 3
        return {
            f"{head}/kernel": np.zeros((HEAD_SIZE, HEAD_SIZE, inputs, 4 * maps), np.float32),
            f"{head}/bias": np.tile(np.eye(2, dtype=np.float32).reshape(4), maps),
        }

    @property
    def stride(self) -> int:
        """What the sides of an image must be a multiple of."""
        return max(
            round(2**self.kp_num_blocks / self.kp_scale_factor),
            round(2**self.motion_num_blocks / self.motion_scale_factor),
            2**self.num_down_blocks,
        )

    def _generator(self) -> Generator:
        sizes = {
            "block_expansion": self.block_expansion,
            "num_down_blocks": self.num_down_blocks,
            "max_features": self.max_features,
            "dtype": self.dtype,
        }
        return Generator(
            encoder=Encoder(**sizes),
            dense_motion_network=DenseMotion(
                block_expansion=self.motion_block_expansion,
                num_blocks=self.motion_num_blocks,
                max_features=self.motion_max_features,
                factor=round(1 / self.motion_scale_factor),
                kp_variance=self.kp_variance,
                estimate_occlusion_map=self.estimate_occlusion_map,
                align_corners=self.align_corners,
                dtype=self.dtype,
            ),
            decoder=Decoder(num_bottleneck_blocks=self.num_bottleneck_blocks, **sizes),
            align_corners=self.align_corners,
        )

    def _check(self, images: Float[Array, "b h w 3"]) -> None:
        h, w = images.shape[1:3]
        smallest = HEAD_SIZE * round(1 / self.kp_scale_factor)
        if h % self.stride or w % self.stride or min(h, w) < smallest:
            raise ValueError(
                f"images of {h} x {w} pixels: this First Order Motion Model needs sides that are "
                f"multiples of {self.stride} and at least {smallest}; choose another input_size"
            )
