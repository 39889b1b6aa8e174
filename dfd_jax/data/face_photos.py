"""Photos with the box of the face in each, and the crops that networks get."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from dfd_jax.data import images
from dfd_jax.data.faces import Face
from dfd_jax.data.images import Box

Pixels = UInt8[np.ndarray, "_ _ 3"]
Crops = dict[int, UInt8[np.ndarray, "_ _ _ 3"]]  # by their side


class FacePhotos(NamedTuple):
    """Photos, the square in each that networks get, and the attributes of each face."""

    photos: list[Pixels]
    boxes: list[Box]
    attributes: Float[np.ndarray, "n a"]

    @classmethod
    def from_faces(cls, faces: Sequence[Face], crop: int | None) -> "FacePhotos":
        """Whole photos; the box is the centred square of side `crop` (None: the largest)."""
        boxes = [
            images.centre_box(face.pixels.shape[0], face.pixels.shape[1], crop) for face in faces
        ]
        return cls([f.pixels for f in faces], boxes, np.stack([f.attributes for f in faces]))

    def resampled(self, side: int) -> "FacePhotos":
        """The crops alone, as photos of `side` x `side` pixels."""
        boxes = [Box(0, 0, side)] * len(self.photos)
        return FacePhotos(list(self.crops(side)), boxes, self.attributes)

    def pick(self, picked: slice) -> "FacePhotos":
        """Some of the photos."""
        return FacePhotos(self.photos[picked], self.boxes[picked], self.attributes[picked])

    def crops(self, size: int) -> UInt8[np.ndarray, "n s s 3"]:
        """What an attacker makes of every photo: the crop at `size` x `size` pixels, by Pillow."""
        pairs = zip(self.photos, self.boxes, strict=True)
        return np.stack([images.crop_resize(photo, box, size) for photo, box in pairs])

    def crops_of(self, sizes: Sequence[int]) -> Crops:
        """Every crop at each of these sizes."""
        return {size: self.crops(size) for size in sizes}
