"""The progress lines of a training function, read and followed while it runs."""

from __future__ import annotations

import contextlib
import io
import math

import pytest

from pytest_exprun.running.training.progress import MAX_LINE, ProgressTee, read
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
