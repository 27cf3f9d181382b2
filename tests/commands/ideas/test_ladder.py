"""`exprun ladder`: what became the baseline, and what all of it gives together."""

from __future__ import annotations

import re
import shutil

import pytest

from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.ledger.rungs import PROMOTED, totals
from tests.shell import edit, ended, forge


def test_nothing_was_promoted_yet(exprun, project):
    """It says so, and there is nothing to measure."""
    assert "no change became the baseline yet: exprun promote NAME" in exprun("ladder")
    assert exprun.told("ladder")["ladder"] == {
        "rungs": [],
        "sum": None,
        "total": None,
        "warning": None,
        "interaction": False,
    }
    assert "there is nothing to measure" in exprun.refused("ladder", "--measure")
    assert project.runs == []


@pytest.mark.usefixtures("winner")
def test_a_rung(exprun):
    """What it was, what its first look claimed, what fresh seeds gave, when; nothing is wider than a terminal."""
    exprun("promote", "rope")
    out = exprun("ladder")
    assert re.search(r"\n1  rope \(--rope\)  \+0\.\d{4}  +\+0\.1000  \+0\.1000 to \+0\.1000  \d{4}-\d\d-\d\d\n", out)
    assert "together they give: not measured; exprun ladder --measure" in exprun.flat()
    assert all(len(line) <= 80 for line in out.splitlines())
    told = exprun.told("ladder")["ladder"]
    assert (told["rungs"][0]["fresh"]["seeds"], told["total"], told["warning"]) == (10, None, None)
    assert told["rungs"][0]["claim"]["improvement"] != told["rungs"][0]["fresh"]["estimate"]


def test_both_ends_are_measured_once(exprun, winner):
    """Ten fresh seeds of each, which nobody had; asked again nothing is trained, and the ledger stays valid."""
    exprun("promote", "rope")
    before = {line.split()[3] for line in winner.runs}
    trained = len(winner.runs)
    told = exprun.told("ladder", "--measure")["ladder"]
    new = winner.runs[trained:]
    assert len(new) == 20
    assert not {line.split()[3] for line in new} & before
    assert sum("--rope" in line for line in new) == 10
    assert told["total"]["estimate"] == pytest.approx(0.1)
    assert (told["total"]["seeds"], told["total"]["is_current"], told["warning"]) == (10, True, None)
    ledger = Ledger(winner.pytester.path / ".exprun")
    lines = ledger.read()
    assert exprun.told("ladder", "--measure")["ladder"] == told
    assert exprun.told("ladder")["ladder"] == told
    assert (len(winner.runs), ledger.read()) == (trained + 20, lines)
    assert exprun.told("ledger", "verify")["ledger"]["valid"] is True
    assert len(totals(ledger)) == 1


def test_a_total_of_other_ends_is_said_to_be_so(exprun, winner):
    """After a baseline that was changed by hand, after code that was changed, and after another rung."""
    exprun("promote", "rope")
    exprun("ladder", "--measure")
    edit(winner, "exprun_baseline = --rope", "exprun_baseline = --rope --shift=1", name="pytest.ini")
    exprun("ladder")
    assert "since then one of both ends was changed" in exprun.flat()
    assert exprun.told("ladder")["ladder"]["total"]["is_current"] is False
    edit(winner, "--rope --shift=1", "--rope", name="pytest.ini")
    assert exprun.told("ladder")["ladder"]["total"]["is_current"] is True
    winner.write('@experiment("--shift=-5")\ndef test_shift(comparison): ...')
    winner.run().assert_outcomes(passed=1)
    exprun("confirm", "shift")
    exprun("promote", "shift")
    exprun("ladder")
    assert "before the last rung: exprun ladder --measure measures anew" in exprun.flat()
    told = exprun.told("ladder", "--measure")["ladder"]
    assert told["total"]["estimate"] == pytest.approx(0.15)
    assert told["sum"]["estimate"] == pytest.approx(0.15)
    assert (told["total"]["is_current"], told["warning"]) == (True, None)


def test_a_ladder_that_does_not_add_up(exprun, winner):
    """Code that was changed by hand under a promoted flag takes its gain away: the measured total says so, in words and for programs."""
    exprun("promote", "rope")
    edit(winner, "10 * args.rope", "2 * args.rope")
    told = exprun.told("ladder", "--measure")["ladder"]
    assert (told["sum"]["estimate"], told["total"]["estimate"]) == (pytest.approx(0.1), pytest.approx(0.02))
    assert (told["interaction"], told["warning"][:28]) == (True, "the rungs add up to +0.1000,")
    exprun("ladder")
    assert (
        "WARNING: the rungs add up to +0.1000, together they give +0.0200: they do not add up (an interaction: not each was judged on what "
        "the one before it left)"
    ) in exprun.flat()
    assert "flags, code or surroundings of an end are not those that its rung was judged with" in exprun.flat()
    assert "WARNING: the rungs add up to" in winner.report("README.md")


