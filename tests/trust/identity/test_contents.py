"""Files and folders by what is in them."""

from __future__ import annotations

import os
import time

import pytest

from pytest_exprun.terms.model import Budget
from pytest_exprun.trust.identity.contents import BYTES, NAMES, TIMES, TREE, Watched, files_below
from tests.keyed import PLAIN, changed


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_FILES"])
def test_very_much_data_counts_by_time_stamps(project, monkeypatch, limit):
    """Above a limit, a new size or time is a change, and the component says that it went by those."""
    monkeypatch.setattr(f"pytest_exprun.trust.identity.contents.{limit}", 1)
    project.write(**{"data/a.txt": "12", "data/b.txt": "1"})
    old = project.key(inputs=("data",))
    assert old.components["input data"].startswith("by time stamps ")
    assert project.key(inputs=("data",)) == old
    project.write(**{"data/a.txt": "123"})
    assert changed(old, project.key(inputs=("data",))) == ["input data"]


def test_links_and_odd_files_in_a_folder(project):
    """Links to files count by content, rings of links end, sockets and dangling links are left out."""
    project.write(**{"data/a.txt": "1", "b.txt": "1"})
    (project.root / "data" / "link").symlink_to(project.root / "b.txt")
    (project.root / "data" / "ring").symlink_to(project.root / "data")
    (project.root / "data" / "dangling").symlink_to(project.root / "nothing")
    old = project.key(inputs=("data",))
    project.write(**{"b.txt": "2"})
    assert changed(old, project.key(inputs=("data",))) == ["input data"]


def test_a_big_input_with_the_same_times_is_not_read_again(project, monkeypatch):
    """Its time stamps say enough once it is old; a fresh one is read again."""
    path = project.root / "big.bin"
    path.write_bytes(b"x" * (2 << 20))
    fingerprinter = project.fingerprinter(inputs=("big.bin",))
    fingerprinter.key(PLAIN, Budget())
    path.write_bytes(b"y" * (2 << 20))
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    assert fingerprinter.sources_changed() == ["input big.bin"]
    reads = []
    later = project.fingerprinter(inputs=("big.bin",))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 60)
    later.key(PLAIN, Budget())
    monkeypatch.setattr("pytest_exprun.trust.identity.contents.file_digest", lambda path: reads.append(path) or "")
    assert later.sources_changed() == []
    assert reads == []


@pytest.mark.parametrize(
    ("how", "edit", "noticed"),
    [
        (BYTES, lambda folder: (folder / "a.py").write_text("x = 2"), True),
        (BYTES, lambda folder: (folder / "a.py").rename(folder / "b.py"), True),
        (NAMES, lambda folder: (folder / "a.py").write_text("x = 2"), False),
        (NAMES, lambda folder: (folder / "b.py").touch(), True),
        (NAMES, lambda folder: (folder / ".hidden").touch(), False),
        (TIMES, lambda folder: os.utime(folder / "a.py", (1, 1)), True),
        (TIMES, lambda folder: (folder / "deep" / "b.py").touch(), False),
    ],
)
def test_a_folder_counts_by_what_a_run_asked_of_it(tmp_path, how, edit, noticed):
    """By all that is below it, by the names in it, or by the times of the files in it."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.py").write_text("x = 1", encoding="utf-8")
    watched = Watched("x", (tmp_path,), how=how)
    before = watched.digest
    edit(tmp_path)
    assert (watched.measure() != before) is noticed


@pytest.mark.parametrize(("how", "noticed"), [(TREE, False), (BYTES, True)])
def test_a_source_counts_by_its_syntax_tree(tmp_path, how, noticed):
    """A comment is no change of it; as data each byte counts."""
    path = tmp_path / "a.py"
    path.write_text("x = 1\n", encoding="utf-8")
    watched = Watched("x", (path,), how=how)
    path.write_text("x = 1  # one\n", encoding="utf-8")
    assert (watched.measure() != watched.digest) is noticed


def test_what_cannot_be_read_is_absent(tmp_path):
    """No digest equals it, and what appears there later is a change."""
    watched = Watched("x", (tmp_path / "later",))
    assert watched.digest == "absent"
    (tmp_path / "later").touch()
    assert watched.measure() != "absent"


def test_what_nobody_trains_with_is_no_part_of_a_folder(tmp_path):
    """Hidden files, caches, virtual environments and the folders to skip; the others come in a fixed order."""
    for name in ("b.txt", "a/z.txt", ".git/x", "__pycache__/x.pyc", "env/pyvenv.cfg", "env/x.py", "out/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = files_below(tmp_path, frozenset({tmp_path / "out"}))
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a/z.txt", "b.txt"]
