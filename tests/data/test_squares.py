"""What networks get of a photo: Pillow's resize but for a level, from fewer decoded pixels."""

import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dfd_jax.data import jpeg, pipeline, squares
from dfd_jax.data.folders import PhotoFolder
from dfd_jax.data.images import UnreadableImage, centre_box, input_crop, read_rgb, read_square


def smooth(height: int, width: int, seed: int = 0) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)


def save(path: pathlib.Path, image: Image.Image, **options) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def cut(path: pathlib.Path, size: int, crop: int | None) -> np.ndarray:
    whole = read_rgb(path)
    return input_crop(whole, centre_box(*whole.shape[:2], crop), size)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("crop", [None, 50])
@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.jpg", "RGB", {}),
        ("a.png", "RGBA", {}),
        ("a.jpg", "L", {}),
        ("a.jpg", "CMYK", {}),
        ("a.gif", "P", {}),
        ("a.jpg", "RGB", {"exif": turned(6)}),
    ],
)
def test_a_square_is_that_of_the_whole_photo_bit_for_bit(tmp_path, name, mode, options, crop):
    path = save(tmp_path / name, smooth(97, 71).convert(mode), **options)
    for size in (8, 33, 120):
        assert np.array_equal(read_square(path, size, crop), cut(path, size, crop))


@pytest.mark.parametrize(("height", "width"), [(218, 178), (301, 455), (1024, 768)])
@pytest.mark.parametrize("crop", [None, 178])
def test_a_reduced_square_is_nearly_the_same_wherever_it_lies(tmp_path, height, width, crop):
    path = save(tmp_path / "a.jpg", smooth(height, width), quality=95)
    exact, reduced = cut(path, 40, crop), read_square(path, 40, crop, reduced=True)
    difference = reduced.astype(int) - exact
    assert 0 < np.abs(difference).max() <= 12
    assert np.abs(difference).mean() < 1  # half a pixel aside it would be 2 and more


def decoded_sizes(monkeypatch) -> list[tuple[int, int]]:
    """Width and height of all plain JPEG files that are decoded from now on."""
    sizes, real = [], jpeg.decode

    def watched(*arguments):
        pixels = real(*arguments)
        sizes.append(pixels.shape[1::-1])
        return pixels

    monkeypatch.setattr(jpeg, "decode", watched)
    return sizes


def test_no_more_is_decoded_than_the_square_needs(tmp_path, monkeypatch):
    path = save(tmp_path / "a.jpg", smooth(400, 320))
    sizes = decoded_sizes(monkeypatch)
    for size in (320, 161, 160, 80, 79, 40, 10):
        assert read_square(path, size, reduced=True).shape == (size, size, 3)
    whole, half, quarter, eighth = (320, 400), (160, 200), (80, 100), (40, 50)
    assert sizes == [whole, whole, half, quarter, quarter, eighth, eighth]
    read_square(path, 40, 80, reduced=True)
    assert sizes[-1] == half


@pytest.mark.parametrize("quality", [30, 95])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_plain_jpeg_has_the_pixels_that_pillow_finds(tmp_path, mode, subsampling, quality):
    options = {"quality": quality, "progressive": quality == 30}
    options |= {"subsampling": subsampling} if mode == "RGB" else {}
    for height, width in ((97, 71), (16, 16), (218, 178)):
        path = save(tmp_path / "a.jpg", smooth(height, width).convert(mode), **options)
        content = path.read_bytes()
        assert jpeg.plain_size(content) == (height, width)
        for scale in (1, 2, 4, 8):
            with Image.open(path) as image:
                image.draft(None, (width // scale, height // scale))
                expected = np.array(image.convert("RGB"))
            found = jpeg.decode(content, jpeg.Size(height, width), scale)
            if found is None:
                assert min(expected.shape[:2]) < 8
            else:
                np.testing.assert_array_equal(found, expected)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90), st.just(3)),
    st.integers(1, 70),
    st.tuples(*[st.integers(0, 16)] * 3),
    st.integers(0, 9),
)
def test_resizing_is_pillows_but_for_a_level(shape, size, sixteenths, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    height, width, _ = shape
    side = max(min(height, width) * sixteenths[0] / 16, 0.5)
    left, top = (width - side) * sixteenths[1] / 16, (height - side) * sixteenths[2] / 16
    found = squares.input_square(pixels, left, top, side, size)
    corners = (left, top, left + side, top + side)
    image = Image.fromarray(pixels)
    expected = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, corners))
    assert found.shape == (size, size, 3)
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("has_simd", [True, False])
def test_squares_outside_of_the_photo_are_refused_on_any_processor(monkeypatch, has_simd):
    if not has_simd:
        monkeypatch.setattr(squares, "simd", None)
    pixels = np.array(smooth(40, 30))
    assert squares.input_square(pixels, 0, 10, 30, 8).shape == (8, 8, 3)
    for left, top, side in ((-1, 0, 10), (0, 31, 10), (21, 0, 10), (0, 0, 0), (0, 0, 31)):
        with pytest.raises(ValueError, match="does not lie inside a photo of 30 x 40 pixels"):
            squares.input_square(pixels, left, top, side, 8)


