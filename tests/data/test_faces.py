"""Sources of faces: which photos a split has, what they are labelled, and what is refused."""

import pathlib
import random
import sys
import types

import numpy as np
import pytest
from PIL import Image

from dfd_jax.data import celeba, faces, folders, sources
from dfd_jax.data.images import UnreadableImage
from dfd_jax.data.tfds_celeba import TfdsCeleba

PORTRAITS = pathlib.Path(__file__).parents[3] / "shared" / "portraits"
NAMES = ("Black_Hair", "Male")


def picture(value):
    return Image.fromarray(np.full((12, 10, 3), value, np.uint8))


@pytest.fixture
def tree(tmp_path):
    """Five photos in CelebA's layout: 3 train, 1 valid, 1 test; photo i is filled with level i."""
    root = tmp_path / "celeba"
    (root / "img_align_celeba").mkdir(parents=True)
    for i in range(5):
        picture(i).save(root / "img_align_celeba" / f"{i}.png")
    labels = ["1 -1 1", "-1 -1 1", "-1 1 -1", "1 1 1", "-1 -1 -1"]
    rows = [f"{i}.png  {label}" for i, label in enumerate(labels)]
    write_list(root, ["5", "Male Bald Black_Hair", *rows])
    partition = [f"{i}.png {number}" for i, number in enumerate([0, 2, 0, 1, 0])]
    (root / "list_eval_partition.txt").write_text("\n".join(partition) + "\n")
    return root


def write_list(folder, lines, end="\n"):
    (folder / "list_attr_celeba.txt").write_bytes((end.join(lines) + end).encode())


def listed(folder):
    return (folder / "list_attr_celeba.txt").read_text().splitlines()


def names_of(source):
    return [face.name for face in source]


def test_official_split_and_labels_follow_the_lists(tree):
    splits = {s: names_of(folders.CelebaFolder(tree, s, NAMES)) for s in faces.SPLITS}
    assert splits == {
        "train": ["0.png", "2.png", "4.png"],
        "valid": ["3.png"],
        "test": ["1.png"],
        "all": ["0.png", "1.png", "2.png", "3.png", "4.png"],
    }
    train = folders.CelebaFolder(tree, "train", NAMES)
    assert [face.attributes.tolist() for face in train] == [[1, 1], [0, 0], [0, 0]]
    assert train[1].attributes.dtype == np.float32
    assert (train[1].pixels == 2).all()
    assert train[1].pixels.shape == (12, 10, 3)


def test_attributes_come_in_the_order_that_was_asked(tree):
    face = folders.CelebaFolder(tree, "test", ("Black_Hair", "Male", "Bald"))[0]
    assert face.attributes.tolist() == [1, 0, 0]


def test_windows_line_ends_and_blank_lines_change_nothing(tree):
    before = [face.attributes.tolist() for face in folders.CelebaFolder(tree, "all", NAMES)]
    write_list(tree, [*listed(tree), "", " "], end="\r\n")
    partition = tree / "list_eval_partition.txt"
    partition.write_bytes(partition.read_bytes().replace(b"\n", b"\r\n\r\n"))
    after = folders.CelebaFolder(tree, "all", NAMES)
    assert [face.attributes.tolist() for face in after] == before
    assert names_of(folders.CelebaFolder(tree, "valid", NAMES)) == ["3.png"]


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_eval_partition.txt"])
def test_a_missing_list_is_named_with_the_expected_layout(tree, name):
    (tree / name).unlink()
    with pytest.raises(ValueError, match=name) as caught:
        folders.CelebaFolder(tree, "train", NAMES)
    assert celeba.LAYOUT in str(caught.value)


def test_a_missing_photo_folder_is_named_with_the_expected_layout(tmp_path):
    with pytest.raises(ValueError, match="img_align_celeba: no such folder") as caught:
        folders.CelebaFolder(tmp_path, "train", NAMES)
    assert celeba.LAYOUT in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[1:], "does not start with the number of photos"),
        (lambda lines: lines[:-1], "says 5 photos and lists 4"),
        (lambda lines: [*lines[:-1], "4.png 1 1"], "expected a name and 3 labels, found '4.png 1"),
        (lambda lines: [*lines[:-1], "9.png 1 1 1"], "has no line for 9.png"),
        (lambda lines: [lines[0], "Male Bald Hat", *lines[2:]], "has no Black_Hair; it has Male"),
    ],
)
def test_malformed_lists_are_refused(tree, change, message):
    write_list(tree, change(listed(tree)))
    with pytest.raises(ValueError, match=message):
        folders.CelebaFolder(tree, "train", NAMES)


def test_an_empty_split_and_unknown_choices_are_refused(tree):
    partition = tree / "list_eval_partition.txt"
    partition.write_text(partition.read_text().replace(" 1", " 0"))
    with pytest.raises(ValueError, match=r"split 'valid' \(official\) has no photo"):
        folders.CelebaFolder(tree, "valid", NAMES)
    with pytest.raises(ValueError, match="found split 'dev'"):
        folders.CelebaFolder(tree, "dev", NAMES)
    with pytest.raises(ValueError, match="found protocol 'mine'"):
        folders.CelebaFolder(tree, "train", NAMES, "mine")


