"""Trees as folders: complete or absent, used again while they are what was written, removed when nobody uses them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time

import pytest

from pytest_exprun.terms.errors import StoreError
from pytest_exprun.trust.trees.materialise import Trees


@pytest.fixture
def trees(checkout):
    """Return the folders of trees of a repository."""
    settings = checkout.settings()
    return Trees(settings, checkout.repository())


@pytest.fixture
def tree(trees):
    """Return the state of the working tree."""
    return trees.repository.working_tree()


def test_it_has_the_files_of_the_state(trees, tree):
    """They are read only; the folders are not, as a run may write below its working directory."""
    root = trees.place(tree)
    assert root == trees.folder / tree.id
    assert (root / "model.py").read_text(encoding="utf-8") == "RATE = 1\n"
    assert not stat.S_IMODE((root / "model.py").stat().st_mode) & 0o222
    assert stat.S_IMODE((root / "data").stat().st_mode) & stat.S_IWUSR


def test_the_root_may_lie_below(checkout):
    """Then it does so in the tree too."""
    checkout.commit("sub", **{"sub__train.py": "x\n"})
    checkout.root = checkout.root / "sub"
    trees = Trees(checkout.settings(), checkout.repository())
    tree = trees.repository.working_tree()
    assert trees.place(tree) == trees.folder / tree.id / "sub"
    assert (trees.place(tree).parent / "model.py").is_file()


def test_equal_states_share_a_folder(trees, tree):
    """It is not written again: also by another session, and after compiled modules were left there."""
    root = trees.place(tree)
    before = root.stat().st_ino
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "model.pyc").write_bytes(b"")
    assert trees.place(tree) == root
    assert root.stat().st_ino == before


@pytest.mark.parametrize(
    "depart",
    [
        lambda root: (root / "out.txt").write_text("left by a run", encoding="utf-8"),
        lambda root: (root / "model.py").unlink(),
        lambda root: ((root / "model.py").unlink(), (root / "model.py").write_text("RATE = 9\n", encoding="utf-8")),
    ],
    ids=["more", "less", "other"],
)
def test_what_a_run_left_or_changed_is_not_used_again(trees, tree, depart):
    """A new folder is written beside it, for a run may still be on in the old one."""
    root = trees.place(tree)
    depart(root)
    fresh = trees.place(tree)
    assert fresh == root.with_name(f"{tree.id}-1")
    assert sorted(path.name for path in fresh.iterdir()) == [".gitignore", "data", "model.py"]
    assert (fresh / "model.py").read_text(encoding="utf-8") == "RATE = 1\n"
    assert trees.place(tree) == fresh


def test_two_at_once_and_a_killed_one(checkout, tree):
    """Whoever is killed while he writes leaves no half tree; the next ones find it whole."""
    script = (
        "import sys; from pathlib import Path; from pytest_exprun.settings.settings import Settings\n"
        "from pytest_exprun.trust.trees.snapshot import Repository; from pytest_exprun.trust.trees.materialise import Trees\n"
        "s = Settings.read({'trainer': 'toy:main'}, Path(sys.argv[1])); r = Repository.around(s)\n"
        "print(Trees(s, r).place(r.working_tree()))\n"
    )
    command = [sys.executable, "-c", script, str(checkout.root)]
    for delay in (0.0, 0.2, 0.3, 0.35, 0.4):
        killed = subprocess.Popen(command, stdout=subprocess.PIPE)
        time.sleep(delay)
        killed.kill()
        killed.communicate()
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {each.communicate()[0] for each in both}
    assert printed == {f"{checkout.root}/.exprun/trees/{tree.id}\n"}
    folder = checkout.root / ".exprun" / "trees" / tree.id
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "data", "model.py"]
    assert checkout.git("status", "--porcelain") == ""


def test_what_nobody_used_for_a_week_is_removed(trees, tree, checkout):
    """A folder with its index, and what killed sessions left; never the objects."""
    root = trees.place(tree)
    (trees.folder / ".new-killed" / "files").mkdir(parents=True)
    ages_ago = time.time() - 8 * 24 * 3600
    for path in (root, root.with_name(f"{tree.id}.index"), trees.folder / ".new-killed", trees.repository.objects):
        os.utime(path, (ages_ago, ages_ago))
    checkout.write(**{"model.py": "RATE = 2\n"})
    other = trees.repository.working_tree()
    trees.place(other)
    assert sorted(path.name for path in trees.folder.iterdir()) == sorted(
        [".gitignore", "objects", other.id, f"{other.id}.index"]
    )


def test_what_a_killed_session_left_goes_soon(trees, tree):
    """After an hour nobody writes a tree any more; what makes git overlook them all stays."""
    trees.place(tree)
    left = [trees.folder / name for name in (".new-killed", ".index-killed")]
    for path in left:
        (path / "files").mkdir(parents=True)
    hours_ago, ages_ago = time.time() - 2 * 3600, time.time() - 8 * 24 * 3600
    os.utime(left[0], (hours_ago, hours_ago))
    os.utime(trees.folder / ".gitignore", (ages_ago, ages_ago))
    trees.place(tree)
    assert [path.exists() for path in left] == [False, True]
    assert (trees.folder / ".gitignore").exists()


def test_no_room(trees, tree, monkeypatch):
    """One line says what cannot be done, where, and what to set."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(trees.repository), "write", full)
    with pytest.raises(
        StoreError, match=r"main cannot be put into .*No space left on device.*set exprun_store to a folder with room"
    ):
        trees.place(type(tree)(tree.id, "main"))
    assert [path.name for path in trees.folder.iterdir() if path.name.startswith(".new")] == []


def test_a_filter_that_does_not_give_back_what_it_was_given(checkout):
    """Such a tree is used again all the same: line endings that were committed as they should not be are such a case."""
    checkout.commit("crlf", **{"run.bat": "a\r\nb\r\n"})
    checkout.commit("attributes", **{".gitattributes": "*.bat text eol=lf\n*.dat filter=other\n", "x.dat": "pointer\n"})
    checkout.git("config", "filter.other.smudge", "echo the data #")
    checkout.git("config", "filter.other.clean", "cat")
    trees = Trees(checkout.settings(), checkout.repository())
    tree = trees.repository.tree_of(trees.repository.commit("HEAD"))
    root = trees.place(tree)
    assert root.name == tree.id
    assert (root / "x.dat").read_text(encoding="utf-8") == "the data\n"
    assert trees.place(tree) == root
