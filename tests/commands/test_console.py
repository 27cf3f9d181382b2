"""Where the commands write."""

from __future__ import annotations

import io
import json

import pytest

from pytest_exprun.commands.console import WIDTH, Console, folded, print_object
from pytest_exprun.terms.errors import TrainerError


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self):
        """Say so."""
        return True


def test_long_lines_are_folded_and_what_follows_is_indented():
    """A line that fits is left as it is, however it is spaced; no word is broken."""
    assert folded("  a   b") == ["  a   b"]
    lines = folded("  " + "word-with-hyphens " * 12)
    assert all(len(line) <= WIDTH for line in lines)
    assert [line[:5] for line in lines[1:]] == ["    w"] * (len(lines) - 1)
    assert " ".join(lines).split() == ["word-with-hyphens"] * 12


def test_a_live_line_is_overwritten_on_a_terminal_only():
    """What comes next replaces it; a pipe never sees it."""
    console = Console(out=Terminal())
    console.live("x" * 200)
    console.say("done")
    assert console.out.getvalue() == "x" * (WIDTH - 1) + "\r\x1b[2Kdone\n"
    piped = Console(out=io.StringIO())
    piped.live("x")
    assert piped.out.getvalue() == ""


def test_data_is_not_folded():
    """A program reads it."""
    console = Console(out=io.StringIO())
    console.print_data("x " * 100)
    assert console.out.getvalue() == "x " * 100 + "\n"


def train_in_vain(console):
    """Print twenty lines, then fail."""
    with console.training():
        print("\n".join(map(str, range(20))))
        raise TrainerError


def test_what_a_trainer_prints_is_shown_only_if_it_fails():
    """The last ten lines, on standard error."""
    console = Console(out=io.StringIO(), err=io.StringIO())
    with console.training():
        print("hidden")
    assert console.err.getvalue() == ""
    with pytest.raises(TrainerError):
        train_in_vain(console)
    assert console.err.getvalue() == "the trainer's last lines:\n" + "".join(f"  {line}\n" for line in range(10, 20))
    assert console.out.getvalue() == ""


def test_numbers_of_a_list_stand_in_one_line(capsys):
    """The object is the same; texts are left as they are, and a comparison with its seeds fits a screen."""
    values = {"seeds": [42, 137, -1.5e-7], "pairs": [[1, None], [2, 3]], "text": ["[1,  2]", "a"], "none": []}
    print_object(values)
    out = capsys.readouterr().out
    assert json.loads(out) == values
    assert ' "seeds": [42, 137, -1.5e-07],' in out.splitlines()
    assert '  "[1,  2]",' in out.splitlines()
