"""A file is the old one or the whole new one, never a part."""

import contextlib

from dfd_jax.runtime.files import atomic_write, replace_file, temporary_for


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path):
    path = tmp_path / "sub" / "a.mp4"
    with contextlib.suppress(KeyError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert list(path.parent.iterdir()) == []
    with atomic_write(path) as temporary:
        assert temporary.name.startswith(".")
        temporary.write_text("whole")
    assert [found.name for found in path.parent.iterdir()] == ["a.mp4"]
    assert path.read_text() == "whole"


def test_the_next_writer_overwrites_what_a_killed_one_left(tmp_path):
    path = tmp_path / ("long" * 60 + ".txt")
    temporary_for(path).write_text("half of a much longer file")
    replace_file(path, "größer")
    assert path.read_text(encoding="utf-8") == "größer"
    assert list(tmp_path.iterdir()) == [path]
