"""What changes give one by one and together."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy import stats as scipy_stats

from pytest_exprun.verdict.confirmation import confirm
from pytest_exprun.verdict.sessions.ladder import Gain, Ladder, added
from tests.ladders import rung, total


def test_a_gain_is_that_of_its_confirmation():
    """Standard error and interval are those of the paired t test."""
    control = {seed: 2.0 + 0.01 * math.sin(seed) for seed in range(10)}
    experiment = {seed: 1.9 + 0.02 * math.cos(3 * seed) for seed in range(10)}
    found = confirm(control, experiment)
    gain = Gain.of(found.to_json())
    differences = [control[seed] - experiment[seed] for seed in range(10)]
    assert gain.error == pytest.approx(scipy_stats.sem(differences))
    assert gain.interval == pytest.approx((found.ci_low, found.ci_high))
    assert gain.to_json() == pytest.approx(
        {"estimate": found.estimate, "ci_low": found.ci_low, "ci_high": found.ci_high}
    )
    assert Gain.of({"estimate": None}) is None


def test_gains_are_added_as_independent_ones():
    """The root of the summed squares; Satterthwaite's degrees of freedom, those of one gain for one."""
    one = Gain(0.1, 0.03, 9)
    assert added([one]) == Gain(0.1, pytest.approx(0.03), pytest.approx(9))
    found = added([one, Gain(0.2, 0.04, 12)])
    assert (found.estimate, found.error) == (pytest.approx(0.3), pytest.approx(0.05))
    assert found.df == pytest.approx(0.05**4 / (0.03**4 / 9 + 0.04**4 / 12))
    assert added([one] * 4).df == pytest.approx(36)
    assert added([Gain(0.1, 0.0, 9), Gain(0.2, 0.0, 12)]) == Gain(pytest.approx(0.3), 0.0, 9)


def test_sum_and_total_part_where_their_intervals_say_so():
    """Errors .01, .01 of the rungs and .01 of the total: .0173 at 27 degrees of freedom, so .0355 is the bar."""
    rungs = (rung(1), rung(2))
    bar = scipy_stats.t.ppf(0.975, 27) * 0.01 * math.sqrt(3)
    for away, parts in ((0.99 * bar, False), (1.01 * bar, True)):
        for sign in (-1, 1):
            ladder = Ladder(rungs, total(0.2 + sign * away, rungs))
            assert (ladder.sum.estimate, ladder.parts) == (pytest.approx(0.2), parts)
            assert not ladder.is_interaction  # each was judged on the one before: the rungs are the total cut in pieces


def test_one_in_twenty_parts_by_chance():
    """The warning has its level: 4,000 ladders of three rungs that add up exactly, measured with noise."""
    import numpy as np

    draw = np.random.default_rng(7)

    def measured(true):
        values = draw.normal(true, 1, 10)
        return Gain(values.mean(), values.std(ddof=1) / math.sqrt(10), 9)

    warned = 0
    for _ in range(4000):
        rungs = tuple(rung(number, fresh=measured(1.0)) for number in (1, 2, 3))
        warned += Ladder(rungs, total(0, rungs, gain=measured(3.0))).parts
    assert 0.035 < warned / 4000 < 0.06


def test_an_interaction_needs_a_gap():
    """A rung that was not judged on what the one before it left, or ends that are not those of the rungs."""
    rungs = (rung(1), rung(2, follows=False))
    assert Ladder(rungs, total(0.1, rungs)).is_interaction
    rungs = (rung(1), rung(2))
    ladder = Ladder(rungs, total(0.1, rungs, keys=("k0", "other")))
    assert (ladder.parts, ladder.is_between_its_ends, ladder.is_interaction) == (True, False, True)


def test_rounding_is_no_interaction():
    """Without any noise at all a last bit is no difference."""
    rungs = (rung(1, 0.1, 0.0), rung(2, 0.2, 0.0))
    assert not Ladder(rungs, total(0.3, rungs, error=0.0)).parts
    assert Ladder(rungs, total(0.31, rungs, error=0.0)).parts


@pytest.mark.parametrize(
    "ladder",
    [
        Ladder((rung(1), rung(2, fresh=None, confirmed=False))),
        Ladder((rung(1), rung(2, scale=("accuracy", False, "1M tokens")))),
        Ladder((rung(1), rung(2, scale=("val_loss", True, "20K tokens")))),
    ],
)
def test_what_cannot_be_added_up(ladder):
    """A rung that fresh seeds were not asked about, another metric, another budget: no sum, and so no warning."""
    assert ladder.sum is None
    assert not replace(ladder, total=total(9.0, ladder.rungs)).parts


def test_a_total_of_other_ends_warns_of_nothing():
    """It was measured before the last rung, one of both ends has changed since, a seed diverged, or it is of another metric."""
    rungs = (rung(1), rung(2))
    assert Ladder(rungs, total(9.0, rungs)).parts
    for found in (
        Ladder(rungs, total(9.0, rungs, after="q1")),
        Ladder(rungs, total(9.0, rungs), is_of_today=False),
        Ladder(rungs, total(9.0, rungs, gain=None)),
        Ladder(rungs, total(9.0, rungs, scale=("accuracy", False, "1M tokens"))),
        Ladder(rungs),
    ):
        assert not found.parts
    assert Ladder(rungs, total(9.0, rungs), is_of_today=True).parts
