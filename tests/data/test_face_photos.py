"""Face photos: the crops that networks get, at any size, and the same faces in other files."""

import numpy as np
import pytest

from dfd_jax.data import images
from dfd_jax.data.face_photos import FacePhotos
from dfd_jax.data.faces import Face


@pytest.fixture
def face_photos() -> FacePhotos:
    rng = np.random.default_rng(0)
    shapes = [(40, 30, 3), (30, 50, 3), (32, 32, 3)]
    pictures = [rng.integers(0, 256, shape, np.uint8) for shape in shapes]
    faces = [Face(p, np.array([i], np.float32), str(i)) for i, p in enumerate(pictures)]
    return FacePhotos.from_faces(faces, 24)


def test_a_crop_at_the_boxs_own_size_is_the_pixels_in_the_box(face_photos: FacePhotos) -> None:
    pairs = zip(face_photos.photos, face_photos.boxes, strict=True)
    expected = [images.cropped(photo, box) for photo, box in pairs]
    np.testing.assert_array_equal(face_photos.crops(24), expected)


def test_resampled_photos_are_their_own_crops(face_photos: FacePhotos) -> None:
    small = face_photos.resampled(16)
    assert {photo.shape for photo in small.photos} == {(16, 16, 3)}
    np.testing.assert_array_equal(small.crops(16), face_photos.crops(16))
    np.testing.assert_array_equal(small.attributes, face_photos.attributes)


def test_picked_photos_keep_their_boxes_and_attributes(face_photos: FacePhotos) -> None:
    picked = face_photos.pick(slice(1, None, 2))
    np.testing.assert_array_equal(picked.crops(8), face_photos.crops(8)[1::2])
    assert picked.attributes.tolist() == [[1.0]]
