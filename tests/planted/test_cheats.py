"""Ways to make a session look luckier than it was, each tried: what the ledger finds, and what it finds only for whoever kept a head."""

from __future__ import annotations

import json
import shutil

import pytest

from pytest_exprun.study.arms.runs import Runs
from pytest_exprun.trust.ledger import chain
from pytest_exprun.trust.ledger import ledger as ledger_module
from pytest_exprun.trust.ledger.ledger import Ledger
from tests.shell import edit

IDEA = '@experiment("--shift=0.5"{})\ndef test_idea(): ...\n'


class Session:
    """A toy project where one idea was judged."""

    def __init__(self, toy_project):
        self.project, self.root = toy_project, toy_project.pytester.path
        self.ledger = Ledger(self.root / ".exprun")
        self.judge()
        self.head = self.ledger.head

    def judge(self, *options, keywords="", name="test_idea"):
        """Run the idea; return what is printed."""
        self.project.write(IDEA.format(keywords).replace("test_idea", name))
        result = self.project.run(*options)
        result.assert_outcomes(passed=1)
        return result.stdout.str()

    def story(self):
        """Return what the ledger tells in a few words."""
        assert self.ledger.verified().faults == ()
        return [each["result"] if each["kind"] == "outcome" else each["kind"] for each in self.ledger.entries()]


@pytest.fixture
def session(project):
    """Return a session in a project that the `exprun` command works in, too."""
    return Session(project)


def test_the_store_is_deleted(session, exprun):
    """The ledger goes with it: who has the head of a report knows, and nobody else."""
    shutil.rmtree(session.root / ".exprun")
    session.judge()
    exprun("ledger", "verify")
    exprun("ledger", "verify", "--head", session.head, status=1)
    assert "NOT VALID: no line has the hash" in exprun.out


def test_another_store(session, exprun):
    """It begins a ledger of its own, without the head of the first."""
    session.judge("--exprun-store=elsewhere")
    exprun("ledger", "verify", "--store=elsewhere", "--head", session.head, status=1)
    exprun("ledger", "verify", "--head", session.head)


def test_a_second_clone(session, exprun):
    """What is asked there stays there until it is merged; then all of it is here, and both heads are found."""
    shutil.copytree(session.root / ".exprun", session.root / "clone")
    session.judge("--exprun-store=clone", "--exprun-rule=tested")
    there = Ledger(session.root / "clone")
    assert session.story() == ["asked", "judged"]
    base = session.root / "base"
    base.write_bytes(session.ledger.read())
    exprun("ledger", "merge", str(base), str(session.ledger.path), str(there.path))
    assert session.story() == ["asked", "judged"] * 2
    for head in (session.head, there.head):
        exprun("ledger", "verify", "--head", head)


def test_another_name(session):
    """It is the same question, and adds nothing."""
    out = session.judge(name="test_fresh_idea")
    assert "this baseline has judged 1 experiment:" in out
    assert session.story() == ["asked", "judged"]


def test_run_until_lucky(session):
    """Records are deleted and trained again: each time it is asked again."""
    for _ in range(2):
        shutil.rmtree(next((session.root / ".exprun").glob("shift*")))
        session.judge()
    assert session.story() == ["asked", "judged"] * 3


def test_another_draw_by_an_edit(session):
    """What gives the idea other numbers is another experiment that the baseline has judged."""
    out = session.judge()
    assert "has judged 1 experiment:" in out
    for old, new in (("args.shift", "1.01 * args.shift"), ("1.01", "1.02")):
        edit(session.project, old, new)
        out = session.judge()
    assert "has judged 3 experiments:" in out


def test_reports_are_deleted(session):
    """The count does not come from them."""
    session.judge("--exprun-rule=tested")
    shutil.rmtree(session.root / "docs")
    assert "has judged 2 experiments:" in session.judge()


def test_rule_after_rule(session):
    """Each is another question to the same runs."""
    for bar in (1.5, 1):
        out = session.judge("--exprun-rule=tested", f"--exprun-min-effect={bar}")
    assert "has judged 3 experiments:" in out


