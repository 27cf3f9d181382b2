"""What a Python source counts by: everything of it but comments and layout."""

from __future__ import annotations

import pytest

from pytest_exprun.trust.identity.sources import parse, source_digest

SOURCE = '''
"""A trainer."""

def first(x, y=1):
    """Add."""
    total = x + y
    return total

def second():
    return 2

class Steps:
    def load(self): ...
    def train(self): ...
'''
FREE = {
    "a comment": SOURCE + "# later\n",
    "blank lines": SOURCE.replace("\n\n", "\n\n\n"),
    "brackets": SOURCE.replace("x + y", "(x + y)"),
    "quotes": SOURCE.replace('"""Add."""', "'Add.'"),
    "indentation": SOURCE.replace("    return 2", "        return 2"),
}
COUNTS = {
    "a docstring, which inspect.getdoc reads": SOURCE.replace("Add.", "Sum."),
    "a local name, which a frame shows": SOURCE.replace("total", "whole"),
    "the order of methods, which vars(cls) shows": SOURCE.replace("load", "tmp")
    .replace("train", "load")
    .replace("tmp", "train"),
    "a function that nobody names, which a pickle finds": SOURCE.replace("return 2", "return 3"),
    "an annotation, which pydantic reads": SOURCE.replace("y=1", "y: int = 1"),
    "a default": SOURCE.replace("y=1", "y=2"),
    "a new function, which globals() shows": SOURCE + "def third(): ...\n",
}


@pytest.mark.parametrize("edit", FREE)
def test_what_is_free(edit):
    """Comments and layout."""
    assert FREE[edit] != SOURCE
    assert source_digest(FREE[edit].encode()) == source_digest(SOURCE.encode())


@pytest.mark.parametrize("edit", COUNTS)
def test_what_counts(edit):
    """All that some program can read of another."""
    assert source_digest(COUNTS[edit].encode()) != source_digest(SOURCE.encode())


@pytest.mark.parametrize("broken", [b"def f(:\n", b"\0", b"\xff", b"(" * 5000])
def test_a_source_that_does_not_parse_counts_by_its_bytes(broken):
    """Its import will say it better than we can."""
    assert parse(broken) is None
    assert source_digest(broken) != source_digest(broken + b"#")


def test_a_tree_too_deep_to_be_written_counts_by_its_bytes():
    """A sum of ten thousand terms may parse and be too deep all the same."""
    deep = ("x = " + " + ".join(["1"] * 10_000)).encode()
    assert source_digest(deep) != source_digest(deep + b" + 1")


def test_texts_that_are_no_utf8():
    """Lone surrogates are text for Python."""
    assert source_digest(b"x = '\\ud800'") != source_digest(b"x = '\\ud801'")
