"""The protect command on files of every kind: what comes out, what stays, what it refuses."""

import json

import numpy as np
import pytest
from PIL import ExifTags, Image
from protect_helpers import (
    hashes,
    pixels,
    records,
    run,
    save,
    shared_protector,
)

from dfd_jax import models, protect
from dfd_jax.data import png
from dfd_jax.data.images import centre_box, read_photo, read_rgb

# What comes out


def test_a_folder_keeps_its_tree_and_sizes_and_stays_within_the_budget(photos, workdir, tmp_path):
    output = tmp_path / "out"
    assert run(photos, output, "--workdir", workdir) == 0
    names = {"0.png", "1.png", "2.png", "3.png", "4.png", "sub/deep/x.png"}
    assert set(hashes(output)) == names
    for name in names:
        original = read_rgb(photos / name.replace("x.png", "x.jpg"))
        written = read_rgb(output / name)
        assert written.shape == original.shape
        assert 0 < np.abs(written.astype(int) - original).max() <= 6


def test_a_png_holds_exactly_what_the_protector_computes(photos, workdir, tmp_path):
    assert run(photos, tmp_path / "out", "--workdir", workdir, "--batch", 1) == 0
    original = read_rgb(photos / "3.png")
    (expected,) = shared_protector().protect_many([original])
    assert np.array_equal(read_rgb(tmp_path / "out" / "3.png"), expected)


def test_the_batch_size_does_not_change_the_outputs(photos, workdir, tmp_path):
    for batch in (1, 20):
        assert run(photos, tmp_path / f"{batch}", "--workdir", workdir, "--batch", batch) == 0
    for name in hashes(tmp_path / "1"):
        one, other = read_rgb(tmp_path / "1" / name), read_rgb(tmp_path / "20" / name)
        assert np.abs(one.astype(int) - other).max() <= 1  # a half may be rounded differently
        assert (one != other).mean() < 0.01


def test_the_manifest_says_what_was_done(photos, workdir, tmp_path):
    output = tmp_path / "out"
    run(photos, output, "--workdir", workdir)
    found = records(output)
    assert len(found) == 6
    record = found["2.png"]
    original, written = read_rgb(photos / "2.png"), read_rgb(output / "2.png")
    assert record["status"] == "ok"
    assert record["output"] == "2.png"
    assert record["size"] == [36, 42]
    assert record["box"] == [0, 3, 36]
    assert record["linf_255"] == np.abs(written.astype(int) - original).max()
    error = np.square(written[3:39].astype(float) - original[3:39]).mean()
    assert record["psnr_region"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    assert record["psnr_photo"] > record["psnr_region"]
    assert record["output_sha256"] == hashes(output)["2.png"]
    assert record["network_sha256"] == models.load(f"{workdir}/{protect.EXPORTED}").card.sha256


def test_the_manifest_says_what_is_in_the_file(photos, workdir, tmp_path, monkeypatch):
    encode = png.encode
    monkeypatch.setattr(png, "encode", lambda pixels, *more: encode(pixels ^ 16, *more))
    run(photos, tmp_path / "out", "--workdir", workdir)
    original, written = read_rgb(photos / "2.png"), read_rgb(tmp_path / "out" / "2.png")
    record = records(tmp_path / "out")["2.png"]
    assert record["linf_255"] == np.abs(written.astype(int) - original).max() > 6


KINDS = {
    "grey.png": lambda rgb: rgb.convert("L"),
    "palette.gif": lambda rgb: rgb.convert("P"),
    "palette.png": lambda rgb: rgb.quantize(32),
    "cmyk.jpg": lambda rgb: rgb.convert("CMYK"),
    "sixteen.png": lambda rgb: Image.fromarray(np.array(rgb.convert("L")).astype(np.uint16) * 257),
    "alpha.png": lambda rgb: rgb.convert("RGBA"),
    "photo.webp": lambda rgb: rgb,
    "photo.bmp": lambda rgb: rgb,
    "photo.tif": lambda rgb: rgb,
    "bilevel.png": lambda rgb: rgb.convert("1"),
}


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_every_kind_of_image_is_protected(workdir, tmp_path, format):
    for name, convert in KINDS.items():
        save(tmp_path / "in" / name, convert(Image.fromarray(pixels())))
    assert run(tmp_path / "in", tmp_path / "out", "--workdir", workdir, "--format", format) == 0
    found = records(tmp_path / "out")
    assert set(found) == set(KINDS)
    for name, record in found.items():
        with Image.open(tmp_path / "out" / record["output"]) as image:
            assert image.format == format.upper()
            assert image.size == (30, 40)
            assert image.mode == ("RGBA" if name == "alpha.png" and format == "png" else "RGB")
        assert record["linf_255"] >= 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (15, 9), (400, 300)])