def test_a_listed_photo_without_a_file_is_unreadable_only_when_asked_for(tree):
    (tree / "img_align_celeba" / "2.png").unlink()
    source = folders.CelebaFolder(tree, "train", NAMES)
    assert source[2].name == "4.png"
    with pytest.raises(UnreadableImage, match=r"2\.png: no such file"):
        source[1]


def test_stargan_split_is_that_of_the_authors_code(tmp_path):
    (tmp_path / "img_align_celeba").mkdir()
    rows = [f"{i:06d}.jpg {1 if i % 3 else -1} -1" for i in range(2100)]
    write_list(tmp_path, ["2100", "Male Black_Hair", *rows])  # and no list_eval_partition.txt
    lines = list(rows)
    state = random.getstate()
    random.seed(1234)
    random.shuffle(lines)
    random.setstate(state)
    authors = {"train": [], "test": []}
    for i, line in enumerate(lines):
        authors["test" if (i + 1) < 2000 else "train"].append(line.split()[0])
    for split, expected in authors.items():
        source = folders.CelebaFolder(tmp_path, split, ("Male",), "stargan")
        assert source._names == expected
        assert source._attributes[:, 0].tolist() == [int(n[:6]) % 3 > 0 for n in expected]
    assert len(folders.CelebaFolder(tmp_path, "test", ("Male",), "stargan")) == 1999


def test_stargan_split_says_when_it_cannot_be_used(tree):
    with pytest.raises(ValueError, match="none of these 5 would be left for training"):
        folders.CelebaFolder(tree, "train", NAMES, "stargan")
    with pytest.raises(ValueError, match="no valid; use protocol 'official'"):
        folders.CelebaFolder(tree, "valid", NAMES, "stargan")
    assert len(folders.CelebaFolder(tree, "all", NAMES, "stargan")) == 5


@pytest.fixture
def folder(tmp_path):
    """200 photos in two folders."""
    root = tmp_path / "photos"
    for i in range(200):
        path = root / ("a" if i % 2 else "b/c") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(i).save(path)
    return root


def test_a_folder_is_split_into_disjoint_parts_of_the_asked_size(folder):
    parts = {s: names_of(folders.PhotoFolder(folder, s)) for s in ("train", "valid", "test")}
    joined = [name for part in parts.values() for name in part]
    assert sorted(joined) == names_of(folders.PhotoFolder(folder, "all"))
    assert len(set(joined)) == 200
    assert abs(len(parts["train"]) - 160) <= 20
    assert abs(len(parts["test"]) - 20) <= 15
    other = names_of(folders.PhotoFolder(folder, "train", seed=1))
    assert other != parts["train"]


def test_adding_photos_moves_none_to_another_split(folder):
    before = {s: set(names_of(folders.PhotoFolder(folder, s))) for s in ("train", "valid", "test")}
    for i in range(50):
        picture(0).save(folder / f"0-{i}.png")
    for split, names in before.items():
        assert names <= set(names_of(folders.PhotoFolder(folder, split)))


def test_drawn_attributes_are_fixed_per_photo_with_one_hair_colour(folder):
    names = ("Male", "Black_Hair", "Young", "Blond_Hair", "Brown_Hair")
    drawn = np.array([face.attributes for face in folders.PhotoFolder(folder, "all", 0, names)])
    again = np.array([face.attributes for face in folders.PhotoFolder(folder, "all", 7, names)])
    np.testing.assert_array_equal(drawn, again)
    assert set(np.unique(drawn)) == {0, 1}
    np.testing.assert_array_equal(drawn[:, [1, 3, 4]].sum(1), 1)
    assert (np.abs(drawn.mean(0) - [0.5, 1 / 3, 0.5, 1 / 3, 1 / 3]) < 0.15).all()


