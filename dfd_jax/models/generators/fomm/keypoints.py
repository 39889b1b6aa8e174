"""The keypoint detector: where the parts of a face are and how the motion around each is bent."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfd_jax.models import warp
from dfd_jax.models.generators.fomm.blocks import Hourglass, convolution
from dfd_jax.models.generators.fomm.motion import KeyPoints

HEAD_SIZE = 7  # of the last convolution, which has no padding


class KeypointDetector(nn.Module):
    """Images in [0, 1] → keypoints, float32.

    A keypoint is the mean position under a heat map, its Jacobian the mean of four maps under it.
    """

    num_kp: int
    block_expansion: int
    num_blocks: int
    max_features: int
    factor: int  # by which images are shrunk first
    temperature: float
    estimate_jacobian: bool
    single_jacobian_map: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"], train: bool = False) -> KeyPoints:
        x = warp.shrink(x, self.factor)
        self.sow("intermediates", "down", x)
        x = Hourglass(
            self.block_expansion, self.num_blocks, self.max_features, self.dtype, name="predictor"
        )(x, train)
        logits = convolution(self.num_kp, HEAD_SIZE, 0, self.dtype, "kp")(x)
        b, h, w, k = logits.shape
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32)).reshape(b, h * w, k)
        heat = jax.nn.softmax(logits / self.temperature, axis=1)
        grid = jnp.asarray(warp.identity_grid(h, w), heat.dtype).reshape(h * w, 1, 2)
        value = (heat[..., None] * grid).sum(1)
        if not self.estimate_jacobian:
            return KeyPoints(value)
        maps = 1 if self.single_jacobian_map else k
        bent = convolution(4 * maps, HEAD_SIZE, 0, self.dtype, "jacobian")(x)
        bent = bent.astype(heat.dtype).reshape(b, h * w, maps, 2, 2)
        return KeyPoints(value, (heat[..., None, None] * bent).sum(1))
