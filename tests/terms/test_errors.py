"""Messages: one line, and a hint for a misspelt word."""

from __future__ import annotations

import pytest

from pytest_exprun.terms import errors
from pytest_exprun.terms.errors import ExprunError, meant, one_line


def test_foreign_text_is_one_line_that_no_terminal_obeys():
    """Blanks are joined, control characters are spelled out, letters of any language stay."""
    assert one_line("a\n  b\t c") == "a b c"
    assert one_line("\x1b[31mrot\x00 größe") == "\\x1b[31mrot\\x00 größe"


@pytest.mark.parametrize(("word", "hint"), [("tokns", "did you mean x_tokens?"), ("zzz", "allowed are tokens, store")])
def test_a_misspelt_word_gets_a_hint(word, hint):
    """The one that is close, else all."""
    assert meant(word, ("tokens", "store"), "x_") == hint


def test_every_error_of_ours_is_one():
    """Whatever this package raises on purpose can be caught as one kind."""
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(kinds) > 5
    assert all(issubclass(each, ExprunError) for each in kinds)


def test_an_error_says_nothing_that_a_terminal_obeys():
    """Line breaks and tabs stay: an error may hold the end of a trainer's output."""
    assert str(ExprunError("bad \x1b[2J\r\x07\n\tat \u202e")) == "bad \\x1b[2J\\r\\x07\n\tat \\u202e"
