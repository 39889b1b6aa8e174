"""The multi-attentional deepfake detector (Zhao et al. 2021, arXiv 2103.02406).

Attention maps from a deep stage of a backbone say where to look; textures there are taken from a
shallow stage. Submodules carry the key names of the authors' PyTorch code (`net._blocks.3…`,
`texture_enhance.conv1`), whose second version of texture enhancement is the one that was released.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dfd_jax.models import operations, resampling
from dfd_jax.models.detectors.efficientnet import EfficientNet
from dfd_jax.models.detectors.xception import Xception
from dfd_jax.models.layers import BatchNorm, Conv

BACKBONES = ("efficientnet", "xception")
MASK_SIZE, MASK_BORDER = 24, 2  # attention is off in this border of a map of this size
DENSE_LAYERS = 3  # convolutions of texture enhancement that see all that came before
SMALL = 1e-8  # keeps quotients finite


class Parts(NamedTuple):
    """What the detector sees and concludes; its training needs more than the logits."""

    logits: Float[Array, "b num_classes"]
    attentions: Float[Array, "b h w maps"]  # >= 0, 0 at the border
    regions: Float[Array, "b maps c"]  # normalised pooled textures of each map, unit vectors


class MultiAttentional(nn.Module):
    """Normalised images → class logits, float32. The default is the released configuration.

    `channels` and `depths` are those of the backbone (`Xception.channels` and one number, its
    middle blocks); (): its full size. `feature_layer` and `attention_layer` name stages of it.
    Images must be large enough for the attention layer to have two pixels a side. ValueError if
    the backbone or a layer is unknown.
    """

    backbone: str = "efficientnet"
    channels: tuple[int, ...] = ()
    depths: tuple[int, ...] = ()
    feature_layer: str = "b2"
    attention_layer: str = "b5"
    maps: int = 4
    mid_dims: int = 256
    num_classes: int = 2
    dropout: float = 0.25  # of whole attention maps
    final_dropout: float = 0.5  # of the pooled final features
    dtype: Any = jnp.float32

    def __call__(
        self, x: Float[Array, "b h w 3"], train: bool = False
    ) -> Float[Array, "b num_classes"]:
        return self.parts(x, train).logits

    @nn.compact
    def parts(self, x: Float[Array, "b h w 3"], train: bool) -> Parts:
        """Logits, and what the training losses are made of."""
        features, deep, final = self._stages(x, train)
        attentions = AttentionMaps(self.maps, self.dtype, name="attentions")(deep, train)
        textures, coarse = TextureEnhancement(self.maps, self.dtype, name="texture_enhance")(
            features, attentions, train
        )
        matrix = _unit_vectors(pool(textures, attentions))
        self.sow("intermediates", "feature_matrix", matrix)
        whole_map = nn.Dropout(self.dropout, deterministic=not train)
        kept = whole_map(jnp.ones_like(matrix[..., :1]))
        local = (matrix * kept).reshape(len(x), -1)
        local = nn.hard_swish(self._dense("projection_local.0", local, self.mid_dims))
        local = nn.hard_swish(self._dense("projection_local.2", local, self.mid_dims))
        overall = self._pool_final(final, (attentions * kept[:, None, None, :, 0]).sum(-1), train)
        joined = jnp.concatenate([local, overall], -1)
        joined = nn.hard_swish(self._dense("ensemble_classifier_fc.0", joined, self.mid_dims))
        logits = self._dense("ensemble_classifier_fc.2", joined, self.num_classes)
        regions = _unit_vectors(pool(_standardised(coarse)[..., None, :], attentions))
        return Parts(logits.astype(jnp.float32), attentions, regions)

    def example_inputs(self, size: int) -> tuple[Array]:
        """An image of zeros, batch of one."""
        return (jnp.zeros((1, size, size, 3)),)

    def _stages(self, x: Array, train: bool) -> tuple[Array, Array, Array]:
        """The backbone's features for textures, for attention, and its last ones."""
        if self.backbone not in BACKBONES:
            known = ", ".join(BACKBONES)
            raise ValueError(
                f"MultiAttentional: unknown backbone {self.backbone!r}; known: {known}"
            )
        sizes: dict[str, Any] = {"channels": self.channels} if self.channels else {}
        if self.backbone == "xception":
            sizes |= {"middle_blocks": self.depths[0]} if self.depths else {}
            net = Xception(**sizes, num_classes=self.num_classes, dtype=self.dtype, name="net")
        else:
            sizes |= {"depths": self.depths} if self.depths else {}
            sizes |= {"padding": "nominal", "num_classes": self.num_classes}
            net = EfficientNet(**sizes, dtype=self.dtype, name="net")
        stages = net.stages(x, train)
        for name in (self.feature_layer, self.attention_layer):
            if name not in stages or name == "logits":
                known = ", ".join(n for n in stages if n != "logits")
                raise ValueError(f"MultiAttentional: no stage {name!r} in {self.backbone}: {known}")
        picked = (stages[self.feature_layer], stages[self.attention_layer], stages["final"])
        for name, array in zip(("features", "deep_features", "final"), picked, strict=True):
            self.sow("intermediates", name, array)
        return picked

    def _pool_final(self, final: Array, attention: Array, train: bool) -> Array:
        """The last features where the maps together look: [b mid_dims]."""
        attention = resampling.bilinear_aligned(attention[..., None], *final.shape[1:3]) + SMALL
        pooled = pool(final[..., None, :], attention) / attention.sum((1, 2))[..., None]
        self.sow("intermediates", "final_pooled", pooled)
        pooled = nn.Dropout(self.final_dropout, deterministic=not train)(pooled[:, 0])
        return nn.hard_swish(self._dense("project_final", pooled, self.mid_dims))

    def _dense(self, name: str, x: Array, features: int) -> Array:
        return nn.Dense(features, dtype=self.dtype, name=name)(x)