def test_photos_of_any_size_are_protected(workdir, tmp_path, shape):
    save(tmp_path / "in.png", pixels(*shape))
    assert run(tmp_path / "in.png", tmp_path / "out", "--workdir", workdir) == 0
    assert read_rgb(tmp_path / "out" / "in.png").shape == (*shape, 3)


def test_a_turned_photo_comes_out_upright(workdir, tmp_path):
    upright = Image.fromarray(pixels(60, 20))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # stored lying on its side
    save(tmp_path / "in.png", upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    options = ("--workdir", workdir, "--keep_metadata")
    assert run(tmp_path / "in.png", tmp_path / "out", *options) == 0
    with Image.open(tmp_path / "out" / "in.png") as image:
        assert image.size == (20, 60)
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert np.abs(np.array(image).astype(int) - np.array(upright)).max() <= 6


@pytest.mark.parametrize("format", ["png", "jpeg"])
@pytest.mark.parametrize("keep", [False, True])
def test_gps_is_dropped_unless_asked_for_and_the_colour_profile_stays(
    workdir, tmp_path, format, keep
):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    exif[ExifTags.Base.Make] = "CameraMaker"
    profile = bytes(16) + b"RGB " + bytes(108)
    save(tmp_path / "in.jpg", pixels(), exif=exif, icc_profile=profile)
    options = ["--workdir", workdir, "--format", format] + ["--keep_metadata"] * keep
    assert run(tmp_path / "in.jpg", tmp_path / "out", *options) == 0
    written = tmp_path / "out" / ("in.png" if format == "png" else "in.jpg")
    with Image.open(written) as image:
        gps = dict(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))
        assert gps == ({ExifTags.GPS.GPSLatitudeRef: "N"} if keep else {})
        assert image.info["icc_profile"] == profile
    assert (b"CameraMaker" in written.read_bytes()) == keep


def test_transparency_stays_in_png_and_lies_over_white_in_jpeg(workdir, tmp_path):
    rgba = np.dstack([pixels(), np.full((40, 30), 255, np.uint8)])
    rgba[:10, :, 3] = 0
    rgba[10:12, :, 3] = 77
    save(tmp_path / "in.png", rgba)
    assert run(tmp_path / "in.png", tmp_path / "a", "--workdir", workdir) == 0
    alpha = read_photo(tmp_path / "a" / "in.png").alpha
    assert alpha is not None
    assert np.array_equal(alpha, rgba[..., 3])
    jpeg = ("--workdir", workdir, "--format", "jpeg")
    assert run(tmp_path / "in.png", tmp_path / "b", *jpeg) == 0
    assert read_rgb(tmp_path / "b" / "in.jpg")[:4].min() > 240
    assert records(tmp_path / "b")["in.png"]["linf_255"] < 20


