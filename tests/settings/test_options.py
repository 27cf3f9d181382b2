"""Options: one name in every place, and what each kind of text may be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_exprun.settings import options
from pytest_exprun.settings.options import Option, choice, entry_point, number
from pytest_exprun.terms.model import Budget


def test_an_option_has_one_name_in_each_place():
    """Underscores in the ini file, dashes on the command line; its help is what it is and what is allowed."""
    row = Option("min_effect", 2.0, "how it is judged", number(0), "the bar", "a number")
    assert (row.key, row.flag, row.help) == ("exprun_min_effect", "--exprun-min-effect", "the bar (a number)")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (choice("a", "b"), "b", "b"),
        (number(1, int), "20_000", 20_000),
        (number(0), "1e-3", 0.001),
        (entry_point(""), "", ""),
        (entry_point("ray"), "ray", "ray"),
        (entry_point(), "a.b:C", "a.b:C"),
        (options.WORDS, "--x 'a b'", ("--x", "a b")),
        (options.AMOUNTS, "num_cpus=1 num_gpus=.5", ("num_cpus=1", "num_gpus=.5")),
        (options.TEMPLATES, "python --seed={seed}", ("python", "--seed={seed}")),
        (options.VARIABLES, "A= B_1={seed}", ("A=", "B_1={seed}")),
        (options.PATTERN, "", ""),
        (options.BUDGET, "300 seconds", Budget(300, "seconds")),
        (options.BUDGET, "tokens", None),
        (options.FUTILITY, "seeds", "seeds"),
        (options.FUTILITY, "auto", "auto"),
        (options.FUTILITY, "never", 0.0),
        (options.FUTILITY, "0.5", 0.5),
        (options.PATH, "~/$UNSET_HERE", Path("~/$UNSET_HERE").expanduser()),
        (options.PATH, "~no_such_user/runs", Path("~no_such_user/runs")),
    ],
)
def test_texts_that_are_allowed(kind, text, value):
    """Each kind gives its value."""
    assert kind.parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (choice("a", "b"), "c"),
        (number(1, int), "0"),
        (number(1, int), "1.5"),
        (number(1, int), "9" * 400),
        (number(0), "nan"),
        (number(0), "inf"),
        (number(0), "-1"),
        (entry_point(), ""),
        (entry_point("ray"), "threads"),
        (entry_point(), "a b:c"),
        (entry_point(), "a:b:c"),
        (options.NAME, " "),
        (options.WORDS, "'open"),
        (options.AMOUNTS, "num_cpus"),
        (options.AMOUNTS, "=1"),
        (options.AMOUNTS, "num_cpus=many"),
        (options.TEMPLATES, "{nothing}"),
        (options.VARIABLES, "1A=x"),
        (options.PATTERN, "("),
        (options.PATTERN, "loss"),
        (options.BUDGET, "300"),
        (options.BUDGET, "0 steps"),
        (options.BUDGET, "3 epochs"),
        (options.PATH, ""),
        (options.PATH, "a\0b"),
    ],
)
def test_texts_that_are_not(kind, text):
    """Each kind refuses the rest."""
    with pytest.raises(ValueError):  # noqa: PT011  # settings say what is allowed
        kind.parse(text)


def test_what_is_allowed_is_said_in_words():
    """The last of several words is joined by `or`; a number tells its lowest value."""
    assert choice("a", "b", "c").allowed == "a, b or c"
    assert number(1, int).allowed == "a whole number of at least 1"
    assert number(0).allowed == "a number of at least 0"
    assert re.search("module:name", entry_point("ray").allowed)
