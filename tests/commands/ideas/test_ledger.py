"""`exprun ledger`: what was asked, whether it was changed, and one ledger made of two."""

from __future__ import annotations

import re
import sys

import pytest

from pytest_exprun.trust.ledger import chain
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.store.store import ATTRIBUTES
from tests.shell import ROPE, snapshot
from tests.states import Checkout


@pytest.fixture
def ledger(project):
    """Return the project's ledger."""
    return Ledger(project.pytester.path / ".exprun")


def grow(ledger, *words):
    """Add lines; return the head."""
    return [ledger.append("asked", {"id": word}) for word in words][-1]


def test_nothing_was_asked_yet(exprun, project):
    """Reading makes nothing; there is nothing to verify."""
    before = snapshot(project.pytester.path)
    assert "nothing was asked yet" in exprun("ledger")
    assert "there is no ledger" in exprun.refused("ledger", "verify")
    exprun("ledger", "verify", "--head", "a" * 64, status=1)
    assert "NOT VALID: no line has the hash" in exprun.out
    assert snapshot(project.pytester.path) == before


def test_what_was_asked_is_listed(exprun, project, ledger):
    """A line a question with what became of it; --json has all that is known."""
    project.write(
        ROPE
        + '\n@experiment("--rpoe")\ndef test_typo(): ...\n@experiment("--rope", "--shift=1", baseline="--rope")\ndef test_x(): ...'
    )
    project.run()
    grow_open = Ledger(ledger.root)
    grow_open.append(
        "asked", {**grow_open.entries()[0], "id": "f" * 16, "name": "killed", "patch": "c" * 64} | OF_NO_LINE
    )
    lines = exprun("ledger").splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d  rope: WINNER, \+\d+\.\d sigmas on 3 seeds \(--rope\)", lines[0])
    assert "typo: refused: experiment typo (--rpoe): " in exprun.flat()
    assert "(--rpoe)" in exprun.out
    assert "killed: no outcome (--rope diff ccccccc)" in exprun.flat()
    assert exprun.flat().endswith(f"7 lines, head {ledger.head}")
    found = exprun.told("ledger")["ledger"]
    assert (found["lines"], found["head"]) == (7, ledger.head)
    assert [each["name"] for each in found["questions"]] == ["rope", "typo", "x", "killed"]
    assert [each["outcome"] and each["outcome"]["result"] for each in found["questions"]] == [
        "judged",
        "refused",
        "judged",
        None,
    ]


OF_NO_LINE = {"time": "2999-01-01T00:00:00.000000+00:00"}


def test_a_long_ledger_ends_the_list(exprun, ledger):
    """The last twenty; also lines that somebody wrote without what a question has."""
    whole = {"name": "n", "flags": [], "control_flags": [], "patch": None, "mode": "run"}
    for number in range(25):
        ledger.append("asked", {"id": str(number), **whole})
    ledger.append("outcome", {"id": "24", "result": "judged"})
    grow(ledger, "bare")
    out = exprun("ledger")
    assert "the last 20 of 25 questions" in out
    assert out.count("no outcome") == 19


def test_a_valid_ledger(exprun, ledger):
    """Its head, and where a head from elsewhere stands, by its first digits too."""
    old = grow(ledger, "a", "b")
    head = grow(ledger, "c")
    assert exprun("ledger", "verify").split() == f"valid: 3 lines, head {head}".split()
    for known in (old, old[:16].upper()):
        exprun("ledger", "verify", f"--head={known}")
        assert f"{known} is line 2, 1 have followed" in exprun.flat()
    found = exprun.told("ledger", "verify", f"--head={old}")["ledger"]
    assert found == {
        "valid": True,
        "lines": 3,
        "head": head,
        "faults": [],
        "torn_bytes": 0,
        "line_of_head": 2,
    }


def test_a_changed_ledger(exprun, ledger):
    """The first line that is wrong and what is wrong with it; exit status 1."""
    head = grow(ledger, *"abcd")
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join([lines[0], lines[2], lines[3]]))
    exprun("ledger", "verify", status=1)
    assert re.match(r"NOT VALID: line 2: it follows a line [0-9a-f]{12}\.\.\. that is not there", exprun.flat())
    found = exprun.told("ledger", "verify", status=1)["ledger"]
    assert (found["valid"], found["faults"][0]["line"]) == (False, 2)
    ledger.path.write_bytes(b"".join(lines[:3]))
    assert "valid: 3 lines" in exprun("ledger", "verify")
    exprun("ledger", "verify", f"--head={head}", status=1)
    assert f"NOT VALID: no line has the hash {head}: lines were taken away" in exprun.flat()


