"""Xception on a TPU: maps in spatial-major layout (spatial_major.py)."""

from jaxtyping import Array, Float

from dfd_jax.models.detectors import xception
from dfd_jax.models.tpu import spatial_major
from dfd_jax.models.tpu.layers import GroupBatchNorm, Kernel
from dfd_jax.models.tpu.pooling import max_pool_3x3


class Xception(xception.Xception):
    """`xception.Xception`; all maps are [h, w, b, c] inside, and leave in the usual layout."""

    def blocks(self, x: Float[Array, "b h w 3"], train: bool) -> dict[str, Array]:
        """Stages in the usual layout."""
        outputs = super().blocks(x, train)
        return {name: spatial_major.to_images(output) for name, output in outputs.items()}

    def stem(self, x: Float[Array, "b h w 3"], train: bool) -> Float[Array, "h2 w2 b c"]:
        """At inference by groups of pixels."""
        if train:
            return spatial_major.from_images(super().stem(x, train))
        (first, second), columns = self.channels[:2], (x.shape[2] - 1) // 2
        kernel = Kernel((3, 3, x.shape[-1], first), dtype=self.dtype, name="conv1")()
        x = spatial_major.conv_to_groups(x.astype(self.dtype), kernel)
        pixels = spatial_major.per_group(kernel)
        x = self.relu(GroupBatchNorm(pixels, dtype=self.dtype, name="bn1")(x))
        kernel = Kernel((3, 3, first, second), dtype=self.dtype, name="conv2")()
        return self.relu(
            self.norm("bn2", spatial_major.conv_from_groups(x, kernel, columns), train)
        )

    def block(
        self,
        name: str,
        x: Float[Array, "h w b c"],
        features: tuple[int, ...],
        stride: int,
        train: bool,
        relu_first: bool = True,
    ) -> Float[Array, "h2 w2 b d"]:
        """As in the usual layout, but for what `separable` has to know."""
        y, index = x, 0
        for number, wide in enumerate(features):
            if relu_first or number:
                y, index = self.relu(y), index + 1
            # Both branches need the gradient of the first one; where stride is 2, maps are large.
            in_place = number > 0 and stride == 1
            y = self.separable(f"{name}.rep.{index}", y, wide, in_place)
            y = self.norm(f"{name}.rep.{index + 1}", y, train)
            index += 2
        if stride == 2:
            y = max_pool_3x3(y)
        if stride != 1 or x.shape[-1] != y.shape[-1]:
            shape = (1, 1, x.shape[-1], y.shape[-1])
            kernel = Kernel(shape, dtype=self.dtype, name=f"{name}.skip")()
            x = self.norm(f"{name}.skipbn", x[::stride, ::stride] @ kernel[0, 0], train)
        return x + y

    def separable(
        self, name: str, x: Float[Array, "h w b c"], features: int, in_place: bool | None = None
    ) -> Float[Array, "h w b d"]:
        """`in_place`: x is read here alone, and is the output of a separable convolution."""
        in_place = name == "conv4" if in_place is None else in_place
        channels = x.shape[-1]
        depthwise = Kernel((3, 3, 1, channels), name=f"{name}.conv1")()
        pointwise = Kernel((1, 1, channels, features), name=f"{name}.pointwise")()
        return spatial_major.separable(x, depthwise, pointwise, before_product=in_place)

    def relu(self, x: Array) -> Array:
        """ReLU."""
        return spatial_major.relu(x)
