"""Photos packed into shards are the photos they were: same bytes, names, labels and batches."""

import itertools
import pickle

import numpy as np
import pytest
from PIL import Image

from dfd_jax.data import folders, images, landmarks, pack, pipeline, shards, sources

NAMES = ("Male", "Black_Hair")


def save(path, value, height=12):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, 10, 3), value, np.uint8)).save(path)


@pytest.fixture
def celeba(tmp_path):
    """Seven photos in CelebA's layout with landmarks: 5 train, 1 valid, 1 test; one is broken."""
    root = tmp_path / "celeba"
    for i in range(7):
        save(root / "img_align_celeba" / f"{i}.jpg", 30 * i)
    (root / "img_align_celeba" / "2.jpg").write_bytes(b"no photo")
    rows = [f"{i}.jpg {1 if i % 2 else -1} 1" for i in range(7)]
    (root / "list_attr_celeba.txt").write_text("\n".join(["7", "Male Black_Hair", *rows]))
    numbers = [f"{i}.jpg {[0, 0, 0, 1, 0, 2, 0][i]}" for i in range(7)]
    (root / "list_eval_partition.txt").write_text("\n".join(numbers))
    points = [f"{i}.jpg " + " ".join(str(i + k) for k in range(10)) for i in range(7)]
    lines = ["7", " ".join(landmarks.COLUMNS), *points]
    (root / landmarks.LIST).write_text("\n".join(lines))
    return root


@pytest.fixture
def folder(tmp_path):
    for i in range(6):
        save(tmp_path / "photos" / ("a" if i % 2 else "b/c") / f"{i}.png", 40 * i)
    (tmp_path / "photos" / "notes.md").write_text("no photo")
    return tmp_path / "photos"


def opened(root, split="train", kind="array_record"):
    return sources.open_source(kind, split, root=root, attribute_names=NAMES)


def test_a_packed_data_set_has_the_faces_labels_and_splits_it_had(celeba, tmp_path):
    assert pack.main([str(celeba), str(tmp_path / "packed"), "--per_shard", "3"]) == 0
    assert len(shards.list_shards(tmp_path / "packed" / "img_align_celeba")) == 3
    for split, count in {"train": 5, "valid": 1, "test": 1}.items():
        before, after = opened(celeba, split, "celeba"), opened(tmp_path / "packed", split)
        assert len(before) == len(after) == count
        for one, other in zip(pipeline.read_split(before), pipeline.read_split(after), strict=True):
            assert one.name == other.name
            assert np.array_equal(one.pixels, other.pixels)
            assert np.array_equal(one.attributes, other.attributes)
    marks = landmarks.read_landmarks(tmp_path / "packed")
    assert marks is not None
    assert np.array_equal(marks["3.jpg"], landmarks.read_landmarks(celeba)["3.jpg"])


def test_a_training_sees_the_same_batches_and_names_the_same_broken_photo(celeba, tmp_path):
    pack.pack(celeba, tmp_path / "packed", 2)

    def batches(root, kind):
        skipped = tmp_path / kind / "skipped.txt"
        stream = pipeline.make_loader(
            opened(root, kind=kind), batch_size=4, size=8, skipped_file=skipped
        )
        return list(itertools.islice(stream, 4)), pipeline.read_skipped(skipped)

    before, broken = batches(celeba, "celeba")
    after, broken_then = batches(tmp_path / "packed", "array_record")
    for one, other in zip(before, after, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)
    assert list(broken.values()) == list(broken_then.values()) == ["not an image"]
    assert next(iter(broken_then)).endswith("packed/img_align_celeba/2.jpg")


def test_an_open_source_can_be_sent_to_worker_processes(folder, tmp_path):
    pack.pack(folder, tmp_path / "packed", 4)
    source = opened(tmp_path / "packed", "all")
    first = source[0]
    sent = pickle.loads(pickle.dumps(source))
    assert sent[0].name == first.name == "a/1.png"
    assert np.array_equal(sent[0].pixels, first.pixels)


