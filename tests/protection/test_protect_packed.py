"""Photos that are no files of their own: protected from shards and from tensorflow-datasets."""

import json
import pathlib
import shutil

import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from protect_helpers import (
    hashes,
    pixels,
    records,
    run,
    save,
)

from dfd_jax.data import pack
from dfd_jax.protection import inputs


def test_a_packed_folder_gives_the_files_that_the_folder_gives(photos, workdir, tmp_path):
    (photos / "broken.jpg").write_bytes(b"no photo")
    pack.pack(photos, tmp_path / "packed", 3)
    for name in ("photos", "packed"):
        assert run(tmp_path / name, tmp_path / f"{name}-out", "--workdir", workdir) == 1
    assert hashes(tmp_path / "packed-out") == hashes(tmp_path / "photos-out")
    assert records(tmp_path / "packed-out") == records(tmp_path / "photos-out")
    assert records(tmp_path / "packed-out")["broken.jpg"]["reason"] == "not an image"


def test_packed_photos_are_done_once_and_shared_out(photos, workdir, tmp_path, capsys):
    pack.pack(photos, tmp_path / "packed", 4)
    command = (tmp_path / "packed", tmp_path / "out", "--workdir", workdir)
    for process in range(2):
        assert run(*command, "--processes", 2, "--process", process) == 0
    capsys.readouterr()
    assert run(*command) == 0
    assert "0 protected, 6 were done already" in capsys.readouterr().out


def test_a_shard_alone_and_shards_below_a_folder_keep_their_names(photos, tmp_path):
    pack.pack(photos, tmp_path / "all" / "inner", 4)
    save(tmp_path / "all" / "9.png", pixels())
    found = inputs.find_inputs([str(tmp_path / "all")])
    assert sorted(found) == ["9.png", *(f"inner/{i}.png" for i in range(5)), "inner/sub/deep/x.jpg"]
    assert found["inner/1.png"].read_bytes() == (photos / "1.png").read_bytes()
    shard = str(tmp_path / "all" / "inner" / "photos-00000-of-00002.array_record")
    assert list(inputs.find_inputs([shard, shard])) == [f"{i}.png" for i in range(4)]


def test_a_broken_shard_is_refused(workdir, tmp_path, capsys):
    (tmp_path / "x.array_record").write_bytes(b"something else" * 100)
    assert run(tmp_path / "x.array_record", tmp_path / "out", "--workdir", workdir) == 2
    assert "not an ArrayRecord file" in capsys.readouterr().err


# tensorflow-datasets


def field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer that holds bytes or another message."""
    length, size = len(content), b""
    while length > 127:
        size, length = size + bytes([length % 128 + 128]), length // 128
    return bytes([number * 8 + 2]) + size + bytes([length]) + content


def prepared(folder: pathlib.Path, photos: list[pathlib.Path], feature: str = "image") -> None:
    """A data set as tensorflow-datasets prepares it, here without TensorFlow."""
    folder = folder / "my_photos" / "1.0.0"
    folder.mkdir(parents=True)
    shard = folder / "my_photos-test.array_record-00000-of-00001"
    writer = ArrayRecordWriter(str(shard), "group_size:1")
    for photo in photos:
        value = field(1, field(1, photo.read_bytes()))
        entry = field(1, feature.encode()) + field(2, value)
        writer.write(field(1, field(1, entry)))
    writer.close()
    split = {
        "name": "test",
        "shardLengths": [str(len(photos))],
        "numBytes": "1",
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    }
    info = {"name": "my_photos", "version": "1.0.0", "fileFormat": "array_record"}
    (folder / "dataset_info.json").write_text(json.dumps({**info, "splits": [split]}))
    features = "tensorflow_datasets.core.features"
    image = {"shape": {"dimensions": ["-1", "-1", "3"]}, "dtype": "uint8"}
    known = {feature: {"pythonClassName": f"{features}.image_feature.Image", "image": image}}
    tree = {
        "pythonClassName": f"{features}.features_dict.FeaturesDict",
        "featuresDict": {"features": known},
    }
    (folder / "features.json").write_text(json.dumps(tree))


def test_a_prepared_data_set_is_protected(photos, workdir, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    prepared(tmp_path / "tfds", [photos / f"{i}.png" for i in range(3)])
    assert run("tfds:my_photos/test", tmp_path / "a", "--workdir", workdir, "--batch", 2) == 0
    assert set(hashes(tmp_path / "a")) == {f"test/00000{i}.png" for i in range(3)}
    for i in range(3, 5):
        (photos / f"{i}.png").unlink()
    shutil.rmtree(photos / "sub")
    assert run(photos, tmp_path / "b", "--workdir", workdir, "--batch", 2) == 0
    assert sorted(hashes(tmp_path / "a").values()) == sorted(hashes(tmp_path / "b").values())


def test_data_sets_that_cannot_be_read_are_refused(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    prepared(tmp_path / "tfds", [photos / "0.png"], feature="picture")
    for asked, message in {
        "tfds:my_photos": "expected tfds:NAME/SPLIT",
        "tfds:my_photos/train": "has no split 'train'; it has test",
        "tfds:my_photos/test": "no feature called image; it has picture",
        "tfds:nothing_of_the_kind/test": "^Dataset nothing_of_the_kind not found.$",
        "tfds:celeb_a/test": "is not prepared in",
    }.items():
        with pytest.raises(ValueError, match=message):
            inputs.find_inputs([asked])