def test_nothing_between_the_ends(exprun, winner):
    """Today's baseline is the first one, as it was set back by hand."""
    exprun("promote", "rope")
    edit(winner, "exprun_baseline = --rope", "exprun_baseline =", name="pytest.ini")
    assert "today's baseline is the first one" in exprun.refused("ladder", "--measure")


def test_the_ledger_alone_is_enough(exprun, winner):
    """Reports and stored runs are gone: the trail is the same. Without the trainer nobody can tell which ends are today's."""
    exprun("promote", "rope")
    told = exprun.told("ladder", "--measure")["ladder"]
    shutil.rmtree(winner.pytester.path / "docs")
    shutil.rmtree(winner.pytester.path / ".exprun/rope")
    assert exprun.told("ladder")["ladder"] == told
    (winner.pytester.path / "toy.py").unlink()
    assert exprun.told("ladder")["ladder"] == told | {"total": told["total"] | {"is_current": None}}


def test_lines_that_somebody_wrote(exprun, project):
    """A line of the kind without what a rung has is passed over."""
    ledger = Ledger(project.pytester.path / ".exprun")
    ledger.append(PROMOTED, {"question": "x", "name": "half"})
    whole = dict.fromkeys(("name", "flags", "tree", "key", "control_flags", "control_tree", "control_key", "base"))
    ledger.append(PROMOTED, {**whole, "question": "y"})
    ledger.append("measured", {"question": "z"})
    assert exprun.told("ladder")["ladder"]["rungs"] == []


def test_a_rung_that_diverges_on_fresh_seeds(exprun, winner):
    """There is no number, and no warning made of one."""
    exprun("promote", "rope")
    told = exprun.told("ladder", "--measure")["ladder"]
    assert told["total"]["estimate"] is not None
    seed = totals(Ledger(winner.pytester.path / ".exprun"))[0]["seeds"][0]
    forge(winner, seed, slug="rope", val_loss=None)
    told = exprun.told("ladder", "--measure")["ladder"]
    assert (told["total"]["estimate"], told["warning"]) == (None, None)
    exprun("ladder")
    assert "a seed of today's baseline diverged" in exprun.flat()


@pytest.mark.slow
def test_two_branches_that_do_the_same_work(twins, exprun):
    """Each is a true WINNER; both were promoted on what main was. Merged, they give once what each gives: an interaction.

    The first baseline is a commit.
    """
    for name in ("one", "other"):
        ended("try", name, "--confirm", cwd=twins.root)
    for name in ("one", "other"):
        exprun("promote", name)
    for name in ("one", "other"):
        twins.git("merge", "--quiet", "--no-edit", name)
    told = ended("ladder", "--measure", cwd=twins.root)["ladder"]
    assert [(each["name"], each["follows"]) for each in told["rungs"]] == [("one", True), ("other", False)]
    assert (told["sum"]["estimate"], told["total"]["estimate"]) == (pytest.approx(0.2), pytest.approx(0.1))
    assert (told["interaction"], told["total"]["is_current"]) == (True, True)
    assert "together they give +0.1000: they do not add up (an interaction" in told["warning"]
    assert ended("ladder", cwd=twins.root)["ladder"] == told


def test_the_picture_stands_in_the_folders_list(exprun, winner):
    """Where plots are on: the same bytes whenever it is written, and no picture where they are off."""
    edit(winner, "exprun_plots = off\n", "", name="pytest.ini")
    exprun("promote", "rope")
    folder = winner.pytester.path / "docs/research"
    assert "](ladder.svg)" in winner.report("README.md")
    first = (folder / "ladder.svg").read_bytes()
    (folder / "ladder.svg").unlink()
    winner.run()
    assert (folder / "ladder.svg").read_bytes() == first
    exprun("ladder", "--measure")
    assert (folder / "ladder.svg").read_bytes() != first
    edit(winner, "[pytest]\n", "[pytest]\nexprun_plots = off\n", name="pytest.ini")
    winner.run()
    assert "## The ladder" in winner.report("README.md")
    assert "ladder.svg" not in winner.report("README.md")
