"""Effective speedup: reference cases by hand, what lies beyond the measured range, and how often its interval covers the truth."""

from __future__ import annotations

import json
import math

import pytest

from pytest_exprun.verdict.compute.speedup import AT_LEAST, AT_MOST, Point, SeedSpeedup, Speedup, shown, speedup

CURVE = (Point(3.0, 50.0), Point(2.0, 100.0), Point(1.0, 200.0))
"""One lower for each doubling of the compute."""


def of(loss: float, compute: float, curve=CURVE) -> Speedup:
    """Return the speedup of one seed."""
    return speedup({42: curve}, {42: Point(loss, compute)})


@pytest.mark.parametrize(
    ("loss", "compute", "factor"),
    [
        (2.0, 100.0, 1.0),  # the control itself
        (2.0, 110.0, 1 / 1.1),  # a tenth more compute for nothing
        (2.0, 80.0, 1.25),  # the same loss for a fifth less
        (1.5, 100.0, math.sqrt(2)),  # half of a doubling better
        (1.0, 100.0, 2.0),  # the end of the range belongs to it
        (3.0, 100.0, 0.5),  # so does its beginning
        (2.25, 100.0, 2**-0.25),
        (1.5, 200.0, math.sqrt(2) / 2),  # better, and dearer than that
    ],
)
def test_reference_cases(loss, compute, factor):
    """By hand: with one doubling for a loss of 1, a loss of 2 - x costs 100 * 2^x."""
    found = of(loss, compute)
    assert (found.bound, found.why_not) == ("", "")
    assert found.factor == pytest.approx(factor, rel=1e-12)


def test_each_half_of_the_range_has_its_own_slope():
    """Diminishing returns: two from 50 to 100, a half from 100 to 300."""
    curve = (Point(4.0, 50.0), Point(2.0, 100.0), Point(1.5, 300.0))
    assert of(3.0, 100.0, curve).factor == pytest.approx(math.sqrt(0.5))
    assert of(1.75, 100.0, curve).factor == pytest.approx(math.sqrt(3.0))


def test_the_interval_is_that_of_the_mean_logarithm():
    """Three seeds with factors 1, 2 and 4: mean logarithm ln 2, sd ln 2, t(.975, 2) = 4.302653."""
    experiment = {1: Point(2.0, 100.0), 2: Point(2.0, 50.0), 3: Point(2.0, 25.0)}
    found = speedup(dict.fromkeys(experiment, CURVE), experiment)
    reach = 4.302652729696142 * math.log(2) / math.sqrt(3)
    assert found.factor == pytest.approx(2.0)
    assert (found.low, found.high) == (pytest.approx(2 * math.exp(-reach)), pytest.approx(2 * math.exp(reach)))
    assert [each.factor for each in found.seeds] == pytest.approx([1.0, 2.0, 4.0])


def test_equal_seeds_are_a_point():
    """Counted operations do not scatter."""
    found = speedup({1: CURVE, 2: CURVE}, {1: Point(2.0, 80.0), 2: Point(2.0, 80.0)})
    assert (found.low, found.factor, found.high) == (pytest.approx(1.25),) * 3


@pytest.mark.parametrize(("loss", "bound", "factor"), [(0.5, AT_LEAST, 2.0), (3.5, AT_MOST, 0.5)])
def test_nothing_is_extrapolated(loss, bound, factor):
    """Beyond the measured range stands the limit that the range shows, with the seeds at which it was left, and no interval.

    Factors 1, 1 and 2 (or 1/2): mean logarithm ln 2 / 3, sd ln 2 / sqrt 3, standard error ln 2 / 3.
    """
    inside = Point(2.0, 100.0)
    found = speedup(dict.fromkeys((1, 42, 137), CURVE), {1: inside, 42: inside, 137: Point(loss, 100.0)})
    assert found.seeds[1:] == (SeedSpeedup(42, pytest.approx(1.0)), SeedSpeedup(137, factor, bound))
    limit = factor ** ((1 - 4.302652729696142) / 3)
    assert (found.bound, found.factor, found.low, found.high) == (bound, pytest.approx(limit), None, None)
    assert found.headline.startswith(f"{bound} {limit:.2f} times as fast to the same loss: at seed 137 the control ")


def test_seeds_that_all_leave_the_range_say_its_end():
    """There is no scatter in what was not measured."""
    found = speedup(dict.fromkeys((1, 2, 3), CURVE), dict.fromkeys((1, 2, 3), Point(0.5, 80.0)))
    assert (found.bound, found.factor) == (AT_LEAST, pytest.approx(2.5))