class AttentionMaps(nn.Module):
    """Deep features → attention maps, at least 0, and 0 at the border. float32."""

    maps: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h w maps"]:
        x = Conv(x.shape[-1], 3, 1, (1, 1), True, dtype=self.dtype, name="conv_extract")(x)
        x = nn.relu(BatchNorm(dtype=self.dtype, name="bn1")(x, train))
        x = Conv(self.maps, 1, dtype=self.dtype, name="conv2")(x)
        x = BatchNorm(dtype=self.dtype, name="bn2")(x, train)
        x = nn.elu(x.astype(jnp.promote_types(x.dtype, jnp.float32))) + 1
        mask = jnp.asarray(border_mask(), x.dtype)[None, :, :, None]
        return x * resampling.nearest(mask, *x.shape[1:3])


class TextureEnhancement(nn.Module):
    """Shallow features → for every map, the fine texture where it looks; and what was taken away.

    The local means over the attention's pixels are taken off, the rest is weighted by tanh of each
    map, through which no gradient flows, and goes through a densely connected block per map.
    """

    maps: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], attentions: Float[Array, "b h2 w2 maps"], train: bool
    ) -> tuple[Float[Array, "b h w maps c"], Float[Array, "b h2 w2 c"]]:
        h, w, c = x.shape[1:]
        x = Conv(c, 3, 1, (1, 1), True, dtype=self.dtype, name="conv_extract")(x)
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        coarse = resampling.adaptive_average(wide, *attentions.shape[1:3])
        self.sow("intermediates", "coarse", coarse)
        if h > coarse.shape[1]:
            wide -= resampling.nearest(coarse, h, w)
        weights = jnp.tanh(resampling.bilinear_aligned(jax.lax.stop_gradient(attentions), h, w))
        x = (wide[..., None, :] * weights[..., None]).astype(self.dtype)
        x = self._conv("conv0", x, c, 5)
        for number in range(1, DENSE_LAYERS + 1):
            y = nn.relu(self._norm(f"bn{number}", x, train))
            x = jnp.concatenate([x, self._conv(f"conv{number}", y, c, 3)], -1)
        x = self._conv("conv_last", nn.relu(self._norm("bn4", x, train)), c, 1)
        x = nn.relu(self._norm("bn_last", x, train))
        self.sow("intermediates", "textures", x)
        return x, coarse

    def _conv(self, name: str, x: Array, features: int, size: int) -> Array:
        return MapwiseConv(features, size, self.dtype, name=name)(x)

    def _norm(self, name: str, x: Array, train: bool) -> Array:
        flat = x.reshape(*x.shape[:3], -1)
        return BatchNorm(dtype=self.dtype, name=name)(flat, train).reshape(x.shape)


class MapwiseConv(nn.Module):
    """A convolution of its own for every map: a grouped convolution, one group per map."""

    features: int
    size: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w m c"]) -> Float[Array, "b h w m features"]:
        maps, channels = x.shape[-2:]
        shape = (self.size, self.size, channels, maps * self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, shape[-1:])
        y = operations.grouped_conv(x.astype(self.dtype), kernel.astype(self.dtype))
        return y + bias.reshape(maps, -1).astype(self.dtype)


def border_mask() -> Float[np.ndarray, "24 24"]:
    """Where attention is allowed: 1 inside, 0 in the border. Resized to the size of the maps."""
    return np.pad(np.ones((MASK_SIZE - 2 * MASK_BORDER,) * 2, np.float32), MASK_BORDER)


def pool(
    features: Float[Array, "b h w m c"], attentions: Float[Array, "b h2 w2 maps"]
) -> Float[Array, "b maps c"]:
    """Bilinear attention pooling: the sum of the features, weighted by each map.

    The features are those of each map, or, with m = 1, the same for all maps.
    """
    attentions = resampling.bilinear_aligned(attentions, *features.shape[1:3])
    return (attentions[..., None] * features).sum((1, 2))


def _unit_vectors(x: Array) -> Array:
    """Vectors along the last axis with norm 1; the zero vector stays zero, with gradient 0."""
    squares = jnp.square(x).sum(-1, keepdims=True)
    is_zero = squares <= 1e-24
    return jnp.where(is_zero, 0, x * jax.lax.rsqrt(jnp.where(is_zero, 1, squares)))


def _standardised(maps: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Each channel of each image with mean 0 and (unbiased) variance 1 over its pixels."""
    count = maps.shape[1] * maps.shape[2]
    centred = maps - maps.mean((1, 2), keepdims=True)
    variance = jnp.square(centred).sum((1, 2), keepdims=True) / max(count - 1, 1)
    is_flat = variance == 0
    deviation = jnp.sqrt(jnp.where(is_flat, 1, variance))  # its gradient is not finite at 0
    return centred / (jnp.where(is_flat, 0, deviation) + SMALL)
