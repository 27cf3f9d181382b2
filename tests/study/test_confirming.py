"""A WINNER once more on fresh seeds, as a session has it; the command's tests are beside the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_exprun.settings.declaration import Marked, declare
from pytest_exprun.settings.project import find_project
from pytest_exprun.study.session import Session
from pytest_exprun.terms.errors import MissingRunError, RefusedError, StoreError
from pytest_exprun.terms.model import SEEDS
from pytest_exprun.trust.ledger.confirmations import Confirmations


@pytest.fixture
def session(project):
    """Return a function that makes a session of the toy project in a mode."""

    def made(mode="run"):
        settings = find_project(Path.cwd(), {}).settings({"mode": mode})
        return Session(settings, writes_reports=False)

    assert project.runs == []
    return made


def judged(session, *flags):
    """Return an experiment's comparison."""
    return session.study.compare(declare(Marked(flags, {}, function="test_it"), session.settings))


def test_both_arms_have_the_same_fresh_seeds(session, project):
    """None of them is the protocol's or was trained before; each arm is trained on them once."""
    ours = session()
    found = ours.study.confirm(judged(ours, "--rope"))
    seeds = found.confirmation.seeds
    assert found.confirmation.confirmed
    assert len(seeds) == 10
    assert not set(seeds) & set(SEEDS)
    assert [int(line.split("--seed ")[1].split()[0]) for line in project.runs[8:]] == [*seeds, *seeds]
    (drawn,) = Confirmations(ours.ledger).all()
    assert (drawn.seeds, drawn.confirmed, drawn.alpha) == (seeds, True, found.confirmation.alpha)


def test_what_was_confirmed_is_known_again(session, project):
    """Another session finds it in the ledger and the store, frozen or not, as long as all its runs are stored."""
    ours = session()
    first = ours.study.confirm(judged(ours, "--rope")).confirmation
    for mode in ("run", "frozen"):
        assert judged(session(mode), "--rope").confirmation == first
    (path,) = project.pytester.path.glob(f".exprun/rope/*/seed-{first.seeds[0]}.json")
    path.unlink()
    frozen = session("frozen")
    assert judged(frozen, "--rope").confirmation is None
    with pytest.raises(MissingRunError):
        frozen.study.confirm(judged(frozen, "--rope"))
    again = session()
    assert again.study.confirm(judged(again, "--rope")).confirmation == first
    assert len(project.runs) == 28 + 1


def test_only_a_winner_is_confirmed(session, project):
    """The reason is that only what is kept can be kept by luck; nothing is drawn."""
    ours = session()
    with pytest.raises(RefusedError, match=r"it is LOSER \(.*: only a WINNER is confirmed"):
        ours.study.confirm(judged(ours, "--worse"))
    assert Confirmations(ours.ledger).all() == []
    assert len(project.runs) == 8


def test_a_fresh_seed_that_diverges_is_not_confirmed(session, project):
    """It is no error, as a diverged seed is a finding; the ledger and the next level know it."""
    toy = project.pytester.path / "toy.py"
    text = toy.read_text(encoding="utf-8").replace(
        "if args.seed == args.diverge_at:", "if args.rope and args.seed not in (42, 137, 256, 512, 1024):"
    )
    toy.write_text(text, encoding="utf-8")
    ours = session()
    found = ours.study.confirm(judged(ours, "--rope")).confirmation
    assert (found.word, found.p_value, len(found.diverged)) == ("NOT CONFIRMED", None, 10)
    assert [each.confirmed for each in Confirmations(ours.ledger).all()] == [False]
    lower = session()
    assert lower.study.confirm(judged(lower, "--shift=-4")).confirmation.alpha == pytest.approx(0.05 / 6)


def test_a_ledger_that_cannot_be_read_costs_no_verdict(session, monkeypatch):
    """It is said that nobody knows whether the WINNER was confirmed."""

    def unreadable(_):
        raise StoreError("the ledger cannot be read")

    judged(session(), "--rope")
    monkeypatch.setattr(Confirmations, "all", unreadable)
    frozen = session("frozen")
    assert judged(frozen, "--rope").verdict == "WINNER"
    assert frozen.notices == ["what else was asked of it is not known: the ledger cannot be read"]