def test_beyond_all_points_they_need_not_fall():
    """A control that is stuck does not get there with twice the budget either."""
    stuck = (Point(3.0, 50.0), Point(2.0, 100.0), Point(2.1, 200.0))
    assert of(1.9, 80.0, stuck).seeds == (SeedSpeedup(42, 2.5, AT_LEAST),)
    assert of(3.1, 80.0, stuck).seeds == (SeedSpeedup(42, 0.625, AT_MOST),)
    assert of(2.05, 80.0, stuck).factor is None


def test_seeds_beyond_both_ends_say_nothing():
    """A mean of an upper and a lower bound is neither."""
    found = speedup({42: CURVE, 137: CURVE}, {42: Point(0.5, 100.0), 137: Point(3.5, 100.0)})
    assert found.factor is None
    assert (
        found.headline
        == "no speedup can be told: some seeds are beyond twice the control's budget, and others before half of it"
    )


@pytest.mark.parametrize(
    ("curve", "point", "why"),
    [
        (
            (Point(3.0, 50.0), Point(3.0, 100.0), Point(1.0, 200.0)),
            CURVE[1],
            "the control is no better after twice the training",
        ),
        (
            (Point(3.0, 50.0), Point(2.0, 100.0), Point(2.5, 200.0)),
            CURVE[1],
            "the control is no better after twice the training",
        ),
        (
            (Point(3.0, 50.0), Point(2.0, 100.0), Point(1.0, 90.0)),
            CURVE[1],
            "took no more compute than the shorter one",
        ),
        (
            (Point(3.0, 50.0), Point(2.0, 100.0), Point(math.nan, 200.0)),
            CURVE[1],
            "the control diverged at another budget",
        ),
        (CURVE, Point(math.nan, 100.0), "seed 42 of the experiment diverged"),
        (CURVE, Point(2.0, 0.0), "took no compute that could be measured"),
    ],
)
def test_what_is_no_curve_gives_no_number(curve, point, why):
    """The loss must fall and the compute rise from budget to budget; the seed is named."""
    found = speedup({42: curve}, {42: point})
    assert (found.factor, found.seeds) == (None, ())
    assert why in found.why_not
    assert "seed 42" in found.why_not


@pytest.mark.parametrize(
    ("made", "reading"),
    [
        (Speedup(1.3, 1.1, 1.5, better=True), "It gets there with less compute than the control."),
        (
            Speedup(0.8, 0.7, 0.9, better=True),
            "Better at equal tokens only by computing more: with that much compute the control is better.",
        ),
        (Speedup(0.8, 0.7, 0.9), "The control gets there with less compute."),
        (
            Speedup(0.9, 0.7, 1.2, better=True),
            "Better at equal tokens; that it is more than more compute is not shown.",
        ),
        (Speedup(0.9, 0.7, 1.2), "Neither faster nor slower is shown."),
        (Speedup(1.9, bound=AT_LEAST, better=True), "It gets there with less compute than the control."),
        (
            Speedup(0.9, bound=AT_LEAST, better=True),
            "Better at equal tokens; that it is more than more compute is not shown.",
        ),
        (Speedup(0.4, bound=AT_MOST), "The control gets there with less compute."),
        (Speedup(1.4, bound=AT_MOST), "Neither faster nor slower is shown."),
        (Speedup(0.4, seeds=(SeedSpeedup(42, 0.4),), better=True), "One seed does not tell how much of that is luck."),
        (
            Speedup(2.5, bound=AT_LEAST, seeds=(SeedSpeedup(42, 2.5, AT_LEAST),)),
            "One seed does not tell how much of that is luck.",
        ),
        (Speedup(why_not="x"), ""),
    ],
)
def test_the_reading_says_what_the_interval_shows(made, reading):
    """A change that is better only by computing more is told so; what the interval leaves open is not said."""
    assert made.reading == reading
    assert made.only_computes_more is reading.startswith("Better at equal tokens only")


def test_the_headline():
    """In words, with two decimals; of another metric by its name."""
    assert Speedup(1.314, 1.12, 1.534).headline == "1.31 times as fast to the same loss (95 % interval 1.12 to 1.53)"
    assert Speedup(1.0, metric="accuracy").headline == "1.00 times as fast to the same accuracy"
    assert [shown(value) for value in (0.0123, 0.1, 12.345)] == ["0.012", "0.10", "12.35"]


def test_plain_values_and_back():
    """What a report's JSON holds."""
    found = speedup({42: CURVE, 137: CURVE}, {42: Point(1.5, 100.0), 137: Point(0.5, 90.0)})
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert Speedup.from_json(data) == found
    assert data["headline"] == found.headline