def test_stale_runs(session):
    """Both lines say so."""
    edit(session.project, "SIGMA = 0.01", "SIGMA = 0.011")
    session.judge("--exprun-stale=keep")
    asked, outcome = session.ledger.entries()[-2:]
    assert (asked["kind"], asked["stale"], outcome["stale"]) == ("asked", "keep", True)


def test_another_budget(session):
    """Another question on another baseline, and both are in the ledger; each baseline has a count of its own."""
    out = session.judge("--exprun-tokens=20000")
    assert "has judged 1 experiment:" in out
    assert [each["budget"] for each in session.ledger.entries() if each["kind"] == "asked"] == [
        "1000000 tokens",
        "20000 tokens",
    ]


def test_a_subset_of_seeds(session):
    """Another question on the same baseline, with its seeds."""
    out = session.judge(keywords=", seeds=(512, 1024, 137)")
    assert "has judged 2 experiments:" in out
    assert [each["seeds"][0] for each in session.ledger.entries() if each["kind"] == "asked"] == [42, 512]


def test_records_and_ledger_are_edited(session, exprun):
    """A chain made anew is valid by itself: who has the head of a report knows, and an audit trains the record again."""
    prev, lines = chain.FIRST, []
    for entry in session.ledger.entries():
        content = {name: value for name, value in entry.items() if name not in {"prev", "crc", "kind", "time"}}
        if entry["kind"] == "outcome":
            content |= {"verdict": "WINNER", "sigmas": 9.9}
        lines.append(chain.written(entry["kind"], entry["time"], content, prev))
        prev = chain.digest(lines[-1])
    session.ledger.path.write_bytes(b"".join(lines))
    assert "WINNER, +9.9 sigmas" in exprun("ledger")
    exprun("ledger", "verify")
    exprun("ledger", "verify", "--head", session.head, status=1)


@pytest.mark.parametrize("year", ["1999", "2999"])
def test_the_clock_is_changed(session, monkeypatch, year):
    """The order is that of the chain, and times never decrease: a line cannot be dated before one that is there."""
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "now", lambda: f"{year}-01-01T00:00:00.000000+00:00")
        session.judge("--exprun-rule=tested")
    session.judge("--exprun-rule=tested", "--exprun-min-effect=1")
    assert session.story() == ["asked", "judged"] * 3
    times = [each["time"] for each in session.ledger.entries()]
    assert times == sorted(times)
    assert (times[-1] > "2999") is (year == "2999")


def test_a_session_that_is_ended_when_it_looks_bad(session, monkeypatch):
    """The question stays in the ledger, and counts."""

    def ended(_, wanted):
        if wanted:
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Runs, "train", ended)
        session.project.write('@experiment("--worse")\ndef test_worse(): ...\n', "test_worse.py")
        session.project.run()
    (session.root / "experiments" / "test_worse.py").unlink()
    assert session.story() == ["asked", "judged", "asked", "stopped"]
    assert "has judged 2 experiments:" in session.judge()


def test_a_line_is_taken_out(session, exprun):
    """Anywhere but at the end the chain itself tells."""
    session.judge("--exprun-rule=tested")
    lines = session.ledger.path.read_bytes().splitlines(keepends=True)
    session.ledger.path.write_bytes(b"".join(lines[:1] + lines[2:]))
    found = json.loads(exprun("ledger", "verify", "--json", status=1))
    assert found["ledger"]["faults"][0]["line"] == 2


def test_a_winner_that_is_kept_by_luck(session, exprun):
    """It is not promoted before fresh seeds confirmed it, and a rung that somebody calls confirmed is found."""
    session.project.write('@experiment("--rope")\ndef test_rope(): ...\n')
    session.project.run().assert_outcomes(passed=1)
    assert "is not confirmed" in exprun.refused("promote", "rope")
    exprun("promote", "rope", "--unconfirmed")
    assert exprun.told("ladder")["ladder"]["rungs"][0]["confirmed"] is False
    exprun("ledger", "verify")
    rung = session.ledger.entries()[-1]
    said = {name: value for name, value in rung.items() if name not in {"prev", "crc", "kind", "time"}}
    session.ledger.append("promoted", said | {"confirmed": True})
    exprun("ledger", "verify", status=1)
    assert "line 6: it calls a rung confirmed, and no line before it says that fresh seeds did" in exprun.flat()
