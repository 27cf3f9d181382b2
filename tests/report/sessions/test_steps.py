"""The picture of a ladder: same bytes, inert, drawn from fresh seeds alone."""

from __future__ import annotations

import importlib.util
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from pytest_exprun.report.sessions.steps import steps
from pytest_exprun.verdict.sessions.ladder import Ladder
from tests.ladders import rung, total
from tests.report_toys import HOSTILE

TWO = (rung(1), rung(2, 0.05))


def test_the_same_ladder_gives_the_same_bytes(monkeypatch):
    """Whatever the user's settings; another total, or another rung, gives other ones."""
    first = steps(Ladder(TWO, total(0.15, TWO)))
    text = first.draw()
    monkeypatch.setitem(mpl.rcParams, "font.size", 30.0)
    again = steps(Ladder(TWO, total(0.15, TWO)))
    assert (again.digest, again.draw()) == (first.digest, text)
    assert first.is_drawn_in(text)
    for other in (Ladder(TWO), Ladder(TWO, total(0.1, TWO)), Ladder(TWO[:1])):
        assert not steps(other).is_drawn_in(text)


@pytest.mark.parametrize("name", [HOSTILE, "$\\frac{1}$ _x", "\N{GRINNING FACE} \u6f22"])
def test_hostile_names_are_drawn_as_text(name):
    """No formula, no warning, no script."""
    root = ET.fromstring(steps(Ladder((rung(1, name=name), rung(2, fresh=None)))).draw())
    assert root.tag.endswith("svg")
    assert not root.findall(".//{*}script")


def test_many_rungs_have_numbers():
    """And the picture stays small."""
    rungs = tuple(rung(number) for number in range(1, 41))
    assert len(steps(Ladder(rungs, total(4, rungs, gain=None))).draw()) < 100_000


def test_no_picture_of_nothing(monkeypatch):
    """Where no rung has fresh seeds, and where matplotlib is not installed."""
    assert steps(Ladder((rung(1, fresh=None),))) is None
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else real(name))
    assert steps(Ladder(TWO)) is None
