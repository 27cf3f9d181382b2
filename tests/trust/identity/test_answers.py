"""Labels for what runs asked of their surroundings, and what each is answered by."""

from __future__ import annotations

import pytest

from pytest_exprun.settings.settings import Settings
from pytest_exprun.trust.files.accesses import OpenedFiles
from pytest_exprun.trust.files.places import Own
from pytest_exprun.trust.identity import answers as module
from pytest_exprun.trust.identity.answers import Answers, may_be_harmless, unproven, versions
from pytest_exprun.trust.identity.key import Key


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Return a function that makes a session's answers; temporary files lie elsewhere, and so does the home folder."""
    (tmp_path / "root").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return lambda: Answers(tmp_path / "root", Own(Settings(root=tmp_path / "root")))


@pytest.mark.parametrize(
    ("label", "first", "second", "equal"),
    [
        ("file a.py", "x = 1\n", "x = 1  # a comment\n", False),
        ("source a.py", "x = 1\n", "x = 1  # a comment\n", True),
        ("source a.py", "x = 1\n", "x = 2\n", False),
        ("library a.py", "x = 1\n", "x = 1  # a comment\n", False),
        ("program a.py", "x = 1\n", "x = 1  # a comment\n", False),
        ("names in .", "x = 1\n", "x = 2\n", True),
        ("times in .", "1", "22", False),
        ("of a newer version a.py", "1", "2", True),
    ],
)
def test_each_word_has_its_own_answer(fresh, label, first, second, equal):
    """Bytes, syntax trees, names, times."""
    found = []
    for text in (first, second):
        (fresh().root / "a.py").write_text(text, encoding="utf-8")
        found.append(fresh().of(label))
    assert (found[0] == found[1]) is equal


@pytest.mark.parametrize("word", ["file", "source", "names in", "times in", "library", "program", "environment"])
def test_what_is_not_there_is_absent(fresh, word):
    """An answer like any other."""
    assert fresh().of(f"{word} gone") == "absent"


def test_variables(fresh, monkeypatch):
    """By a hash of the value that is there now."""
    monkeypatch.setenv("ASKED", "hunter2")
    found = fresh()
    first = found.of("environment ASKED")
    monkeypatch.setenv("ASKED", "hunter3")
    assert found.of("environment ASKED") != first
    assert "hunter2" not in first


def test_names_that_colleagues_share(fresh, tmp_path):
    """From the root, from the home folder, or in full; each leads back to its file."""
    for path, name in (
        (tmp_path / "root" / "a", "a"),
        (tmp_path / "home" / "b", "~/b"),
        (tmp_path / "c", str(tmp_path / "c")),
    ):
        path.write_text("x", encoding="utf-8")
        assert fresh().name(path) == name
        assert fresh().of(f"file {name}") != "absent"


def test_very_much_data_counts_by_times(fresh, monkeypatch):
    """Folders that hold a good part of it; a small file of the root and what lies in small folders count by their bytes."""
    monkeypatch.setattr(module, "MOST_FILES", 10)
    root = fresh().root
    for name in [*(f"big/{number}" for number in range(12)), "small.json"]:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x", encoding="utf-8")
    files = OpenedFiles()
    with files.recording():
        for path in (*(root / "big").iterdir(), root / "small.json"):
            path.read_bytes()
    labels = list(fresh().labels(files, [], []))
    assert labels == ["times in big", "file small.json", "names in big"]


def test_what_one_seed_may_prove():
    """Sources; data only where they turn out to be sources too."""
    assert [may_be_harmless(f"{word} a.py") for word in ("source", "file", "program", "environment")] == [
        True,
        True,
        False,
        False,
    ]
    changed = ["file a.py", "file b.py", "file c.py", "source d.py"]
    assert unproven(changed, ["source a.py"], Key({"source b.py": "1"})) == ["file c.py"]


def test_a_package_counts_by_its_version_and_those_of_what_it_requires():
    """One that is not installed is absent."""
    said = versions("pytest").split(", ")
    assert f"pytest {pytest.__version__}" in said
    assert any(each.startswith("pluggy ") for each in said)
    assert versions("no_such_module") == "absent"
