"""Which photos a command line means, what outputs are called, and which regions boxes stand for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfd_jax.data.images import Box
from dfd_jax.protection import inputs


@pytest.mark.parametrize(
    ("name", "png", "jpeg"),
    [
        ("a.jpg", "a.png", "a.jpg"),
        ("b/c.JPEG", "b/c.png", "b/c.JPEG"),
        ("a.PNG", "a.PNG", "a.jpg"),
        ("two.dots.webp", "two.dots.png", "two.dots.jpg"),
        ("no_suffix", "no_suffix.png", "no_suffix.jpg"),
        ("IMG.2024", "IMG.2024.png", "IMG.2024.jpg"),
    ],
)
def test_outputs_keep_the_name_with_the_suffix_of_their_format(name, png, jpeg):
    assert inputs.output_names([name], "png") == {name: png}
    assert inputs.output_names([name], "jpeg") == {name: jpeg}


def test_outputs_that_would_collide_keep_the_full_name():
    found = inputs.output_names(["a.jpg", "a.png", "b.jpg", "sub/a.jpg"], "png")
    assert found == {
        "a.jpg": "a.jpg.png",
        "a.png": "a.png.png",
        "b.jpg": "b.png",
        "sub/a.jpg": "sub/a.png",
    }


NAMES = st.from_regex(r"\A[ab](\.(jpg|png|PNG|webp)){0,3}\Z")


@given(st.sets(NAMES, max_size=12))
def test_no_two_photos_ever_share_an_output(names):
    outputs = inputs.output_names(sorted(names), "png")
    assert set(outputs) == names
    assert len(set(outputs.values())) == len(names)


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_one_folder_names_photos_by_their_path_inside_it(tmp_path):
    make(tmp_path, "in/a.jpg", "in/b/c.png", "in/notes.txt")
    found = inputs.find_inputs([str(tmp_path / "in")])
    assert found == {"a.jpg": tmp_path / "in/a.jpg", "b/c.png": tmp_path / "in/b/c.png"}


def test_several_folders_keep_their_own_names(tmp_path):
    make(tmp_path, "x/a.jpg", "y/a.jpg", "b.jpg")
    found = inputs.find_inputs([str(tmp_path / name) for name in ("x", "y", "b.jpg")])
    assert list(found) == ["x/a.jpg", "y/a.jpg", "b.jpg"]


def test_two_photos_of_one_name_are_refused_and_one_given_twice_is_taken_once(tmp_path):
    make(tmp_path, "x/a.jpg", "y/a.jpg")
    first, second = str(tmp_path / "x/a.jpg"), str(tmp_path / "y/a.jpg")
    assert len(inputs.find_inputs([first, first])) == 1
    with pytest.raises(ValueError, match=r"both be called a\.jpg"):
        inputs.find_inputs([first, second])


def test_a_list_keeps_the_tree_below_its_root(tmp_path):
    lines = ["p/a.jpg", "", str(tmp_path / "q" / "b c.jpg"), "./p/../p/d.jpg"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    found = inputs.read_list(tmp_path / "list.txt", tmp_path)
    assert list(found) == ["p/a.jpg", "q/b c.jpg", "p/d.jpg"]
    with pytest.raises(ValueError, match="--root"):
        inputs.read_list(tmp_path / "list.txt", tmp_path / "p")


def test_regions_come_from_json_and_csv_alike(tmp_path):
    wanted = {"a.jpg": (1, 2, 30), "b/c.jpg": (4, 5, 6)}
    (tmp_path / "r.json").write_text(json.dumps(wanted))
    (tmp_path / "r.csv").write_text("path,left,top,side\na.jpg,1,2,30\nb/c.jpg,4.2,5,6\n")
    assert inputs.read_boxes(tmp_path / "r.json") == wanted
    assert inputs.read_boxes(tmp_path / "r.csv") == wanted
    (tmp_path / "w.csv").write_text("width,height,path,left,top\n30,40,a.jpg,1,2\n")
    assert inputs.read_boxes(tmp_path / "w.csv") == {"a.jpg": (1, 2, 30, 40)}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.json", "{", "not a boxes file"),
        ("r.json", "[1, 2]", "not a boxes file"),
        ("r.json", '{"a.jpg": [1, 2]}', r"a\.jpg: found \[1, 2\]"),
        ("r.json", '{"a.jpg": [1, 2, 0]}', r"a\.jpg"),
        ("r.json", '{"a.jpg": ["x", 2, 3]}', r"a\.jpg"),
        ("r.json", '{"a.jpg": 7}', r"a\.jpg"),
        ("r.csv", "path,left,side\na.jpg,1,2\n", "missing top"),
        ("r.csv", "path,left,top,side\na.jpg,1,2\n", r"a\.jpg"),
        ("r.csv", "path,left,top,side\na.jpg,1,2,3\na.jpg,1,2,3\n", "listed twice"),
    ],
)
def test_a_broken_boxes_file_is_refused_with_the_reason(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        inputs.read_boxes(tmp_path / name)


def test_a_rectangle_stands_for_the_square_around_it():
    assert inputs.box_in_photo((10, 10, 20, 40), 100, 100) == Box(0, 10, 40)
    assert inputs.box_in_photo((30, 10, 20, 40), 100, 100) == Box(20, 10, 40)
    assert inputs.box_in_photo((80, 90, 20, 40), 100, 100) == Box(60, 60, 40)
    assert inputs.box_in_photo((3, 4, 5), 100, 100) == Box(3, 4, 5)
    with pytest.raises(ValueError, match="misses the photo"):
        inputs.box_in_photo((100, 0, 20, 40), 100, 100)


SIDES = st.integers(1, 60)


@given(st.tuples(st.integers(-50, 80), st.integers(-50, 80), SIDES, SIDES), SIDES, SIDES)
def test_the_square_of_a_rectangle_always_lies_inside_the_photo(region, height, width):
    left, top, wide, tall = region
    if left >= width or top >= height or left + wide <= 0 or top + tall <= 0:
        return
    box = inputs.box_in_photo(region, height, width)
    assert min(box.left, box.top) >= 0
    assert box.side == min(max(wide, tall), height, width)
    assert box.left + box.side <= width
    assert box.top + box.side <= height
