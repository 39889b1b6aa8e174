"""Every kind of photo file becomes upright 8-bit RGB, or an UnreadableImage that says why."""

import io
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from dfd_jax.data import images, saving
from dfd_jax.data.images import Box, UnreadableImage

ORIENTATION = 0x0112
CAMERA = 0x010F


@pytest.fixture
def colours():
    """A picture without symmetries, smooth enough for JPEG."""
    small = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((40, 24), Image.Resampling.BICUBIC))


def save(path, image, **options):
    image.save(path, **options)
    return path


def test_grey_becomes_three_equal_channels(tmp_path, colours):
    grey = colours[..., 0]
    pixels = images.read_rgb(save(tmp_path / "a.png", Image.fromarray(grey)))
    np.testing.assert_array_equal(pixels, np.stack([grey] * 3, -1))


def test_transparency_is_dropped_and_not_blended(tmp_path, colours):
    alpha = np.zeros(colours.shape[:2], np.uint8)
    rgba = Image.fromarray(np.dstack([colours, alpha]))
    np.testing.assert_array_equal(images.read_rgb(save(tmp_path / "a.png", rgba)), colours)
    grey_alpha = Image.fromarray(colours[..., 0]).convert("LA")
    grey_alpha.putalpha(0)
    pixels = images.read_rgb(save(tmp_path / "b.png", grey_alpha))
    np.testing.assert_array_equal(pixels[..., 2], colours[..., 0])


def test_cmyk_jpeg_keeps_its_colours(tmp_path, colours):
    path = save(tmp_path / "a.jpg", Image.fromarray(colours).convert("CMYK"), quality=100)
    with Image.open(path) as image:
        assert image.mode == "CMYK"
    error = np.abs(images.read_rgb(path).astype(int) - colours)
    assert error.mean() < 5


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_keeps_the_most_significant_8_bits(tmp_path, suffix):
    levels = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    pixels = images.read_rgb(save(tmp_path / f"a.{suffix}", Image.fromarray(levels)))
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
        (np.array([[0, 256, 65535]], np.int32), [0, 1, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 100, 255]], np.float32), [0, 100, 255]),
        (np.array([[0, 512, 65535]], np.float32), [0, 2, 255]),
    ],
)
def test_wide_grey_levels_use_the_smallest_scale_that_holds_them(tmp_path, levels, expected):
    pixels = images.read_rgb(save(tmp_path / "a.tif", Image.fromarray(levels)))
    assert pixels[0, :, 1].tolist() == expected


@pytest.mark.parametrize("level", [-1.0, 70000.0, np.nan])
def test_levels_that_fit_no_scale_are_unreadable(tmp_path, level):
    path = save(tmp_path / "a.tif", Image.fromarray(np.array([[0.5, level]], np.float32)))
    with pytest.raises(UnreadableImage, match="do not fit into 16 bits"):
        images.read_rgb(path)


def test_palette_gives_its_colours_also_with_a_half_transparent_entry(tmp_path, colours):
    few = Image.fromarray(colours).quantize(16)
    expected = np.array(few.convert("RGB"))
    np.testing.assert_array_equal(images.read_rgb(save(tmp_path / "a.png", few)), expected)
    alphas = bytes([0, 128] + [255] * 14)
    path = save(tmp_path / "b.png", few, transparency=alphas)
    np.testing.assert_array_equal(images.read_rgb(path), expected)
    indices = np.array(few)
    np.testing.assert_array_equal(images.read_photo(path).alpha, np.array(list(alphas))[indices])


def test_one_bit_is_black_and_white(tmp_path):
    bits = np.array([[True, False, True]])
    pixels = images.read_rgb(save(tmp_path / "a.png", Image.fromarray(bits)))
    assert pixels[0].tolist() == [[255] * 3, [0] * 3, [255] * 3]


def test_an_animation_gives_its_first_frame(tmp_path, colours):
    frames = [Image.fromarray(colours), Image.fromarray(255 - colours)]
    path = save(tmp_path / "a.png", frames[0], save_all=True, append_images=frames[1:])
    with Image.open(path) as image:
        assert image.is_animated
    np.testing.assert_array_equal(images.read_rgb(path), colours)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_becomes_upright(tmp_path, colours, orientation, suffix):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}
    stored = Image.fromarray(colours)
    path = save(tmp_path / f"a.{suffix}", stored, exif=exif, **options.get(suffix, {}))
    labelled = stored.copy()
    labelled.getexif()[ORIENTATION] = orientation
    expected = np.array(ImageOps.exif_transpose(labelled)).astype(int)
    pixels = images.read_rgb(path)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= (6 if suffix == "jpg" else 0)


