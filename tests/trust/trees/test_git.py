"""Git as we start it: its own words where it fails, and which files it leaves out."""

from __future__ import annotations

import pytest

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.trust.trees.git import Git, is_ignored, refuse_bare


def test_what_it_prints_and_what_it_is_told(checkout):
    """As text and as bytes; names that are no text go through."""
    git = Git(checkout.root)
    assert git("rev-parse", "HEAD").strip() == checkout.git("rev-parse", "HEAD")
    told = git.bytes("hash-object", "--stdin", told=b"RATE = 1\n")
    assert told.decode().strip() == checkout.git("hash-object", "model.py")


def test_a_failure_is_one_line(checkout):
    """With git's words and where."""
    with pytest.raises(RefusedError, match=r"^git cat-file in .*: fatal: Not a valid object name nosuch$"):
        Git(checkout.root)("cat-file", "-t", "nosuch")


def test_which_files_it_leaves_out(checkout, tmp_path):
    """Those that it ignores; where there is no repository, all of them."""
    checkout.write(**{"secret__big.bin": "1"})
    assert is_ignored(checkout.root / "secret" / "big.bin")
    assert not is_ignored(checkout.root / "model.py")
    assert is_ignored(tmp_path / "elsewhere.txt")


def test_a_bare_repository_has_its_own_words(checkout, tmp_path):
    """`git init` would not help there; a working tree and a folder in no repository pass."""
    checkout.git("clone", "--bare", ".", str(tmp_path / "bare.git"))
    with pytest.raises(RefusedError, match=r"bare\.git is a bare repository, which holds no files .*git worktree add"):
        refuse_bare(tmp_path / "bare.git")
    refuse_bare(checkout.root)
    (tmp_path / "elsewhere").mkdir()
    refuse_bare(tmp_path / "elsewhere")
