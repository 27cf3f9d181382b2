"""The lines of a ladder in the ledger."""

from __future__ import annotations

import pytest

from pytest_exprun.trust.ledger import chain
from pytest_exprun.trust.ledger.confirmations import Confirmations, chosen
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.ledger.rungs import MEASURING, PROMOTED, promotions, totals

RUNG = dict.fromkeys(("name", "flags", "tree", "key", "control_flags", "control_tree", "control_key", "base"), "")


@pytest.fixture
def ledger(tmp_path):
    """Return a ledger with two rungs."""
    made = Ledger(tmp_path / "mine")
    for name in "ab":
        made.append(PROMOTED, {"question": name, **RUNG})
    return made


def test_rungs_are_in_their_order(ledger):
    """Other lines, and lines without what a rung has, are none."""
    ledger.append("asked", {"question": "c", **RUNG})
    ledger.append(PROMOTED, {"question": "d"})
    assert [each["question"] for each in promotions(ledger)] == ["a", "b"]
    assert totals(ledger) == []


def test_a_change_that_two_branches_promoted_is_one_rung(ledger, tmp_path):
    """The one that came first; the merged ledger is valid."""
    other = Ledger(tmp_path / "other")
    other.append(PROMOTED, {"question": "b", **RUNG})
    other.append(PROMOTED, {"question": "c", **RUNG})
    ledger.path.write_bytes(chain.merged(ledger.read(), other.read()))
    assert ledger.verified().faults == ()
    assert [each["question"] for each in promotions(ledger)] == ["a", "b", "c"]


def test_two_changes_with_the_same_numbers_are_two_rungs(ledger):
    """Two branches that do the same work to the last bit; the same change once more is none."""
    for tree in ("t", "u", "t"):
        ledger.append(PROMOTED, {**RUNG, "question": "a", "tree": tree})
    assert [each["tree"] for each in promotions(ledger)] == ["", "", "t", "u"]


def test_seeds_of_a_total_are_drawn_as_those_of_a_confirmation(ledger):
    """Nobody chooses them, they are drawn once, and they spend no level of a confirmation."""
    draws = Confirmations(ledger, MEASURING)
    drawn = draws.draw("x", {"after": "b"}, {1}, lambda _: (0.05, 10))
    assert draws.draw("x", {}, (), lambda _: pytest.fail("drawn twice")) == drawn
    draws.answer(drawn, {"estimate": 1.0})
    draws.answer(drawn, {"estimate": 1.0})
    assert [each["estimate"] for each in totals(ledger)] == [1.0]
    assert Confirmations(ledger).all() == []
    assert list(chosen(ledger.read(), {1})) == []
    ledger.append(MEASURING[0], {"question": "y", "seeds": [1, 2, 3], "skipped": [], "alpha": 0.05})
    assert [number for number, _ in chosen(ledger.read(), {1})] == [5]
