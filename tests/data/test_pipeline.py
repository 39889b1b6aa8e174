"""Batches: seeded, reshuffled, shared out, resumable; unreadable photos left out and named."""

import itertools
import json
import pathlib

import numpy as np
import pytest

from dfd_jax.data import pipeline
from dfd_jax.data.faces import Face
from dfd_jax.data.folders import CelebaFolder, PhotoFolder
from dfd_jax.data.images import UnreadableImage
from dfd_jax.data.saving import write_photo

PORTRAITS = pathlib.Path(__file__).parents[3] / "shared" / "portraits"


class Numbered:
    """Faces that carry their number as attribute; left half dark, right half bright."""

    attribute_names = known_names = ("number",)

    def __init__(self, count, broken=()):
        self.count, self.broken = count, frozenset(broken)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index in self.broken:
            raise UnreadableImage(f"photos/{index}.jpg", "an empty file")
        pixels = np.full((20, 16, 3), 100, np.uint8)
        pixels[:, 8:] = 200
        return Face(pixels, np.array([index], np.float32), str(index))


def loader(source, **options):
    return pipeline.make_loader(source, **{"batch_size": 4, "size": 8, "crop": None, **options})


def numbers(batches, count=None):
    """The photos' numbers in the first `count` batches, in order."""
    taken = itertools.islice(batches, count)
    return [int(n) for batch in taken for n in batch["attributes"][:, 0]]


def is_mirrored(batch):
    return batch["images"][:, 4, 0, 0] == 200


def equal(first, second):
    return first.keys() == second.keys() and all((first[k] == second[k]).all() for k in first)


def test_batches_have_the_promised_shapes_and_types():
    batch = next(loader(Numbered(10)))
    assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
        "images": ((4, 8, 8, 3), np.uint8),
        "attributes": ((4, 1), np.float32),
    }


def test_an_epoch_has_every_photo_once_and_the_next_has_another_order():
    order = numbers(loader(Numbered(12)), 9)
    epochs = [order[:12], order[12:24], order[24:]]
    for epoch in epochs:
        assert sorted(epoch) == list(range(12))
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_the_seed_fixes_the_stream():
    first, again, other = (
        list(itertools.islice(loader(Numbered(12), seed=seed), 6)) for seed in (1, 1, 2)
    )
    assert all(equal(a, b) for a, b in zip(first, again, strict=True))
    assert numbers(first) != numbers(other)


def test_training_mirrors_about_half_of_the_photos_anew_in_each_epoch():
    batches = list(itertools.islice(loader(Numbered(40), batch_size=40), 4))
    mirrored = [dict(zip(numbers([b]), is_mirrored(b), strict=True)) for b in batches]
    assert 0.35 < np.mean([list(epoch.values()) for epoch in mirrored]) < 0.65
    assert mirrored[0] != mirrored[1]
    batch = batches[0]
    dark = np.where(is_mirrored(batch)[:, None], batch["images"][:, :, -1, 0], 0)
    assert set(np.unique(dark)) == {0, 100}


def test_without_training_it_is_one_epoch_in_order_and_the_last_batch_is_smaller():
    batches = list(loader(Numbered(10), train=False))
    assert [len(batch["images"]) for batch in batches] == [4, 4, 2]
    assert numbers(batches) == list(range(10))
    assert not any(is_mirrored(batch).any() for batch in batches)


def test_processes_share_out_one_global_stream():
    options = {"seed": 5, "process_count": 3}
    whole = list(itertools.islice(loader(Numbered(20), seed=5, batch_size=12), 4))
    parts = [loader(Numbered(20), process_index=p, **options) for p in range(3)]
    for batch in whole:
        together = [next(part) for part in parts]
        joined = {k: np.concatenate([of[k] for of in together]) for k in batch}
        assert equal(joined, batch)
    ordered = [
        numbers(loader(Numbered(18), train=False, process_index=p, process_count=3))
        for p in range(3)
    ]
    assert ordered == [[0, 1, 2, 3, 12, 13, 14, 15], [4, 5, 6, 7, 16, 17], [8, 9, 10, 11]]


def test_randomness_does_not_depend_on_the_number_of_processes():
    whole = next(loader(Numbered(64), batch_size=64, seed=3))
    half = next(loader(Numbered(64), batch_size=32, seed=3, process_index=1, process_count=2))
    np.testing.assert_array_equal(is_mirrored(half), is_mirrored(whole)[32:])


def add_noise(example, rng):
    return {**example, "noise": rng.random(2)}


def test_transform_may_add_keys_and_has_its_own_randomness_per_example():
    first, second = (next(loader(Numbered(12), transform=add_noise, seed=1)) for _ in range(2))
    assert first["noise"].shape == (4, 2)
    assert len(np.unique(first["noise"])) == 8
    assert equal(first, second)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_restored_position_continues_bit_for_bit(after):
    def fresh():
        return loader(Numbered(11, broken={3}), transform=add_noise)

    batches = fresh()
    for _ in range(after):
        next(batches)
    state = batches.get_state()
    expected = list(itertools.islice(batches, 8))
    restored = fresh()
    next(restored)
    restored.set_state(json.loads(json.dumps(state)))
    assert all(equal(a, b) for a, b in zip(expected, restored, strict=False))


