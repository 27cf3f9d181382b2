"""Which points of a long curve are kept."""

from __future__ import annotations

import json

from pytest_exprun.terms import curves
from pytest_exprun.terms.curves import MAX_OTHER_POINTS, MAX_POINTS, kept
from pytest_exprun.terms.outcome import CurvePoint


def points(count, name="val_loss"):
    """A point a step."""
    return [CurvePoint(number, {name: 1.5}) for number in range(count)]


def test_the_first_points_are_kept():
    """Many with the judged metric, few without it, and those do not take the room of the judged ones."""
    assert kept(points(MAX_POINTS + 5), "val_loss") == points(MAX_POINTS)
    others = points(MAX_OTHER_POINTS + 5, "train_loss")
    assert kept(others, "val_loss") == others[:-5]
    assert kept([*others, *points(3)], "val_loss") == [*others[:-5], *points(3)]


def test_points_that_are_not_kept_may_be_left_out():
    """What is kept of a part is what is kept of all, if nothing is missing but what is not kept: a worker sends no more."""
    mixed = [point for pair in zip(points(MAX_POINTS + 9), points(MAX_POINTS + 9, "lr"), strict=True) for point in pair]
    found = kept(mixed, "val_loss")
    early, late = mixed[: 2 * MAX_OTHER_POINTS], mixed[2 * MAX_OTHER_POINTS :]
    some = [point for number, point in enumerate(late) if number % 7 == 0 or "val_loss" in point.values]
    assert len(found) == MAX_POINTS
    assert kept(found, "val_loss") == kept([*early, *some], "val_loss") == found


def test_a_curve_of_many_metrics_fits_into_a_record(monkeypatch):
    """Their bytes are counted, so that a long run is not lost when it is to be stored."""
    monkeypatch.setattr(curves, "MAX_BYTES", 10_000)
    wide = [
        CurvePoint(step, {f"grad_norm_{name}": -1.2345678901234567e-300 for name in range(40)}) for step in range(9)
    ]
    found = kept(wide, "val_loss")
    written = len(json.dumps([[point.step, point.values] for point in found]))
    assert 1 < len(found) < 9
    assert written < 10_000
