"""Landmarks: read strictly, found again in squares and mirrors, canonical without a list."""

import pathlib

import numpy as np
import pytest

from dfd_jax.data import faces, folders, landmarks, pipeline
from dfd_jax.data.images import Box

PORTRAITS = pathlib.Path(__file__).parents[3] / "shared" / "portraits"
COLUMNS = " ".join(landmarks.COLUMNS)
LINE = "69 111 109 111 89 138 69 151 109 151"


def write(folder, *lines):
    (folder / landmarks.LIST).write_text("\n".join(lines) + "\n")


class Dotted:
    """One photo of CelebA's size with a white dot of 5 pixels at a landmark of its own."""

    attribute_names = known_names = ("number",)
    points = np.array([(60, 100), (110, 102), (90, 130), (70, 150), (112, 148)], np.float32)

    def __len__(self):
        return len(self.points)

    def __getitem__(self, index):
        pixels = np.zeros((218, 178, 3), np.uint8)
        x, y = self.points[index].astype(int)
        pixels[y - 2 : y + 3, x - 2 : x + 3] = 255
        return faces.Face(pixels, np.array([index], np.float32), f"{index}.jpg")


def test_the_list_is_read_by_photo(tmp_path):
    write(tmp_path, "2", COLUMNS, f"a.jpg  {LINE}", "b.jpg 1 2 3 4 5 6 7 8 9 10.5", "")
    found = landmarks.read_landmarks(tmp_path)
    assert list(found) == ["a.jpg", "b.jpg"]
    np.testing.assert_array_equal(found["a.jpg"], landmarks.CANONICAL)
    np.testing.assert_array_equal(found["b.jpg"], [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10.5]])
    assert found["b.jpg"].dtype == np.float32


def test_a_folder_without_a_list_has_none(tmp_path):
    assert landmarks.read_landmarks(tmp_path) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["many", COLUMNS], "does not start with the number of photos"),
        (["0"], "does not start with the number of photos"),
        (["1", "x y", f"a.jpg {LINE}"], "expected the columns lefteye_x lefteye_y"),
        (["2", COLUMNS, f"a.jpg {LINE}"], "says 2 photos and lists 1"),
        (["1", COLUMNS, f"a.jpg {LINE} 3"], "expected a name and 10 numbers, found 'a.jpg"),
        (["1", COLUMNS, "a.jpg 1 2 3"], "expected a name and 10 numbers"),
        (["1", COLUMNS, f"a.jpg x{LINE}"], "expected a name and 10 numbers"),
        (["1", COLUMNS, f"a.jpg {LINE}".replace("138", "nan")], "expected a name and 10 numbers"),
        (["2", COLUMNS, f"a.jpg {LINE}", f"a.jpg {LINE}"], "lists a.jpg twice"),
    ],
)
def test_malformed_lists_are_refused(tmp_path, lines, message):
    write(tmp_path, *lines)
    with pytest.raises(ValueError, match=message) as caught:
        landmarks.read_landmarks(tmp_path)
    assert landmarks.LIST in str(caught.value)


def test_canonical_places_scale_with_the_aligned_square():
    np.testing.assert_allclose(landmarks.canonical(218, 178), landmarks.CANONICAL, atol=1e-5)
    lifted = landmarks.CANONICAL - [0, 20]  # the centred square starts 20 pixels down
    np.testing.assert_allclose(landmarks.canonical(178, 178), lifted, atol=1e-5)
    np.testing.assert_allclose(landmarks.canonical(89, 89), (lifted + 0.5) / 2 - 0.5, atol=1e-5)
    wide = landmarks.canonical(178, 278)
    np.testing.assert_allclose(wide, lifted + np.array([50, 0]), atol=1e-5)


def test_points_move_into_a_square_as_the_pixels_do():
    points = np.array([(19.5, 9.5), (20, 10), (0, 0), (1, 1), (2, 2)])
    found = landmarks.in_square(points, Box(left=10, top=0, side=20), 10)
    np.testing.assert_allclose(found[:2], [(4.5, 4.5), (4.75, 4.75)])


def test_mirroring_swaps_left_and_right():
    points = np.array([(10, 1), (30, 2), (21, 3), (12, 4), (28, 5)], np.float32)
    mirror = landmarks.mirrored(points, 40)
    np.testing.assert_array_equal(mirror, [(9, 2), (29, 1), (18, 3), (11, 5), (27, 4)])
    np.testing.assert_array_equal(landmarks.mirrored(mirror, 40), points)


@pytest.mark.parametrize("train", [False, True])
def test_batches_carry_the_points_that_their_pictures_show(train):
    dots = Dotted()
    source = landmarks.Landmarked(dots, {f"{i}.jpg": dots.points for i in range(5)})
    batches = pipeline.make_loader(source, batch_size=40 if train else 5, size=64, train=train)
    batch = next(batches)
    assert batch["points"].shape == (len(batch["images"]), 5, 2)
    assert batch["points"].dtype == np.float32
    y, x = np.mgrid[:64, :64]
    sides = set()
    for image, points, number in zip(*(batch[k] for k in ("images", "points", "attributes")),
                                     strict=True):  # fmt: skip
        weight = image[..., 0] / image[..., 0].sum()
        seen = np.array([(x * weight).sum(), (y * weight).sum()])
        away = np.linalg.norm(points - seen, axis=1)
        assert away.min() < 0.1
        assert points[0, 0] < points[1, 0]
        sides.add(int(away.argmin()) == int(number[0]))
    assert sides == ({True, False} if train else {True})


def test_sources_without_points_have_batches_without():
    assert "points" not in next(pipeline.make_loader(Dotted(), batch_size=2, size=8))


def test_photos_without_a_line_are_named_and_without_a_list_canonical():
    dots = Dotted()
    with pytest.raises(ValueError, match=r"has no line for 1\.jpg; add it"):
        landmarks.Landmarked(dots, {"0.jpg": dots.points})[1]
    source = landmarks.Landmarked(dots, None)
    np.testing.assert_allclose(source[0].points, landmarks.CANONICAL, atol=1e-5)
    assert (len(source), source.attribute_names, source.known_names) == (
        5, ("number",), ("number",),
    )  # fmt: skip


@pytest.mark.skipif(not PORTRAITS.exists(), reason="needs ../shared/portraits")
def test_real_photographs_have_their_pupils_where_the_alignment_puts_them():
    found = landmarks.read_landmarks(PORTRAITS)
    source = landmarks.Landmarked(folders.CelebaFolder(PORTRAITS, "test", ("Male",)), found)
    points = np.stack([source[i].points for i in range(10)])
    np.testing.assert_allclose(points[:, :2], np.tile(landmarks.CANONICAL[:2], (10, 1, 1)), atol=1)
    assert np.abs(points[:, 2:] - landmarks.CANONICAL[2:]).max() < 20