def test_unreadable_photos_are_replaced_or_left_out_and_named_once(tmp_path):
    skipped = tmp_path / "run" / "skipped.txt"
    source = Numbered(9, broken={2, 5})
    assert set(numbers(loader(source, skipped_file=skipped), 10)) == set(range(9)) - {2, 5}
    assert sorted(skipped.read_text().splitlines()) == [
        "photos/2.jpg\tan empty file",
        "photos/5.jpg\tan empty file",
    ]
    batches = list(loader(source, train=False, skipped_file=skipped))
    assert numbers(batches) == [0, 1, 3, 4, 6, 7, 8]
    assert len(skipped.read_text().splitlines()) == 2
    assert pipeline.read_skipped(skipped) == dict.fromkeys(
        ["photos/2.jpg", "photos/5.jpg"], "an empty file"
    )
    assert pipeline.read_skipped(tmp_path / "none.txt") == {}


def test_odd_file_names_stay_one_line_each(tmp_path):
    class Odd(Numbered):
        def __getitem__(self, index):
            if index == 0:
                raise UnreadableImage("a\tb\nc\udcff.jpg", "broken\nbadly")
            return super().__getitem__(index)

    list(loader(Odd(3), train=False, skipped_file=tmp_path / "skipped.txt"))
    found = pipeline.read_skipped(tmp_path / "skipped.txt")
    assert found == {"a b c\udcff.jpg": "broken badly"}


@pytest.mark.parametrize("train", [True, False])
def test_a_source_without_any_readable_photo_stops_instead_of_searching_forever(train):
    batches = loader(Numbered(5, broken=range(5)), train=train)
    with pytest.raises(ValueError, match=r"none of the 5 photos can be read; photos/"):
        next(batches)


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="the source has no photo"):
        loader(Numbered(0))
    with pytest.raises(ValueError, match="found process 2 of 2"):
        loader(Numbered(3), process_index=2, process_count=2)


def test_a_real_folder_with_broken_files(tmp_path):
    for i in range(6):
        write_photo(tmp_path / f"{i}.jpg", np.full((30, 20, 3), 40 * i, np.uint8), format="jpeg")
    whole = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(whole[:-100])
    (tmp_path / "4.jpg").write_bytes(b"")
    source = PhotoFolder(tmp_path, "all", 0, ("Male",))
    skipped = tmp_path / "skipped.txt"
    batches = loader(source, train=False, skipped_file=skipped)
    levels = np.concatenate([batch["images"][:, 4, 4, 0] for batch in batches]).astype(int)
    assert np.abs(levels - [0, 80, 120, 200]).max() <= 2
    reasons = pipeline.read_skipped(skipped)
    assert "truncated" in reasons[str(tmp_path / "1.jpg")].lower()
    assert reasons[str(tmp_path / "4.jpg")] == "an empty file"


@pytest.mark.slow
def test_worker_processes_decode_every_photo_skip_and_resume(tmp_path):
    for i in range(12):
        write_photo(tmp_path / f"{i:02d}.png", np.full((8, 8, 3), i, np.uint8))
    (tmp_path / "05.png").write_bytes(b"")
    (tmp_path / "08.png").write_bytes(b"")
    source = PhotoFolder(tmp_path, "all", 0, ("Male",))
    options = {"batch_size": 2, "workers": 2, "skipped_file": tmp_path / "skipped.txt"}
    batches = loader(source, train=False, **options)
    first = next(batches)
    state = batches.get_state()
    rest = list(batches)
    seen = sorted(int(level) for b in [first, *rest] for level in b["images"][:, 0, 0, 0])
    assert seen == sorted(set(range(12)) - {5, 8})
    assert set(pipeline.read_skipped(tmp_path / "skipped.txt")) == {
        str(tmp_path / "05.png"),
        str(tmp_path / "08.png"),
    }
    batches.set_state(state)
    assert all(equal(a, b) for a, b in zip(rest, batches, strict=True))
    batches.close()


def test_read_split_is_a_fixed_selection_in_the_sources_order(tmp_path):
    skipped = tmp_path / "skipped.txt"
    source = Numbered(30, broken={4})
    chosen = [face.name for face in pipeline.read_split(source, limit=10, seed=1)]
    assert chosen == [face.name for face in pipeline.read_split(source, limit=10, seed=1)]
    assert chosen == sorted(set(chosen), key=int)
    assert len(chosen) == 10
    assert chosen != [face.name for face in pipeline.read_split(source, limit=10, seed=2)]
    everything = pipeline.read_split(source, skipped_file=skipped)
    assert [face.name for face in everything] == [str(i) for i in range(30) if i != 4]
    assert list(pipeline.read_skipped(skipped)) == ["photos/4.jpg"]


def test_read_split_replaces_unreadable_photos():
    assert len(pipeline.read_split(Numbered(10, broken=range(6)), limit=4)) == 4
    with pytest.raises(ValueError, match="none of the 3 photos can be read"):
        pipeline.read_split(Numbered(3, broken=range(3)))


@pytest.mark.skipif(not PORTRAITS.exists(), reason="needs ../shared/portraits")
def test_real_photographs_fill_batches():
    source = CelebaFolder(PORTRAITS, "test", ("Male", "Young"))
    batches = list(pipeline.make_loader(source, batch_size=20, size=64, train=False))
    assert [len(batch["images"]) for batch in batches] == [20, 20, 20, 3]
    assert all(batch["images"].std() > 20 for batch in batches)
    faces = pipeline.read_split(source)
    expected = np.stack([face.attributes for face in faces])
    np.testing.assert_array_equal(np.concatenate([b["attributes"] for b in batches]), expected)