def test_jpeg_reports_the_change_of_the_file_not_of_the_delta(workdir, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    save(tmp_path / "in.png", noise)
    options = ("--workdir", workdir, "--format", "jpeg", "--quality", 50)
    assert run(tmp_path / "in.png", tmp_path / "out", *options) == 0
    written = read_rgb(tmp_path / "out" / "in.jpg").astype(int)
    assert records(tmp_path / "out")["in.png"]["linf_255"] == np.abs(written - noise).max() > 6


def test_a_box_moves_only_its_region(photos, workdir, tmp_path):
    (tmp_path / "boxes.json").write_text(json.dumps({"1.png": [2, 5, 12]}))
    options = ("--workdir", workdir, "--boxes", tmp_path / "boxes.json")
    assert run(photos, tmp_path / "out", *options) == 0
    changed = (read_rgb(tmp_path / "out" / "1.png") != read_rgb(photos / "1.png")).any(-1)
    assert changed[5:17, 2:14].mean() > 0.5
    changed[5:17, 2:14] = False
    assert not changed.any()
    assert records(tmp_path / "out")["0.png"]["box"] == list(centre_box(40, 30))


# Failing


def test_one_bad_file_is_named_and_does_not_stop_the_others(photos, workdir, tmp_path, capsys):
    (photos / "0a.jpg").write_bytes(b"no photo")
    (photos / "1a.png").write_bytes((photos / "1.png").read_bytes()[:100])
    output = tmp_path / "out"
    (tmp_path / "boxes.json").write_text(json.dumps({"2.png": [30, 5, 12]}))
    options = ("--workdir", workdir, "--boxes", tmp_path / "boxes.json", "--batch", 2)
    assert run(photos, output, *options) == 1
    found = records(output)
    failed = {name for name, record in found.items() if record["status"] == "failed"}
    assert failed == {"0a.jpg", "1a.png", "2.png"}
    assert len(hashes(output)) == 5
    assert found["0a.jpg"]["reason"] == "not an image"
    shown = capsys.readouterr().out
    assert "5 protected, 3 failed" in shown
    assert f"failed: {photos / '0a.jpg'}: not an image" in shown
    assert "does not lie inside" in shown


def test_a_photo_that_cannot_be_written_fails_alone(photos, workdir, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "sub").write_text("a file where a folder is needed")
    assert run(photos, output, "--workdir", workdir) == 1
    assert records(output)["sub/deep/x.jpg"]["status"] == "failed"
    assert len(hashes(output)) == 5


def test_a_missing_file_of_a_list_fails_alone(photos, workdir, tmp_path):
    (tmp_path / "list.txt").write_text("0.png\n\nsub/deep/x.jpg\ngone.jpg\n")
    options = ("--list", tmp_path / "list.txt", "--root", photos, "--workdir", workdir)
    assert run(tmp_path / "out", *options) == 1
    assert set(hashes(tmp_path / "out")) == {"0.png", "sub/deep/x.png"}
    assert records(tmp_path / "out")["gone.jpg"]["reason"] == "No such file or directory"


# Refusing to start


def refused(capsys, *arguments: object) -> str:
    assert run(*arguments) == 2
    return capsys.readouterr().err


def test_what_is_missing_is_said(photos, workdir, tmp_path, capsys):
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    assert "--workdir" in refused(capsys, photos, out)
    assert "no such file or folder" in refused(capsys, tmp_path / "x", out, "--workdir", workdir)
    assert "no photos" in refused(capsys, tmp_path / "empty", out, "--workdir", workdir)
    assert "OUTPUT" in refused(capsys, photos, "--workdir", workdir)
    missing = refused(capsys, photos, out, "--workdir", tmp_path / "empty")
    assert f"no {protect.EXPORTED}" in missing
    assert "no such weights" in refused(capsys, photos, out, "--network", tmp_path / "n")
    assert "zoo" in refused(capsys, photos, out, "--network", "zoo:no-such-network")
    assert not out.exists()


def test_inputs_are_never_written_to(photos, workdir, tmp_path, capsys):
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    assert "input folder" in refused(capsys, photos, photos, "--workdir", workdir)
    assert "input folder" in refused(capsys, photos, photos / "o", "--workdir", workdir)
    one = photos / "0.png"
    assert "is an input" in refused(capsys, one, photos, "--workdir", workdir)
    assert {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()} == before


def test_foreign_files_are_replaced_only_when_asked(photos, workdir, tmp_path, capsys):
    foreign = save(tmp_path / "out" / "0.png", pixels(9, 9))
    assert "--overwrite" in refused(capsys, photos, tmp_path / "out", "--workdir", workdir)
    assert read_rgb(foreign).shape == (9, 9, 3)
    assert run(photos, tmp_path / "out", "--workdir", workdir, "--overwrite") == 0
    assert read_rgb(foreign).shape == (40, 30, 3)


def test_boxes_that_fit_no_photo_are_refused(photos, workdir, tmp_path, capsys):
    (tmp_path / "boxes.json").write_text(json.dumps({"photos/1.png": [2, 5, 12]}))
    options = ("--workdir", workdir, "--boxes", tmp_path / "boxes.json")
    assert "none of its names" in refused(capsys, photos, tmp_path / "out", *options)


def test_a_network_that_is_no_perturber_is_refused(photos, tiny_zoo, tmp_path, capsys):
    message = refused(capsys, photos, tmp_path / "out", "--network", tiny_zoo["stargan"])
    assert "not a perturber" in message
