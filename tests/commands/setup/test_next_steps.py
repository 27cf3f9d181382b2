"""What is printed can be pasted: the commit holds what both sides need, and not the patch."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_exprun.commands.setup.next_steps import Place, next_steps
from pytest_exprun.terms.errors import RefusedError

COMMIT = 'git commit -m "how to train"'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Stand in an empty folder, with somebody who can commit."""
    monkeypatch.chdir(tmp_path)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "a")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@b")
    return tmp_path


def git(*words):
    """Run git here."""
    subprocess.run(["git", *words], check=True, capture_output=True)


def first(folder, **said):
    """Return the first command."""
    files = [folder / "pytest.ini", Path("it's.py")]
    return next(next_steps(Place.of(folder), files=files, test=None, **{"patched": False, **said}))[0]


def test_in_no_repository_one_is_begun(folder):
    """And that is said, for the data would be committed."""
    assert first(folder) == f"git init && git add . && {COMMIT}"
    assert "in no repository" in Place.of(folder).notes()[0]


def test_without_a_commit_everything_is_committed(folder):
    """The control needs all files."""
    git("init")
    assert Place.of(folder).notes() == []
    assert first(folder, patched=True).startswith("git apply exprun-init.patch && rm exprun-init.patch && git add . &&")


def test_what_was_written_is_committed_by_name(folder):
    """Nothing that lies around, nothing that git ignores; file names are quoted."""
    git("init")
    git("commit", "--allow-empty", "-m", "a")
    assert first(folder) == f"git add pytest.ini 'it'\"'\"'s.py' && {COMMIT}"
    Path(".gitignore").write_text("pytest.ini\n")
    assert "pytest.ini" not in first(folder)


def test_the_printed_lines_work(folder):
    """Pasted into a shell they leave a clean working tree: the patch is in no commit and gone."""
    git("init")
    Path("it's.py").write_text("a\n")
    git("add", ".")
    git("commit", "-m", "a")
    Path("pytest.ini").write_text("[pytest]\n")
    Path("exprun-init.patch").write_text("--- a/it's.py\n+++ b/it's.py\n@@ -1 +1 @@\n-a\n+b\n")
    subprocess.run(["sh", "-c", first(folder, patched=True)], check=True, capture_output=True)
    assert subprocess.run(["git", "status", "--porcelain"], check=True, capture_output=True).stdout == b""
    assert Path("it's.py").read_text() == "b\n"
    assert Place.of(folder).is_committed(Path("pytest.ini"))


def test_a_bare_repository_is_refused_in_its_own_words(folder):
    """There is no file to train with, and `git init` would not help."""
    git("init", "--bare")
    with pytest.raises(RefusedError, match=r"is a bare repository, which holds no files .*git worktree add"):
        Place.of(folder)


def test_a_repository_that_git_does_not_trust_is_not_begun_anew(folder, monkeypatch):
    """Its words say what to do, and `git init` would be wrong."""
    git("init")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    place = Place.of(folder)
    assert "dubious ownership" in place.notes()[0]
    assert list(next_steps(place, patched=False, files=[folder / "pytest.ini"], test=None)) == []


def test_without_git_the_patch_is_applied_by_patch(folder, monkeypatch):
    """And what needs git is not proposed."""
    monkeypatch.setenv("PATH", str(folder))
    place = Place.of(folder)
    assert "not installed" in place.notes()[0]
    steps = list(next_steps(place, patched=True, files=[], test=folder / "experiments" / "test_lr.py"))
    assert [command for command, _ in steps] == [
        "patch -p1 < exprun-init.patch && rm exprun-init.patch",
        "pytest experiments/ -k lr",
    ]