def test_a_packed_folder_keeps_paths_splits_and_bytes(folder, tmp_path):
    assert pack.pack(folder, tmp_path / "packed", 4) == 6
    for split in ("train", "all"):
        before, after = opened(folder, split, "folder"), opened(tmp_path / "packed", split)
        assert [face.name for face in before] == [face.name for face in after]
    for photo in shards.read_shards(shards.list_shards(tmp_path / "packed")):
        assert photo.read_bytes() == (folder / photo.name).read_bytes()
    assert isinstance(opened(tmp_path / "packed", "all", "auto"), folders.PhotoFolder)


def test_packing_is_whole_or_not_at_all(folder, tmp_path, capsys):
    packed = tmp_path / "packed"
    (tmp_path / ".packed.part").mkdir()  # of a pack that was killed
    (tmp_path / ".packed.part" / "photos-00000-of-00009.array_record").write_bytes(b"half")
    assert pack.pack(folder, packed) == 6
    assert not (tmp_path / ".packed.part").exists()
    assert [path.name for path in shards.list_shards(packed)] == [
        "photos-00000-of-00001.array_record"
    ]
    assert pack.main([str(folder), str(packed)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert pack.main([str(tmp_path / "packed"), str(tmp_path / "other")]) == 2
    assert "no photos" in capsys.readouterr().err


def test_squares_are_those_that_a_training_would_cut_and_never_enlarged(celeba, tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    large = Image.fromarray(levels).resize((80, 100), Image.Resampling.BICUBIC)
    large.save(celeba / "img_align_celeba" / "0.jpg", quality=95)
    command = [str(celeba), str(tmp_path / "packed"), "--square", "32"]
    assert pack.main(command) == 0
    skipped = tmp_path / "skipped.txt"
    whole, cut = opened(celeba, "all", "celeba"), opened(tmp_path / "packed", "all")
    assert cut[0].pixels.shape == (32, 32, 3)
    assert cut[1].pixels.shape == (10, 10, 3)
    assert np.abs(cut[0].pixels.astype(int) - whole.square(0, 32, None, False).pixels).max() <= 8
    faces_of = {face.name: face for face in pipeline.read_split(cut, skipped_file=skipped)}
    assert sorted(faces_of) == ["0.jpg", "1.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg"]
    assert list(pipeline.read_skipped(skipped).values()) == ["not an image"]
    for face in pipeline.read_split(whole):
        assert np.array_equal(faces_of[face.name].attributes, face.attributes)
    assert landmarks.read_landmarks(tmp_path / "packed") is None  # they were of whole photos
    assert pack.main([*command[:1], str(tmp_path / "other"), "--square", "0"]) == 2


def test_shards_that_lack_something_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"no shards in it; make them with python -m"):
        opened(folder)
    packed = tmp_path / "packed"
    pack.pack(folder, packed, 2)
    first = packed / "photos-00000-of-00003.array_record"
    names = first.with_suffix(".names")
    for wrong, message in {
        '"a.png"\n': "lists 1 photos, but the shard holds 2",
        '"a.png"\n"../b.png"\n': "'../b.png' is not a path inside a folder",
        '"a.png"\n"a.png"\n': r"holds a\.png, which was there before",
        "a.png\nb.png\n": "expected one JSON string a line",
    }.items():
        names.write_text(wrong)
        with pytest.raises(ValueError, match=message):
            opened(packed)
    first.unlink()
    with pytest.raises(ValueError, match="not all of the 3 shards"):
        opened(packed)
    (tmp_path / "x.array_record").write_bytes(b"something else" * 100)
    with pytest.raises(ValueError, match="not an ArrayRecord file"):
        shards.read_shards([tmp_path / "x.array_record"])


def test_shards_without_names_number_their_photos(folder, tmp_path):
    pack.pack(folder, tmp_path / "packed")
    (path,) = shards.list_shards(tmp_path / "packed")
    path.with_suffix(".names").unlink()
    names = [photo.name for photo in shards.read_shards([path])]
    assert names[:2] == ["photos-00000-of-00001/000000", "photos-00000-of-00001/000001"]


def test_odd_names_survive(tmp_path):
    odd = ["a\nb.png", "ü #1.png", "c\udcff.png"]
    for value, name in enumerate(odd):
        save(tmp_path / "photos" / name, value)
    pack.pack(tmp_path / "photos", tmp_path / "packed")
    found = shards.open_photos(tmp_path / "packed")
    assert found.names == sorted(odd)
    assert [images.read_rgb(*found.find(name))[0, 0, 0] for name in odd] == [0, 1, 2]