def test_a_torn_line_is_said(exprun, ledger):
    """It is no fault."""
    grow(ledger, "a")
    with ledger.path.open("ab") as file:
        file.write(b'{"prev')
    assert "note: 6 bytes behind the last line" in exprun("ledger", "verify")
    assert exprun.told("ledger", "verify")["ledger"]["torn_bytes"] == 6


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["prune"], "invalid choice: 'prune'"),
        (["verify", "--head", "xyz"], "--head 'xyz': allowed is, of verify, a hash of 16 to 64 hexadecimal digits"),
        (["list", "--head", "a" * 64], "allowed is, of verify"),
        (["verify", "file"], "exprun ledger verify takes no file, and got file"),
        (["merge", "a", "b"], "exprun ledger merge takes BASE OURS THEIRS, and got a b"),
        (["merge", "a", "b", "c"], "a cannot be read: No such file"),
    ],
)
@pytest.mark.usefixtures("project")
def test_mistakes(exprun, argv, message):
    """One line that says what is allowed."""
    assert message in " ".join(exprun.refused("ledger", *argv).split())


@pytest.mark.usefixtures("project")
def test_merging_files(exprun, tmp_path):
    """The same from both sides, written to the first; every head of either is found in it."""
    base, ours, theirs = (Ledger(tmp_path / name) for name in ("base", "ours", "theirs"))
    grow(base, *"ab")
    for each in (ours, theirs):
        each.root.mkdir()
        each.path.write_bytes(base.read())
    heads = [grow(ours, "c"), grow(theirs, *"de")]
    texts = [each.read() for each in (ours, theirs)]
    exprun("ledger", "merge", *(str(each.path) for each in (base, ours, theirs)))
    assert ours.read() == chain.merged(*texts)
    assert set(heads) <= set(ours.verified().heads)
    assert exprun.flat() == f"merged: 6 lines, head {ours.head}"


@pytest.mark.usefixtures("project")
def test_what_is_not_merged(exprun, tmp_path):
    """A side that lost or changed a line of the beginning, and one that is not valid; the file is as it was."""
    base, ours, theirs = (Ledger(tmp_path / name) for name in ("base", "ours", "theirs"))
    grow(base, *"abc")
    names = [str(each.path) for each in (base, ours, theirs)]
    for each in (ours, theirs):
        each.root.mkdir()
    lines = base.read().splitlines(keepends=True)
    ours.path.write_bytes(base.read())
    theirs.path.write_bytes(b"".join(lines[:2]))
    assert "lacks line 3 of" in exprun.refused("ledger", "merge", *names)
    theirs.path.write_bytes(base.read() + b"<<<<<<<\n")
    assert "their ledger is not valid and cannot be merged: line 4" in exprun.refused("ledger", "merge", *names)
    assert ours.read() == base.read()


DRIVER = "from pytest_exprun.cli import main; raise SystemExit(main())"


def test_git_merges_two_branches(tmp_path):
    """With the store's .gitattributes and the driver of the page, a merge of branches that both asked is clean and valid."""
    checkout = Checkout(tmp_path)
    ledger = Ledger(tmp_path / ".exprun")
    checkout.git("config", "merge.exprun-ledger.driver", f'"{sys.executable}" -c "{DRIVER}" ledger merge %O %A %B')
    for name in ("user.name", "user.email"):
        checkout.git("config", name, "x@x")
    grow(ledger, *"ab")
    (ledger.root / ".gitattributes").write_text(ATTRIBUTES, encoding="utf-8")
    (ledger.root / ".gitignore").write_text("/locks/\n", encoding="utf-8")
    checkout.commit("first")
    heads = []
    for branch, words in (("one", "cd"), ("two", "e")):
        checkout.git("checkout", "--quiet", "-b", branch, "main")
        heads.append(grow(ledger, *words))
        checkout.commit(branch)
    checkout.git("merge", "--quiet", "--no-edit", "one")
    assert checkout.git("status", "--porcelain") == ""
    found = ledger.verified()
    assert found.faults == ()
    assert [each.get("id") for each in ledger.entries()] == ["a", "b", "c", "d", "e", None]
    assert set(heads) <= set(found.heads)
    checkout.git("checkout", "--quiet", "one")
    checkout.git("merge", "--quiet", "--no-edit", "two")
    assert ledger.verified().heads == found.heads