def test_alpha_turns_with_the_pixels(tmp_path, colours):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    rgba = Image.fromarray(np.dstack([colours, colours[..., 0]]))
    photo = images.read_photo(save(tmp_path / "a.png", rgba, exif=exif))
    np.testing.assert_array_equal(photo.alpha, photo.pixels[..., 0])
    np.testing.assert_array_equal(photo.pixels, np.rot90(colours, -1))


def test_metadata_is_kept_without_the_orientation(tmp_path, colours):
    exif = Image.Exif()
    exif[ORIENTATION], exif[CAMERA] = 3, "A camera"
    path = save(tmp_path / "a.jpg", Image.fromarray(colours), exif=exif)
    photo = images.read_photo(path)
    kept = Image.Exif()
    kept.load(photo.exif)
    assert dict(kept) == {CAMERA: "A camera"}
    assert photo.format == "JPEG"
    only_orientation = Image.Exif()
    only_orientation[ORIENTATION] = 3
    path = save(tmp_path / "b.jpg", Image.fromarray(colours), exif=only_orientation)
    assert images.read_photo(path).exif is None


def test_broken_metadata_does_not_lose_the_photo(tmp_path, colours):
    path = save(tmp_path / "a.png", Image.fromarray(colours), exif=b"Exif\0\0II*\0\xff\xff\xff")
    np.testing.assert_array_equal(images.read_photo(path).pixels, colours)


def test_only_an_rgb_colour_profile_is_kept(tmp_path, colours):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    photo = Image.fromarray(colours)
    kept = images.read_photo(save(tmp_path / "a.jpg", photo, icc_profile=srgb))
    dropped = images.read_photo(save(tmp_path / "b.jpg", photo, icc_profile=lab))
    assert kept.icc_profile == srgb
    assert dropped.icc_profile is None


def jpeg_bytes(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jpg", lambda _: b"", "an empty file"),
        ("text.jpg", lambda _: b"not a photo at all", "not an image"),
        ("short.jpg", lambda pixels: jpeg_bytes(pixels)[:-200], "truncated"),
        ("header.jpg", lambda pixels: jpeg_bytes(pixels)[:30], "not an image|cannot be decoded"),
    ],
)
def test_broken_files_are_unreadable_with_a_reason(tmp_path, colours, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content(colours))
    for read in (images.read_rgb, images.read_photo):
        with pytest.raises(UnreadableImage, match=reason) as caught:
            read(path)
        assert caught.value.path == str(path)
        assert caught.value.reason


def test_missing_files_and_folders_are_unreadable(tmp_path):
    with pytest.raises(UnreadableImage, match="no such file"):
        images.read_rgb(tmp_path / "gone.jpg")
    with pytest.raises(UnreadableImage, match="a folder, not a file"):
        images.read_rgb(tmp_path)


def test_a_decompression_bomb_is_unreadable(tmp_path, colours, monkeypatch):
    path = save(tmp_path / "a.png", Image.fromarray(colours))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # the photo has 960: over twice as many
    with pytest.raises(UnreadableImage, match="decompression bomb"):
        images.read_rgb(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # Pillow warns from here on
    np.testing.assert_array_equal(images.read_rgb(path), colours)


@settings(deadline=None)  # a broken TIFF may claim a large size
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_damaged_bytes_never_raise_anything_else(tmp_path_factory, place, damage):
    pixels = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    for format in ("png", "jpeg", "tiff", "gif", "bmp"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format)
        content = bytearray(buffer.getvalue())
        start = place % len(content)
        content[start : start + len(damage)] = damage
        path = tmp_path_factory.getbasetemp() / f"damaged.{format}"
        path.write_bytes(content)
        try:
            photo = images.read_photo(path)
        except UnreadableImage:
            continue
        assert photo.pixels.ndim == 3
        assert photo.pixels.dtype == np.uint8


def test_unreadable_image_survives_pickling():
    error = pickle.loads(pickle.dumps(UnreadableImage("a.jpg", "an empty file")))
    assert (error.path, error.reason, str(error)) == ("a.jpg", "an empty file", str(error))
    assert "a.jpg: an empty file" in str(error)


def test_png_is_exact_and_keeps_alpha_profile_and_metadata(tmp_path, colours):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[CAMERA] = "A camera"
    alpha = colours[..., 1]
    path = tmp_path / "new" / "a.png"
    saving.write_photo(path, colours, alpha=alpha, icc_profile=srgb, exif=exif.tobytes())
    photo = images.read_photo(path)
    np.testing.assert_array_equal(photo.pixels, colours)
    np.testing.assert_array_equal(photo.alpha, alpha)
    assert photo.icc_profile == srgb
    kept = Image.Exif()
    kept.load(photo.exif)
    assert kept[CAMERA] == "A camera"


def test_nothing_is_added_that_was_not_given(tmp_path, colours):
    saving.write_photo(tmp_path / "a.jpg", colours, format="jpeg")
    photo = images.read_photo(tmp_path / "a.jpg")
    assert (photo.alpha, photo.icc_profile, photo.exif) == (None, None, None)


def test_jpeg_keeps_full_colour_resolution_and_high_quality(tmp_path, colours):
    path = tmp_path / "a.jpg"
    saving.write_photo(path, colours, format="jpeg")
    with Image.open(path) as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}
    assert np.abs(images.read_rgb(path).astype(int) - colours).max() <= 6


