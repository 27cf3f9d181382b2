"""The key itself: its digest, and what is said of two that differ."""

from __future__ import annotations

import pytest

from pytest_exprun.trust.identity.key import Key


def test_changes_are_said_in_one_line():
    """Hashes are `changed`, short values are shown, new and gone things are called so."""
    old = Key({"source a.py": "0" * 64, "package torch": "2.12.0", "input x": "1" * 64})
    new = Key({"source a.py": "1" * 64, "package torch": "2.13.0", "package numpy": "2.0"})
    assert old.why(new) == "input x is gone; package numpy is new; package torch 2.12.0 -> 2.13.0; source a.py changed"


def test_short_and_hash():
    """The short form is a prefix; equal keys have equal hashes whatever the order of their components."""
    one, two = Key({"a": "1", "b": "2"}), Key({"b": "2", "a": "1"})
    assert one == two
    assert hash(one) == hash(two)
    assert one.digest.startswith(one.short)


@pytest.mark.parametrize(
    ("new", "may"),
    [
        ({"source a": "2"}, True),
        ({"source a": "2", "source b": "1"}, True),
        ({"source a": "2", "input x": "1"}, True),
        ({"source a": "2", "package numpy": "1"}, True),
        ({"source a": "2", "package torch": "2"}, False),
        ({"source a": "2", "python": "3.12"}, False),
        ({"source a": "2", "machine": "cuda"}, False),
        ({"source a": "2", "flags": "[]"}, False),
        ({"package torch": "2"}, False),
        ({"input x": "1"}, False),
        ({}, False),
    ],
)
def test_only_a_change_of_code_may_be_verified(new, may):
    """Data, flags and environment must be the same; what the new code newly names is part of its change."""
    old = {"source a": "1", "package torch": "1", "python": "3.11", "machine": "cpu", "flags": '["--x"]'}
    assert Key(old).may_be_equal(Key(old | new)) is may


def test_the_question_is_what_is_asked_and_not_under_which_conditions():
    """Other code asks the same, another budget does not; a component that a key lacks is empty."""
    asked = {"flags": '["--x"]', "common args": "[]", "budget": "1 steps"}
    assert Key(asked | {"source a": "1"}).question == Key(asked | {"source a": "2", "machine": "cuda"}).question
    for name in asked:
        assert Key(asked | {name: "2"}).question != Key(asked).question
    assert Key({}).question == ("", "", "")


def test_a_file_is_a_source_also_when_named_from_further_up():
    """What differs is named from the top of the repository, a source from the root directory."""
    key = Key({"source lab/train.py": "1", "input rows.txt": "2"})
    assert key.has_source("lab/train.py")
    assert key.has_source("project/lab/train.py")
    assert not key.has_source("train.py")
    assert not key.has_source("mylab/train.py")
    assert not key.has_source("rows.txt")
