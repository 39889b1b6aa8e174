"""Action units of photos: read from OpenFace's files where there are such, never made up."""

import numpy as np
import pytest
from PIL import Image

from dfd_jax.data import action_units, celeba, faces, folders
from dfd_jax.data.expressions import ACTION_UNITS

NAMES = ("AU12", "Male", "AU01")
HEADER = ["face", "confidence", *(f"{unit}_r" for unit in ACTION_UNITS), "AU12_c"]


def row(first, confidence=0.9, **units):
    values = [units.get(unit, 0.0) for unit in ACTION_UNITS]
    return [first, confidence, *values, 1]


def write(path, *rows, header=HEADER, comma=","):
    path.parent.mkdir(exist_ok=True)
    lines = [comma.join(map(str, line)) for line in (header, *rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def tree(tmp_path):
    """Four photos in CelebA's layout, without action units."""
    (tmp_path / "img_align_celeba").mkdir()
    for i in range(4):
        picture = Image.fromarray(np.full((12, 10, 3), i, np.uint8))
        picture.save(tmp_path / "img_align_celeba" / f"{i}.png")
    labels = [f"{i}.png {1 if i % 2 else -1}" for i in range(4)]
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(["4", "Male", *labels]))
    return tmp_path


def opened(tree, names=NAMES):
    return folders.CelebaFolder(tree, "all", names)


def labels(source):
    return {face.name: pytest.approx(face.attributes.tolist()) for face in source}


def test_the_list_gives_each_photo_its_intensities_and_leaves_out_the_others(tree):
    write(
        tree / action_units.LIST,
        row("3.png", AU12=5.0, AU01=1.0),
        row("0.png", AU12=2.5),
        row("9.png"),
    )
    source = opened(tree)
    assert source.known_names == NAMES
    assert labels(source) == {"0.png": [0.5, 0, 0], "3.png": [1, 1, 0.2]}
    assert source[0].attributes.dtype == np.float32


def test_openfaces_own_files_are_read_with_the_surest_face_of_each(tree):
    folder = tree / action_units.FOLDER
    write(folder / "2.csv", row(0, 0.2, AU12=1.0), row(1, 0.8, AU12=4.0), comma=", ")
    write(folder / "1.csv", row(0, AU01=2.0), comma=", ")
    assert labels(opened(tree)) == {"1.png": [0, 1, 0.4], "2.png": [0.8, 0, 0]}


def test_without_annotations_action_units_are_zero_and_not_known(tree, tmp_path):
    celeba_folder, plain = opened(tree), folders.PhotoFolder(tree, "all", 0, NAMES)
    assert celeba_folder.known_names == ("Male",)
    assert plain.known_names == ()
    assert labels(celeba_folder)["3.png"] == [0, 1, 0]
    assert all(face.attributes[[0, 2]].tolist() == [0, 0] for face in plain)
    both = faces.Concatenation([celeba_folder, faces.Cached(celeba_folder)])
    assert both.known_names == ("Male",)
    assert faces.Concatenation([celeba_folder, plain]).known_names == ()


def test_annotations_are_not_even_opened_for_other_labels(tree):
    write(tree / action_units.LIST, ["0.png"], header=["nothing"])
    source = opened(tree, ("Male",))
    assert len(source) == 4
    assert source.known_names == ("Male",)


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        (HEADER[:6], row("0.png")[:6], "has no column AU06_r, AU07_r"),
        (HEADER, row("0.png", AU12=5.5), "expected intensities 0 to 5, found .*5.5"),
        (HEADER, row("0.png", AU12="nan"), "expected intensities 0 to 5, found .*nan"),
        (HEADER, row("0.png", AU12="much"), "lacks a column or a number .*'much'"),
        (HEADER, ["0.png", 0.9, 1.0], "lacks a column or a number"),
    ],
)
def test_malformed_annotations_are_refused(tree, header, line, message):
    write(tree / action_units.LIST, line, header=header)
    with pytest.raises(ValueError, match=rf"{action_units.LIST}: .*{message}"):
        opened(tree)


def test_annotations_of_other_photos_and_empty_ones_are_refused(tree):
    path = write(tree / action_units.LIST, row("000001.jpg"))
    with pytest.raises(ValueError, match=r"'all' \(official\) with action units has no photo"):
        opened(tree)
    write(path)
    with pytest.raises(ValueError, match="has a header and no line"):
        opened(tree)
    path.unlink()
    write(tree / action_units.FOLDER / "1.csv")
    with pytest.raises(ValueError, match=r"1\.csv: has a header and no line"):
        opened(tree)[0]


def test_the_layout_says_what_the_list_is_called():
    assert action_units.LIST in celeba.LAYOUT
