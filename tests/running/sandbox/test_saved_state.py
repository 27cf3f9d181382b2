"""State is read and put back row by row, and what cannot be is named."""

from __future__ import annotations

import os

from pytest_exprun.running.sandbox.fresh_process import KINDS
from pytest_exprun.running.sandbox.saved_state import Kind, capture, restore


def test_a_state_that_cannot_be_read_does_not_keep_the_others_back(monkeypatch):
    """A library that breaks is named; what comes after it is restored all the same."""

    def broken():
        raise RuntimeError("no state")

    before = capture((Kind("broken library", lambda: 1, lambda _: None), *KINDS))
    monkeypatch.setenv("LEAK", "1")
    leaks = restore(before, (Kind("broken library", broken, lambda _: None), *KINDS))
    assert leaks == ["a changed broken library (RuntimeError: no state)"]
    assert "LEAK" not in os.environ


def test_a_state_that_cannot_be_put_back_is_named():
    """What is still another after it was put back is a leak; what differs only to the eye is none."""
    values = iter([1, 2, 2, 1, 2])
    stubborn = Kind("stubborn setting", lambda: next(values), lambda _: None)
    assert restore(capture([stubborn]), [stubborn]) == ["a changed stubborn setting"]
    loose = Kind("loose setting", lambda: next(values), lambda _: None, same=lambda *_: True)
    assert restore(capture([loose]), [loose]) == []


def test_state_of_a_library_that_nobody_imported_is_not_asked_for():
    """To ask would import it, or fail."""
    assert capture([Kind("setting", lambda: 1 / 0, lambda _: None, "a_library_that_nobody_imported")]) == {}


def test_every_kind_has_a_name_of_its_own():
    """A snapshot holds one value a name."""
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 40
