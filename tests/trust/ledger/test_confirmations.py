"""Fresh seeds that nobody chooses, noted before they are trained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exprun.terms.errors import StoreError
from pytest_exprun.trust.ledger import chain
from pytest_exprun.trust.ledger.confirmations import Confirmations, Drawn, chosen, fresh_seeds, unfounded
from pytest_exprun.trust.ledger.ledger import Ledger

QUESTION = "0123456789abcdef"


def plan(earlier):
    """Give each confirmation half the level of the one before, and one seed more."""
    return 0.05 / 2 ** len(earlier), 5 + len(earlier)


@pytest.fixture
def confirmations(tmp_path):
    """Return the confirmations of a ledger that has one line."""
    ledger = Ledger(tmp_path)
    ledger.append("asked", {"id": QUESTION})
    return Confirmations(ledger)


def test_seeds_follow_from_the_ledger_and_the_change():
    """The same place gives the same seeds; another head or another change gives others. None was used."""
    first = fresh_seeds("head", "a", (), 5)
    assert first == fresh_seeds("head", "a", (), 5)
    assert len(set(first)) == 5
    assert all(0 <= seed < 1_000_000 for seed in first)
    assert not set(first) & set(fresh_seeds("head", "b", (), 5))
    assert not set(first) & set(fresh_seeds("other", "a", (), 5))
    skipped = []
    assert fresh_seeds("head", "a", first[:2], 5, skipped)[:3] == first[2:]
    assert skipped == list(first[:2])


def test_a_question_is_confirmed_once(confirmations):
    """Whoever asks again gets the same seeds and level; the line stands before anything is trained, and follows from the head."""
    head = confirmations.ledger.head
    drawn = confirmations.draw(QUESTION, {"name": "rope"}, (), plan)
    assert drawn == Drawn(QUESTION, fresh_seeds(head, QUESTION, (), 5), 0.05)
    before = confirmations.ledger.read()
    assert confirmations.draw(QUESTION, {"name": "again"}, {1}, plan) == drawn
    assert confirmations.ledger.read() == before
    other = confirmations.draw("f" * 16, {}, (), plan)
    assert (other.alpha, len(other.seeds)) == (0.025, 6)
    assert confirmations.all() == [drawn, other]


def test_what_came_out_is_noted_once(confirmations):
    """And belongs to its own confirmation."""
    drawn = confirmations.draw(QUESTION, {}, (), plan)
    confirmations.draw("f" * 16, {}, (), plan)
    for _ in range(2):
        confirmations.answer(drawn, {"result": "judged", "confirmed": True})
    assert [each.confirmed for each in confirmations.all()] == [True, None]
    assert confirmations.ledger.read().count(b'"confirmation"') == 1
    confirmations.answer(drawn, {"result": "error", "confirmed": False})
    assert confirmations.of(QUESTION).confirmed is False


def test_confirmations_of_two_branches_stay_apart(confirmations, tmp_path):
    """Both drawn behind one and the same line; in the merged ledger each has its own outcome."""
    here, there = confirmations, Confirmations(Ledger(tmp_path / "clone"))
    there.ledger.root.mkdir()
    there.ledger.path.write_bytes(here.ledger.read())
    drawn = [each.draw(question, {}, (), plan) for each, question in ((here, QUESTION), (there, "f" * 16))]
    here.answer(drawn[0], {"confirmed": True})
    there.answer(drawn[1], {"confirmed": False})
    here.ledger.path.write_bytes(chain.merged(here.ledger.read(), there.ledger.read()))
    assert here.of(QUESTION) == replace(drawn[0], confirmed=True)
    assert here.of("f" * 16) == replace(drawn[1], confirmed=False)
    assert list(chosen(here.ledger.read(), ())) == []


def test_seeds_that_somebody_chose_are_found(confirmations):
    """A line whose seeds are not those that its place draws, though every hash is right."""
    confirmations.draw(QUESTION, {}, {3}, plan)
    assert list(chosen(confirmations.ledger.read(), {3})) == []
    confirmations.ledger.append(
        "confirm", {"question": "f" * 16, "seeds": [1, 2, 3, 4, 5], "skipped": [], "alpha": 0.05}
    )
    assert [number for number, _ in chosen(confirmations.ledger.read(), {3})] == [3]


def test_without_a_ledger_nothing_is_drawn(tmp_path):
    """What cannot be noted must not be trained."""
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(StoreError):
        Confirmations(Ledger(tmp_path)).draw(QUESTION, {}, (), plan)


def test_a_seed_that_was_passed_over_for_nothing_is_found(confirmations):
    """Who calls an unwelcome seed used must have a run of it."""
    first = fresh_seeds(confirmations.ledger.head, QUESTION, (), 1)[0]
    confirmations.draw(QUESTION, {}, {first}, plan)
    assert list(chosen(confirmations.ledger.read(), {first})) == []
    ((number, why),) = chosen(confirmations.ledger.read(), ())
    assert number == 2
    assert f"it passes over seed {first} as used, and no stored run has it" in why


def test_a_rung_is_confirmed_by_a_line_before_it(confirmations):
    """By its own question's, not by another one's, not by one that comes later, and not by one that said no."""
    ledger, drawn = confirmations.ledger, confirmations.draw(QUESTION, {}, (), plan)
    confirmations.answer(drawn, {"confirmed": False})
    ledger.append("promoted", {"question": QUESTION, "confirmed": True})
    ledger.append("promoted", {"question": QUESTION, "confirmed": False})
    confirmations.answer(drawn, {"confirmed": True})
    ledger.append("promoted", {"question": QUESTION, "confirmed": True})
    ledger.append("promoted", {"question": "f" * 16, "confirmed": True})
    assert [number for number, _ in unfounded(ledger.read())] == [4, 8]
