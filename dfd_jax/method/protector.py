"""From a photo and a perturber to the protected photo, for `protect` and for evaluations.

P gets a square of the photo, resized to the size it was trained for. Its output is upsampled to the
square, bounded, and added at the photo's own resolution, so the network's cost does not depend on
the photo's size.
"""

from collections.abc import Iterable, Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Float32, UInt8

from dfd_jax import pixels
from dfd_jax.data.images import Box, centre_box, input_crop
from dfd_jax.method import channel
from dfd_jax.method.budget import BOUNDS, Budget, apply_to_pixels
from dfd_jax.models.frozen import Perturber
from dfd_jax.runtime import sharding


class Protector:
    """Protects 8-bit photos with a perturber, on this process's devices or those of `mesh`.

    `batch_size` photos go through the network at once; it is rounded up to a multiple of the number
    of devices. Smaller batches are padded, so there is one compilation. ValueError if the
    perturber's card has no usable budget.
    """

    def __init__(
        self,
        perturber: Perturber,
        batch_size: int = 8,
        mesh: Mesh | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch size is {batch_size}, expected at least 1")
        self.budget = _budget(perturber)
        self.input_size = perturber.card.input_size
        self._mesh = sharding.make_mesh(jax.local_devices()) if mesh is None else mesh
        count = self._mesh.devices.size
        self.batch_size = -(-batch_size // count) * count
        self._perturber = sharding.replicate(perturber, self._mesh)

    def crop(
        self, photo: UInt8[np.ndarray, "h w 3"], box: Box | None = None
    ) -> UInt8[np.ndarray, "s s 3"]:
        """P's input: the square `box` (None: the largest centred one), by images.input_crop.

        ValueError if the box is not inside the photo.
        """
        return input_crop(photo, box or centre_box(*photo.shape[:2]), self.input_size)

    def outputs(self, crops: UInt8[np.ndarray, "b s s 3"]) -> Float32[np.ndarray, "b s s 3"]:
        """P's unbounded output for each crop. Any number of crops, none included."""
        if crops.shape[1:3] != (self.input_size, self.input_size):
            raise ValueError(
                f"crops are {crops.shape[1]} x {crops.shape[2]} pixels, but the perturber takes "
                f"{self.input_size} x {self.input_size}: make them with Protector.crop"
            )
        raw = np.empty(crops.shape, np.float32)
        for start in range(0, len(crops), self.batch_size):
            batch = crops[start : start + self.batch_size]
            missing = self.batch_size - len(batch)
            padded = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
            shards = sharding.shard_batch({"crops": padded}, self._mesh)
            computed = np.asarray(outputs(self._perturber, shards["crops"]))
            raw[start : start + len(batch)] = computed[: len(batch)]
        return raw

    def apply(
        self,
        photo: UInt8[np.ndarray, "h w 3"],
        box: Box,
        raw: Float32[np.ndarray, "s s 3"],
    ) -> UInt8[np.ndarray, "h w 3"]:
        """The photo with P's output `raw` added in the square `box`; the rest is unchanged.

        With a hard bound no pixel changes by more than eps_255 levels.
        """
        protected = photo.copy()
        square = protected[box.top : box.top + box.side, box.left : box.left + box.side]
        for rows, delta in channel.perturbation_strips(raw, box.side, self.budget):
            square[rows] = apply_to_pixels(square[rows], delta, self.budget)
        return protected

    def protect_many(
        self,
        photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
        boxes: Iterable[Box | None] | None = None,
    ) -> list[UInt8[np.ndarray, "_ _ 3"]]:
        """Photos of any sizes, protected. A box of None is the largest centred square."""
        given = [None] * len(photos) if boxes is None else list(boxes)
        chosen = [
            box or centre_box(*photo.shape[:2]) for photo, box in zip(photos, given, strict=True)
        ]
        crops = [self.crop(photo, box) for photo, box in zip(photos, chosen, strict=True)]
        if not crops:
            return []
        raw = self.outputs(np.stack(crops))
        return [self.apply(*each) for each in zip(photos, chosen, raw, strict=True)]


def _budget(perturber: Perturber) -> Budget:
    card = perturber.card
    if not card.budget:
        raise ValueError(
            f"{card.model}: the card has no budget, so how strong the delta may be is unknown. "
            "Use the perturber.safetensors that a training run exports."
        )
    unknown = set(card.budget) - set(Budget._fields)
    if unknown:
        raise ValueError(f"{card.model}: the card's budget has unknown fields {sorted(unknown)}")
    budget = Budget(**card.budget)
    if budget.bound not in BOUNDS or not budget.eps_255 > 0:
        raise ValueError(
            f"{card.model}: the card's budget is {budget}, expected one of the bounds "
            f"{', '.join(BOUNDS)} and a positive eps_255"
        )
    return budget


@jax.jit
def outputs(perturber: Perturber, crops: UInt8[Array, "b s s 3"]) -> Float[Array, "b s s 3"]:
    """P's raw output for a batch of crops of the input size."""
    return perturber(pixels.from_uint8(crops))
