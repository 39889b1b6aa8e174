"""Dense motion: from a few keypoints to the place in the photo that each pixel comes from."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models import warp
from dfd_jax.models.generators.fomm.blocks import Hourglass, convolution
from dfd_jax.models.generators.fomm.motion import KeyPoints, inverse_2x2, matmul_2x2


class Flow(NamedTuple):
    """Where pixels come from and how visible they are, at the resolution of the dense motion."""

    deformation: Float[Array, "b h w 2"]  # positions (x, y) in the photo, see warp.grid_sample
    occlusion_map: Float[Array, "b h w 1"] | None  # 1 can be seen in the photo, 0 is made up
    mask: Float[Array, "b h w m"]  # share of each motion: background first, then the keypoints


class DenseMotion(nn.Module):
    """A photo in [0, 1], its keypoints and those it should get → flow, float32."""

    block_expansion: int
    num_blocks: int
    max_features: int
    factor: int
    kp_variance: float
    estimate_occlusion_map: bool
    align_corners: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        photos: Float[Array, "b h w 3"],
        source: KeyPoints,
        driving: KeyPoints,
        train: bool = False,
    ) -> Flow:
        photos = warp.shrink(photos, self.factor)
        self.sow("intermediates", "down", photos)
        b, h, w = photos.shape[:3]
        motions = sparse_motions(h, w, source, driving)
        moved = warp.grid_sample(photos, motions.reshape(b, -1, w, 2), self.align_corners)
        moved = jnp.moveaxis(moved.reshape(*motions.shape[:4], 3), 1, 3)
        self.sow("intermediates", "sparse_deformed", moved)
        heat = heat_differences(h, w, source, driving, self.kp_variance).astype(moved.dtype)
        x = jnp.concatenate([heat[..., None], moved], axis=-1)
        x = x.reshape(b, h, w, -1)  # (heat, r, g, b) of the background, then of each keypoint
        x = Hourglass(
            self.block_expansion, self.num_blocks, self.max_features, self.dtype, name="hourglass"
        )(x, train)
        wide = motions.dtype
        mask = convolution(motions.shape[1], 7, 3, self.dtype, "mask")(x).astype(wide)
        mask = jax.nn.softmax(mask, axis=-1)
        deformation = (motions * jnp.moveaxis(mask, -1, 1)[..., None]).sum(1)
        self.sow("intermediates", "deformation", deformation)
        if not self.estimate_occlusion_map:
            return Flow(deformation, None, mask)
        occlusion = convolution(1, 7, 3, self.dtype, "occlusion")(x).astype(wide)
        return Flow(deformation, jax.nn.sigmoid(occlusion), mask)


def sparse_motions(
    height: int, width: int, source: KeyPoints, driving: KeyPoints
) -> Float[Array, "b m h w 2"]:
    """Where pixels come from if all move as the background (not at all), or as one keypoint does.

    Around a keypoint a motion is its first-order expansion (Siarohin et al., Sec. 3.1): the shift
    of the keypoint itself, and the Jacobian J_source J_driving⁻¹.
    """
    grid = jnp.asarray(warp.identity_grid(height, width), driving.value.dtype)
    offsets = grid - driving.value[:, :, None, None]
    if source.jacobian is not None and driving.jacobian is not None:
        jacobian = matmul_2x2(source.jacobian, inverse_2x2(driving.jacobian))[:, :, None, None]
        offsets = (jacobian * offsets[..., None, :]).sum(-1)
    motions = offsets + source.value[:, :, None, None]
    background = jnp.broadcast_to(grid, (len(motions), 1, *grid.shape))
    return jnp.concatenate([background, motions], axis=1)


def heat_differences(
    height: int, width: int, source: KeyPoints, driving: KeyPoints, variance: float
) -> Float[Array, "b h w m"]:
    """Gaussian bumps at the driving keypoints minus those at the source's; background: zeros."""
    grid = jnp.asarray(warp.identity_grid(height, width), driving.value.dtype)

    def bumps(points: KeyPoints) -> Float[Array, "b h w k"]:
        squares = jnp.square(grid[:, :, None] - points.value[:, None, None]).sum(-1)
        return jnp.exp(-squares / (2 * variance))

    differences = bumps(driving) - bumps(source)
    return jnp.pad(differences, ((0, 0), (0, 0), (0, 0), (1, 0)))
