"""The progress lines of a training function, read and followed while it runs."""

from __future__ import annotations

import contextlib
import io
import math

import pytest

from pytest_exprun.running.training.progress import MAX_LINE, Line, Progress, ProgressTee, read
from pytest_exprun.terms.curves import MAX_POINTS
from tests.logs import NUMBERS, same


@pytest.mark.parametrize("value", NUMBERS)
def test_a_progress_line_is_read(value):
    """Step and numbers, as Python's float reads them; what is not finite is None."""
    point = read(f"Step 7 | val_loss: {value} | lr: 3\n").point
    assert point.step == 7
    expected = float(value)
    assert same(point.values["val_loss"], expected if math.isfinite(expected) else None)
    assert point.values["lr"] == 3


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Step 7",
        "Step 7 |",
        "step 7 | val_loss: 1.5",
        "Step 7 | val_loss: 7.6s",
        "x Step 7 | val_loss: 1",
        "Step x | a: 1",
    ],
)
def test_any_other_line_is_no_read(line):
    """A value with a unit is no number: it is passed over, and a line of nothing else says nothing."""
    assert read(line) is None
    assert read("Step 7 | time: 7.6s | val_loss: 1.5").texts == {"val_loss": "1.5"}


def test_a_long_line_is_not_looked_at():
    """A trainer may print a megabyte without an end."""
    assert read("Step 7 | val_loss: 1.5" + " " * MAX_LINE) is None


def test_a_tee_passes_everything_on_and_hears_each_line():
    """Whatever pieces it is printed in; a line without end is not heard yet."""
    points, target = [], io.StringIO()
    with contextlib.redirect_stdout(ProgressTee(target, lambda line: points.append(line.point))):
        print("Step 1 | val_loss: 2.5\nStep", 2, "| val_loss:", "1.5")
        print("Step 3 | val_loss: 1.25", end="")
    assert [(point.step, point.values["val_loss"]) for point in points] == [(1, 2.5), (2, 1.5)]
    assert target.getvalue() == "Step 1 | val_loss: 2.5\nStep 2 | val_loss: 1.5\nStep 3 | val_loss: 1.25"


def test_a_curve_is_bounded_and_every_line_is_heard():
    """A trainer may print a line for each of a million steps; its time limit and the live line need all of them."""
    points = []
    progress = Progress(points.append, "val_loss")
    for step in range(MAX_POINTS + 10):
        progress.take(Line(step, {"val_loss": "1.5"}))
    assert len(progress.curve) == MAX_POINTS
    assert points[-1].step == MAX_POINTS + 9
    assert progress.reported_at({"val_loss": 1.5}) == {"val_loss": ["step", MAX_POINTS + 9, MAX_POINTS + 9]}


@pytest.mark.parametrize("piece", [1, 7, MAX_LINE])
def test_the_end_of_a_long_line_is_no_line(piece):
    """Whatever pieces it comes in; the line after it is whole again."""
    steps = []
    tee = ProgressTee(io.StringIO(), lambda line: steps.append(line.step))
    text = " " * (2 * MAX_LINE) + "Step 1 | a: 1\nStep 2 | a: 1\n"
    for at in range(0, len(text), piece):
        tee.write(text[at : at + piece])
    assert steps == [2]


def test_much_text_at_once_is_read():
    """Lines that a trainer gathered before it printed them."""
    steps = []
    tee = ProgressTee(io.StringIO(), lambda line: steps.append(line.step))
    tee.write("Step 1 | a")
    tee.write(": 1\n" + "words\n" * 1000 + "Step 2 | a: 1\nStep 3 | a: 1\r\nStep 4 ")
    tee.write("| a: 1\n")
    assert steps == [1, 2, 3, 4]
