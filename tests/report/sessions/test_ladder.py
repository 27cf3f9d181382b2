"""A ladder as text and for programs."""

from __future__ import annotations

import jsonschema
import pytest

from pytest_exprun.report.markdown import Picture, document
from pytest_exprun.report.overview import index
from pytest_exprun.report.sessions.ladder import ladder_lines, section, sentences, to_json
from pytest_exprun.verdict.sessions.ladder import Ladder
from tests.ladders import rung, total
from tests.report_toys import HOSTILE, tables
from tests.shell import SCHEMA

TWO = (rung(1), rung(2, 0.05))
LONG = "a-name-as-long-as-names-may-be-and-longer-than-any-terminal-has-room-for"


def said(ladder):
    """Return the sentences as one text."""
    return "\n".join(sentences(ladder))


def told(ladder):
    """Return the JSON, which is as the schema says."""
    found = to_json(ladder)
    jsonschema.validate({"exit_status": 0, "ladder": found}, SCHEMA)
    return found


def test_a_terminal_shows_a_row_a_rung():
    """Claimed, fresh, interval, day; by as many digits as the noise has."""
    lines = ladder_lines(Ladder(TWO, total(0.15, TWO)))
    assert lines[:4] == [
        "val_loss at 1M tokens; improvements, positive is better",
        "   rung         claimed  fresh seeds              95 %        when",
        "1  idea1 (--x)   +0.200       +0.100  +0.077 to +0.123  2026-11-29",
        "2  idea2 (--x)   +0.200       +0.050  +0.027 to +0.073  2026-11-29",
    ]
    assert lines[5] == "the rungs add up to +0.150 (95 %: +0.120 to +0.180)"
    assert lines[6].startswith(
        "together they give +0.150 (95 %: +0.127 to +0.173; +1.0 %), measured on 10 fresh seeds a side"
    )


@pytest.mark.parametrize("what", ["--x", HOSTILE, "--flag=" + "x" * 200])
def test_rows_fit_a_terminal_and_obey_nothing(what):
    """Also where names and flags are long or hostile."""
    ladder = Ladder((rung(1, what=what, name=LONG), rung(2, fresh=None, confirmed=False)))
    lines = ladder_lines(ladder)
    assert all(len(line) <= 80 for line in lines[1:4])
    assert all(line.isprintable() for line in lines)
    assert "unconfirmed" in lines[3]


@pytest.mark.parametrize(
    ("ladder", "words"),
    [
        (Ladder((rung(1),)), "together they give: not measured"),
        (Ladder((rung(1), rung(2, fresh=None))), "cannot be added up: no fresh seeds were asked about idea2"),
        (
            Ladder((rung(1), rung(2, scale=("f1", False, "1M tokens")))),
            "cannot be added up: they were judged on several scales",
        ),
        (Ladder(TWO, total(0.15, TWO, after="q1")), "before the last rung"),
        (Ladder(TWO, total(0.15, TWO), is_of_today=False), "since then one of both ends was changed"),
        (Ladder(TWO, total(0.15, TWO)), "both on the code of then"),
        (Ladder(TWO, total(0.15, TWO, gain=None)), "no number: a seed of today's baseline diverged"),
        (Ladder((rung(1), rung(2, follows=False))), "rung 2 was not judged on what rung 1 left"),
        (Ladder(TWO, total(0.15, TWO, keys=("k0", "other"))), "of an end are not those that its rung was judged with"),
        (Ladder(TWO, total(0.5, TWO)), "it is chance, one time in twenty"),
        (
            Ladder(TWO, total(0.5, TWO, keys=("k0", "other"))),
            "WARNING: the rungs add up to +0.150, together they give +0.500: they do not add up (an interaction",
        ),
    ],
)
def test_what_is_to_be_said_is_said(ladder, words):
    """And for a program it is as the schema says."""
    assert words in said(ladder)
    found = told(ladder)
    assert (found["warning"] is not None) == ("WARNING" in said(ladder))


def test_a_first_end_of_other_code_is_not_called_todays():
    """Where a rung changed code, the first baseline has the code before it."""
    assert "code of then" not in said(Ladder(TWO, total(0.15, TWO, is_one_code=False)))


def test_a_program_is_told_all_of_it():
    """Sum, total and rungs with their intervals; without a ladder nothing of each."""
    found = told(Ladder(TWO, total(0.15, TWO), is_of_today=True))
    assert found["sum"]["estimate"] == pytest.approx(0.15)
    assert found["total"]["ci_low"] == pytest.approx(0.15 - 2.262157 * 0.01)
    assert (found["total"]["is_current"], found["interaction"]) == (True, False)
    assert told(None) == {"rungs": [], "sum": None, "total": None, "warning": None, "interaction": False}


def test_a_section_of_the_folders_list():
    """A table, the sentences and the picture, between the experiments and the ledger; hostile names are text."""
    ladder = Ladder((rung(1, name=HOSTILE, what="--x=a|b"), rung(2, fresh=None, confirmed=False)))
    text = index({}, (), ["ledger: 3 lines, head abc"], section(ladder, Picture("ladder.svg", "steps", "Caption.")))
    rows = tables(text)["The ladder"]
    assert [row[5] for row in rows[1:]] == ["confirmed", "**unconfirmed**"]
    assert "<script" not in text
    assert text.index("## The ladder") < text.index("![steps](ladder.svg)") < text.index("Ledger: 3 lines")
    assert "ladder.svg" not in document(section(ladder, None))