def test_unusual_headers_give_the_same_pixels(tmp_path):
    content = save(tmp_path / "a.jpg", smooth(40, 30)).read_bytes()
    after_the_scan = content[:-2] + b"\xff\xfe\x00\x08Exif\0\0" + content[-2:]
    padded = content[:2] + b"\xff" + content[2:]  # a marker may have more than one ff before it
    for other in (after_the_scan, padded):
        assert np.array_equal(read_rgb("a.jpg", other), read_rgb("a.jpg", content))


def test_what_is_not_plain_is_left_to_pillow(tmp_path, monkeypatch):
    def content(name, mode="RGB", **options):
        return save(tmp_path / name, smooth(40, 30).convert(mode), **options).read_bytes()

    assert jpeg.plain_size(content("a.jpg")) == (40, 30)
    for other in (
        content("a.jpg", exif=turned(6)),
        content("a.jpg", xmp=b'<x tiff:Orientation="6"/>'),
        content("a.jpg", mode="CMYK"),
        content("a.png"),
        content("a.jpg")[:100],
        b"",
    ):
        assert jpeg.plain_size(other) is None
    assert jpeg.decode(content("a.jpg")[:-300], jpeg.Size(40, 30)) is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert jpeg.plain_size(content("a.jpg")) is None


def test_what_cannot_be_reduced_is_exact(tmp_path):
    for path in (
        save(tmp_path / "a.png", smooth(97, 71)),
        save(tmp_path / "small.jpg", smooth(97, 71)),
        save(tmp_path / "turned.jpg", smooth(197, 171), exif=turned(6)),
    ):
        size = 60 if path.name == "small.jpg" else 20
        assert np.array_equal(read_square(path, size, reduced=True), cut(path, size, None))


def test_broken_files_stay_unreadable(tmp_path):
    path = save(tmp_path / "a.jpg", smooth(200, 160))
    path.write_bytes(path.read_bytes()[:-400])
    for reduced in (False, True):
        with pytest.raises(UnreadableImage, match="truncated"):
            read_square(path, 20, reduced=reduced)
        with pytest.raises(UnreadableImage, match="no such file"):
            read_square(tmp_path / "b.jpg", 20, reduced=reduced)


class Whole:
    """A source that reads whole photos only."""

    def __init__(self, source):
        self.attribute_names, self.known_names = source.attribute_names, source.known_names
        self._source = source

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        return self._source[index]


def test_batches_are_the_same_whichever_way_photos_are_read_unless_reduced(tmp_path, monkeypatch):
    for index in range(6):
        save(tmp_path / "photos" / f"{index}.jpg", smooth(97 + index, 71, index))
    source = PhotoFolder(tmp_path / "photos", "all")

    def batch(source, **options):
        stream = pipeline.make_loader(source, batch_size=6, size=16, crop=64, **options)
        return next(stream)["images"]

    whole = batch(Whole(source))
    assert np.array_equal(batch(source), whole)
    sizes = decoded_sizes(monkeypatch)
    reduced = batch(source, reduced=True)
    assert min(width for width, _ in sizes) == 18  # loaders before it still read ahead
    assert 0 < np.abs(reduced.astype(int) - whole).max() <= 20