def test_a_folder_without_photos_says_what_was_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match=r"no photo in it or below .*\.jpg"):
        folders.PhotoFolder(tmp_path)
    picture(0).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="none of its 1 photos falls into the split 'test'"):
        folders.PhotoFolder(tmp_path, "test", fractions=(1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="expected shares that sum to 1"):
        folders.PhotoFolder(tmp_path, fractions=(0.5, 0.1, 0.1))


class FakeBuilder:
    """Stands for a data set that tensorflow-datasets has prepared."""

    data_path = "/data/celeb_a"

    def __init__(self, sizes):
        self.sizes = sizes
        self.info = types.SimpleNamespace(splits=sizes)

    def as_data_source(self, split):
        level = list(self.sizes).index(split)
        attributes = {"Male": True, "Black_Hair": False, "Young": True}
        image = np.full((218, 178, 3), level, np.uint8)
        return [{"image": image, "attributes": attributes}] * self.sizes[split]


@pytest.fixture
def tfds(monkeypatch):
    """tensorflow_datasets replaced; returns the calls of `builder` and what it will answer."""
    module, calls = types.ModuleType("tensorflow_datasets"), []
    sizes = {"train": 3, "validation": 2, "test": 1}

    def builder(name, **options):
        calls.append((name, options))
        return FakeBuilder(sizes)

    monkeypatch.setattr(module, "builder", builder, raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    return types.SimpleNamespace(calls=calls, sizes=sizes)


def test_prepared_celeba_is_read_in_a_random_access_format(tfds, tmp_path):
    source = TfdsCeleba("valid", ("Young", "Black_Hair"), tmp_path)
    assert tfds.calls == [("celeb_a", {"data_dir": str(tmp_path), "file_format": "array_record"})]
    assert len(source) == 2
    face = source[1]
    assert (face.pixels == 1).all()
    assert face.attributes.tolist() == [1, 0]
    assert face.name == "validation/000001"
    assert names_of(TfdsCeleba("all", ("Male",)))[2:4] == [
        "train/000002",
        "validation/000000",
    ]
    with pytest.raises(ValueError, match="has no Bald; it has Male"):
        TfdsCeleba("train", ("Bald",))


def test_unprepared_celeba_says_how_to_prepare_it(tfds, tmp_path):
    tfds.sizes.clear()
    with pytest.raises(ValueError, match="pip install tensorflow && python -c") as caught:
        TfdsCeleba("train", NAMES, tmp_path)
    command = str(caught.value).split('python -c "')[1].rstrip('"')
    compile(command, "command", "exec")
    assert "download_and_prepare()" in command


def test_the_real_library_reports_unprepared_celeba(tmp_path):
    with pytest.raises(ValueError, match=r"celeb_a is not prepared in .*needs TensorFlow"):
        sources.open_source("tfds", "train", root=tmp_path)


def test_concatenation_joins_in_order_and_refuses_other_attributes(tree, folder):
    first = folders.CelebaFolder(tree, "train", NAMES)
    second = folders.PhotoFolder(folder, "all", 0, NAMES)
    joined = faces.Concatenation([first, second])
    assert len(joined) == len(first) + len(second)
    assert names_of(joined) == names_of(first) + names_of(second)
    with pytest.raises(IndexError):
        joined[len(joined)]
    with pytest.raises(ValueError, match="open all sources with the same names"):
        faces.Concatenation([first, folders.PhotoFolder(folder, "all", 0, ("Male",))])
    with pytest.raises(ValueError, match="at least one"):
        faces.Concatenation([])


class Counting:
    """A source that counts how often each face is asked for."""

    attribute_names = known_names = NAMES

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 4

    def __getitem__(self, index):
        self.asked.append(index)
        return faces.Face(np.full((4, 4, 3), index, np.uint8), np.zeros(2, np.float32), str(index))


def test_cached_asks_once_for_as_many_faces_as_it_holds():
    source = Counting()
    cached = faces.Cached(source, capacity=2)
    names = [cached[i].name for i in (0, 1, 2, 0, 1, 2)]
    assert names == ["0", "1", "2", "0", "1", "2"]
    assert source.asked == [0, 1, 2, 2]
    assert (len(cached), cached.attribute_names) == (4, NAMES)


def test_auto_recognises_the_layout(tree, folder):
    kinds = {tree: folders.CelebaFolder, folder: folders.PhotoFolder}
    for root, kind in kinds.items():
        source = sources.open_source("auto", "train", root=root, attribute_names=NAMES)
        assert isinstance(source, kind)
    assert isinstance(sources.open_source("auto", "train", count=1), faces.Cached)


def test_unknown_kinds_and_missing_roots_are_refused(tmp_path):
    with pytest.raises(ValueError, match="found data kind 'lmdb', expected one of auto, celeba"):
        sources.open_source("lmdb", "train", root=tmp_path)
    with pytest.raises(ValueError, match="'folder' needs a root"):
        sources.open_source("folder", "train")
    with pytest.raises(ValueError, match="found split 'dev'"):
        sources.open_source("synthetic", "dev")


def test_no_synthetic_face_is_in_two_splits():
    def drawn(split, seed):
        source = sources.open_source("synthetic", split, seed=seed, count=2, size=32)
        return {face.pixels.tobytes() for face in source}

    parts = [drawn(split, seed) for seed in (0, 1) for split in ("train", "valid", "test")]
    assert len(set.union(*parts)) == 12
    assert drawn("all", 0) == set.union(*parts[:3])
    assert drawn("train", 0) == parts[0]


@pytest.mark.skipif(not PORTRAITS.exists(), reason="needs ../shared/portraits")
def test_real_photographs_in_celebas_layout():
    counts = {s: len(sources.open_source("auto", s, root=PORTRAITS)) for s in faces.SPLITS}
    assert counts == {"train": 296, "valid": 64, "test": 63, "all": 423}
    face = sources.open_source("auto", "train", root=PORTRAITS)[0]
    assert face.pixels.shape == (218, 178, 3)
    assert face.attributes.tolist() == [0, 0, 1, 1, 0]
