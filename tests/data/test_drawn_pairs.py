"""Pairs of drawn people: how the two differ, the cache, and the stream."""

import dataclasses

import grain
import numpy as np
import pytest

from dfd_jax.data import drawn_pairs, synthetic
from dfd_jax.data.expressions import ACTION_UNITS
from dfd_jax.data.pipeline import batched
from dfd_jax.data.synthetic import families

NAMES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
SIZE = 16


def changed(a, b):
    return {f.name for f in dataclasses.fields(a) if getattr(a, f.name) != getattr(b, f.name)}


def test_variants_differ_in_the_named_attributes_only():
    for index in range(8):
        face, *_ = family = families.family("attributes", 0, index)
        assert changed(face, family[1]) | changed(face, family[2]) <= {"hair_colour", "hair_shade"}
        assert {family[1].hair_colour, family[2].hair_colour} <= set(families.ASKED_HAIR)
        assert family[3].male != face.male
        assert changed(face, family[3]) <= {"male", "beard", "receding", "make_up"}
        labels = synthetic.attributes(family[4], NAMES) != synthetic.attributes(face, NAMES)
        assert labels.tolist() == [False] * 4 + [True]


def test_expressions_and_motions_keep_the_person():
    moment = {f.name for f in dataclasses.fields(synthetic.FaceParameters)}
    person = {"male", "age", "hair_colour", "nose_width", "texture_seed", "background", "clothes"}
    for kind in ("expressions", "motions"):
        face, *others = families.family(kind, 0, 3)
        assert len(others) == families.SIZE - 1
        for other in others:
            assert changed(face, other) <= moment - person
    poses = {(f.yaw, f.pitch, f.roll) for f in families.family("motions", 0, 3)}
    assert len(poses) == families.SIZE
    still = {(f.yaw, f.pitch, f.roll) for f in families.family("expressions", 0, 3)}
    assert len(still) == 1


def test_every_action_unit_but_the_dimpler_shows():
    face = synthetic.apply_action_units(synthetic.FaceParameters(), np.zeros(17))
    neutral = synthetic.render(face, 64).astype(int)
    for i, name in enumerate(ACTION_UNITS):
        units = np.eye(17)[i]
        moved = synthetic.render(synthetic.apply_action_units(face, units), 64)
        shows = np.abs(moved - neutral).max() > 15
        assert shows == (name not in ("AU06", "AU14")), name


def test_unknown_families_are_refused():
    with pytest.raises(ValueError, match=r"found family 'sizes', expected one of attributes"):
        families.family("sizes", 0, 0)


def test_the_cache_does_not_change_the_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(drawn_pairs, "PEOPLE_PER_FILE", 2)
    fresh = drawn_pairs.Pool("expressions", 3, SIZE, seed=4)
    cached = drawn_pairs.Pool("expressions", 3, SIZE, seed=4, folder=tmp_path)
    before = cached.picture(1, 2).copy()
    cached.fill()
    assert len(list(tmp_path.glob("*/*.npy"))) == 2
    again = drawn_pairs.Pool("expressions", 3, SIZE, seed=4, folder=tmp_path)
    monkeypatch.setattr(synthetic, "render", None)  # everything comes from the files
    for person in range(3):
        assert again.picture(person, 5).shape == (SIZE, SIZE, 3)
    np.testing.assert_array_equal(again.picture(1, 2), before)
    monkeypatch.undo()
    np.testing.assert_array_equal(fresh.picture(1, 2), before)


def test_held_out_people_are_not_in_the_training_set():
    train, held = (drawn_pairs.Pool("motions", 5, SIZE, held_out=out) for out in (False, True))
    seeds = [{p.parameters(i)[0].texture_seed for i in range(5)} for p in (train, held)]
    assert not seeds[0] & seeds[1]


@pytest.mark.parametrize("model", drawn_pairs.KINDS)
def test_a_stream_of_pairs_resumes_where_it_was(model):
    pool = drawn_pairs.Pool(drawn_pairs.KINDS[model], 2, SIZE)
    names = ACTION_UNITS if model == "ganimation" else NAMES
    batches = batched(drawn_pairs.Pairs(pool, names, seed=1), 2)
    next(batches)
    position, expected = batches.get_state(), next(batches)
    other = batched(drawn_pairs.Pairs(pool, names, seed=1), 2)
    other.set_state(position)
    found = next(other)
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])
    batches.close()
    other.close()


def test_labels_of_pairs_are_those_of_their_pictures():
    pool = drawn_pairs.Pool("attributes", 1, SIZE)
    rng = np.random.default_rng(0)
    for _ in range(6):
        pair = drawn_pairs.pair(pool, 0, NAMES, rng)
        shown = [pool.picture(0, i) for i in range(families.SIZE)]
        shown += [picture[:, ::-1] for picture in shown]
        for picture, labels in (("images", "attributes"), ("targets", "target_attributes")):
            fits = [
                i % families.SIZE
                for i, other in enumerate(shown)
                if np.array_equal(other, pair[picture])
            ]
            known = [synthetic.attributes(pool.parameters(0)[i], NAMES) for i in fits]
            assert any(np.array_equal(k, pair[labels]) for k in known)
        assert pair["paired"] == 1


def test_a_photo_gets_another_attribute_or_is_its_own_target():
    photo = np.zeros((SIZE, SIZE, 3), np.uint8)
    labels = np.array([1, 0, 0, 1, 0], np.float32)
    hair = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
    rng, seen = np.random.default_rng(1), []
    for _ in range(60):
        example = {"images": photo, "attributes": labels}
        asked = drawn_pairs.choose_attributes(NAMES, hair, 0.3, example, rng)
        same = np.array_equal(asked["target_attributes"], labels)
        assert asked["paired"] <= same  # the attribute drawn may be one the photo has
        assert asked["target_attributes"][:3].sum() == 1
        seen.append(float(asked["paired"]))
    assert 0 < sum(seen) < 60


def test_photos_have_their_share_of_a_mixed_stream():
    drawn, photos = (grain.MapDataset.source([name]).repeat(400) for name in ("drawn", "photo"))
    mixed = drawn_pairs.Mixed(drawn, photos, share=0.25, seed=0)
    found = [mixed[i] for i in range(400)]
    assert 60 < found.count("photo") < 140


def test_a_shift_moves_whole_pixels():
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    moved = drawn_pairs.shifted(picture, (1, 0))
    np.testing.assert_array_equal(moved[:, 1:], picture[:, :-1])
    np.testing.assert_array_equal(moved[:, 0], picture[:, 0])
