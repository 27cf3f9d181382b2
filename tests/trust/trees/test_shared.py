"""Data that git ignores, in a tree all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.trust.files.accesses import OpenedFiles
from pytest_exprun.trust.trees.materialise import Trees
from pytest_exprun.trust.trees.shared import missing, told_by


@pytest.fixture
def lab(checkout):
    """Return a function that puts the working tree somewhere; `secret/` is ignored, `secret/big.bin` is there."""
    checkout.write(**{"secret__big.bin": "1", "secret__more.bin": "2"})

    def place(shared=""):
        settings = checkout.settings(shared=shared)
        trees = Trees(settings, checkout.repository())
        root = trees.place(trees.repository.working_tree())
        return settings.on_tree(root)

    return place


def test_it_is_linked(lab):
    """Into the tree, which stays the one that was written."""
    settings = lab("secret")
    assert (settings.root / "secret" / "big.bin").read_text(encoding="utf-8") == "1"
    assert (settings.root / "secret").is_symlink()
    assert lab("secret").root == settings.root


def test_what_a_tree_has_itself_stays(lab, checkout):
    """A glob names what is beside it."""
    checkout.commit("a tracked one", **{"data__rows.txt": "9\n"})
    (checkout.root / ".gitignore").write_text("secret/\n.exprun/\n*.bin\n", encoding="utf-8")
    checkout.write(**{"data__x.bin": "1"})
    settings = lab("data/*")
    assert not (settings.root / "data" / "rows.txt").is_symlink()
    assert (settings.root / "data" / "x.bin").is_symlink()


def test_a_link_of_the_state_leads_us_nowhere(checkout):
    """What it has in place of a shared folder is its own: nothing is made where that leads."""
    outside = checkout.root.parent / "outside"
    outside.mkdir()
    (checkout.root / "rows").mkdir()
    checkout.write(**{"rows__big.bin": "1"})
    settings = checkout.settings(shared="rows/big.bin")
    trees = Trees(settings, checkout.repository())
    (checkout.root / "rows").rename(checkout.root / "kept")
    (checkout.root / "rows").symlink_to(outside)
    state = trees.repository.working_tree()
    (checkout.root / "rows").unlink()
    (checkout.root / "kept").rename(checkout.root / "rows")
    trees.place(state)
    assert list(outside.iterdir()) == []


def test_what_is_not_shared_any_more_is_not_there(lab):
    """A link of another session is no part of the tree."""
    lab("secret")
    assert not (lab().root / "secret").exists()


@pytest.mark.parametrize("word", ["nosuch", "/etc/passwd", "../other"])
def test_what_is_not_there(lab, word):
    """One line says what is allowed."""
    with pytest.raises(SettingsError, match=r"exprun_shared = .*nothing of that name in .*allowed are"):
        lab(word)


def test_a_run_is_told_of_as_if_it_had_read_at_home(lab, checkout):
    """Also where it followed the link; the link itself is ours."""
    settings = lab("secret")
    heard = OpenedFiles()
    big, more = (
        str(folder / "secret" / name) for folder, name in ((settings.root, "big.bin"), (checkout.root, "more.bin"))
    )
    heard.add(
        Path("/"),
        {"r": {big: 1.0, more: 2.0}, "k": {str(settings.root / "secret"): 3.0, str(settings.root / "data"): 4.0}},
    )
    heard.add(Path("/"), {"e": {"HOME": 5.0}})
    told = told_by(heard, settings)
    assert told["r"] == {"secret/big.bin": 1.0, "secret/more.bin": 2.0}
    assert told["k"] == {"data": 4.0}
    assert told["e"] == {"HOME": 5.0}


def test_what_is_missing_is_named_with_the_line_that_shares_it(lab, checkout):
    """The folder that the tree lacks, or all that is beside what it has; what is nowhere is no news."""
    settings = lab()
    asked = {"r": {"secret/big.bin": 1.0, "nowhere.bin": 1.0}, "a": {"model.py": 1.0}, "e": {"secret": 1.0}}
    assert missing(asked, settings) == (
        f"it looked for secret/big.bin, which is in {checkout.root} but in no state of the code, as git ignores it: share it, "
        "exprun_shared = secret"
    )
    assert missing({"r": {"model.py": 1.0}}, settings) == ""
    (checkout.root / ".gitignore").write_text("secret/\n.exprun/\n*.bin\n", encoding="utf-8")
    (checkout.root / "data" / "x.bin").write_text("1", encoding="utf-8")
    (checkout.root / "alone.bin").write_text("1", encoding="utf-8")
    asked = {"a": {"data/x.bin": 1.0, "alone.bin": 1.0, ".exprun/outputs.json": 1.0}}
    assert missing(asked, settings).endswith("share it, exprun_shared = alone.bin data/*")


def test_what_git_does_not_ignore_is_to_be_committed(lab, checkout):
    """A new file belongs to the state of the working tree; sharing it would take it out of the comparison."""
    settings = lab()
    checkout.write(**{"config__new.py": "1", "secret__new.bin": "1"})
    ours, shared = missing({"r": {"config/new.py": 1.0, "secret/new.bin": 1.0}}, settings).split("\n")
    assert ours == (
        f"it looked for config/new.py, which is in {checkout.root} but not in this state of the code: commit what both sides need, and "
        "compare with a commit that has it (--against HEAD)"
    )
    assert shared.endswith("exprun_shared = secret")
