"""A file that is replaced in one step."""

import os
from pathlib import Path

import pytest

from pytest_exprun.terms.whole_file import replace_file


def test_the_folder_is_made_and_nothing_else_is_left(tmp_path):
    """A file that was there is replaced."""
    path = tmp_path / "deep" / "down" / "notes.json"
    replace_file(path, "first\n")
    replace_file(path, "second, ß\n")
    assert path.read_text(encoding="utf-8") == "second, ß\n"
    assert [each.name for each in path.parent.iterdir()] == ["notes.json"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_step_leaves_the_old_file_and_no_part_of_the_new_one(tmp_path, monkeypatch, step):
    """Whatever fails, there is always one whole file of that name."""
    path = tmp_path / "notes.json"
    replace_file(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[step], fail)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["notes.json"]