def test_jpeg_lays_transparency_over_white(tmp_path):
    black = np.zeros((16, 16, 3), np.uint8)
    alpha = np.full((16, 16), 255, np.uint8)
    alpha[:, 8:] = 0
    saving.write_photo(tmp_path / "a.jpg", black, format="jpeg", alpha=alpha)
    pixels = images.read_rgb(tmp_path / "a.jpg")
    assert pixels[:, :8].max() <= 2
    assert pixels[:, 8:].min() >= 253


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, colours, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full_disk(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        saving.write_photo(path, colours)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.usefixtures("without_type_checks")
def test_pixels_that_are_not_8_bit_rgb_are_refused(tmp_path, colours):
    for wrong in (colours.astype(np.float32), colours[..., 0], np.dstack([colours, colours])):
        with pytest.raises(ValueError, match="expected uint8"):
            saving.write_photo(tmp_path / "a.png", wrong)
    with pytest.raises(ValueError, match="expected 'png' or 'jpeg'"):
        saving.write_photo(tmp_path / "a.gif", colours, format="gif")
    assert os.listdir(tmp_path) == []


def test_listing_is_recursive_sorted_and_without_hidden_files(tmp_path, colours):
    names = ["b.jpg", "a/c.PNG", "a/d.webp", ".hidden.jpg", ".trash/e.jpg", "notes.txt", "B.jpeg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert images.list_images(tmp_path) == ["B.jpeg", "a/c.PNG", "a/d.webp", "b.jpg"]
    with pytest.raises(ValueError, match="not a folder"):
        images.list_images(tmp_path / "b.jpg")


def test_centre_box_of_a_celeba_photo():
    assert images.centre_box(218, 178, 178) == Box(left=0, top=20, side=178)
    assert images.centre_box(218, 178) == Box(0, 20, 178)


@given(st.integers(1, 500), st.integers(1, 500), st.none() | st.integers(1, 500))
def test_centre_box_is_inside_centred_and_as_large_as_asked(height, width, crop):
    left, top, side = images.centre_box(height, width, crop)
    assert side == min(height, width, crop or 500)
    assert abs((width - side) - 2 * left) <= 1
    assert abs((height - side) - 2 * top) <= 1
    assert min(left, top) >= 0
    assert left + side <= width
    assert top + side <= height


def test_centre_box_rounds_halves_to_even():
    assert images.centre_box(11, 10, 10).top == 0
    assert images.centre_box(13, 10, 10).top == 2


def test_crop_resize_takes_the_box_and_averages_when_it_shrinks(colours):
    np.testing.assert_array_equal(
        images.crop_resize(colours, Box(3, 5, 16), 16), colours[5:21, 3:19]
    )
    checkers = (np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)
    small = images.crop_resize(np.dstack([checkers] * 3), Box(0, 0, 32), 8)
    assert np.abs(small[1:-1, 1:-1].astype(int) - 127).max() <= 3


@pytest.mark.parametrize("box", [Box(-1, 0, 8), Box(0, 0, 25), Box(33, 0, 8), Box(0, 0, 0)])
def test_a_box_outside_the_photo_is_refused(colours, box):
    with pytest.raises(ValueError, match="does not lie inside a photo of 40 x 24"):
        images.crop_resize(colours, box, 8)
