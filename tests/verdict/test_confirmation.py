"""A WINNER once more, on fresh seeds: what is confirmed, how large it is, and what is refused."""

import json
import math

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.verdict.confirmation import Confirmation, confirm

FRESH = (7, 11, 13, 17, 19)
CONTROL = dict(zip(FRESH, (2.00, 2.01, 2.02, 1.99, 1.98), strict=True))
BETTER = dict(zip(FRESH, (1.97, 1.985, 1.99, 1.965, 1.955), strict=True))

values = st.lists(st.integers(-1000, 1000).map(float), min_size=5, max_size=20)


def by_seed(numbers):
    """Give each value a seed of its own."""
    return dict(enumerate(numbers))


def test_an_improvement_that_fresh_seeds_show_is_confirmed():
    """The estimate in the metric's unit, percent and fresh sigmas, with its interval, p and the word."""
    found = confirm(CONTROL, BETTER)
    assert (found.confirmed, found.word, found.seeds, found.alpha) == (True, "CONFIRMED", FRESH, 0.05)
    assert found.estimate == pytest.approx(0.027)
    assert found.percent == pytest.approx(1.35)
    assert found.control_mean == pytest.approx(2.0)
    assert found.sigma == pytest.approx(math.sqrt(0.00025))
    assert found.sigmas == pytest.approx(0.027 / found.sigma)
    assert found.ci_low < 0.027 < found.ci_high
    assert found.reason == "improved by 1.71 sigmas on 5 fresh pairs of seeds, paired p < .0001 (level .05)"


@given(values, values, st.sampled_from([0.05, 0.025, 0.001]), st.booleans())
def test_the_test_is_the_paired_one(control, experiment, alpha, lower_is_better):
    """P, interval and decision are those of scipy's paired t test in favour of an improvement, whichever direction is better."""
    size = min(len(control), len(experiment))
    c, e = control[:size], experiment[:size]
    sign = -1 if lower_is_better else 1
    improvements = [sign * (after - before) for before, after in zip(c, e, strict=True)]
    if len(set(c)) == 1 or len(set(improvements)) == 1:
        return
    found = confirm(by_seed(c), by_seed(e), lower_is_better=lower_is_better, alpha=alpha)
    theirs = scipy.stats.ttest_1samp(improvements, 0, alternative="greater")
    interval = scipy.stats.ttest_1samp(improvements, 0).confidence_interval()
    assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)
    assert (found.ci_low, found.ci_high) == pytest.approx(interval, rel=1e-6, abs=1e-6)
    assert found.confirmed == (found.p_value <= alpha)


def test_what_got_worse_is_not_confirmed():
    """However clearly: the test is one-sided."""
    found = confirm(BETTER, CONTROL)
    assert (found.confirmed, found.word) == (False, "NOT CONFIRMED")
    assert found.p_value > 0.99
    assert found.reason.startswith("worse by ")


def test_the_order_of_the_seeds_does_not_matter():
    """Pairs are made by seed."""
    assert confirm(CONTROL, dict(reversed(BETTER.items()))) == confirm(CONTROL, BETTER)


def test_a_diverged_experiment_is_not_confirmed():
    """One seed is enough, and nothing is estimated from the others."""
    found = confirm(CONTROL, BETTER | {13: math.nan, 19: math.inf})
    assert (found.confirmed, found.diverged, found.p_value, found.estimate) == (False, (13, 19), None, None)
    assert found.reason == "2 of 5 fresh seeds diverged (13, 19)"


@pytest.mark.parametrize(("shift", "p_value", "confirmed"), [(-0.25, 0.0, True), (0.0, 0.5, False), (0.25, 1.0, False)])
def test_equal_differences_are_the_limit_of_the_test(shift, p_value, confirmed):
    """All pairs alike: no t, but what it tends to; a change without any effect is not confirmed."""
    control = by_seed([1.0, 2.0, 4.0, 3.0, 8.0])
    found = confirm(control, {seed: value + shift for seed, value in control.items()})
    assert (found.p_value, found.confirmed, found.ci_low, found.ci_high) == (p_value, confirmed, -shift, -shift)


def test_a_fine_level_is_told_from_its_p():
    """At a level of a ten-thousandth `< .0001` would not say on which side p lies."""
    assert confirm(CONTROL, BETTER, alpha=5e-5).reason.endswith("paired p = 1.3e-05 (level 5e-05)")


def test_a_metric_around_zero_has_no_percent():
    """A change in percent of a mean of 0 is no number."""
    control = by_seed([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert confirm(control, by_seed([-3.0, -2.1, -1.0, 0.1, 1.0])).percent is None


@pytest.mark.parametrize("experiment", [BETTER, BETTER | {7: math.nan}])
def test_a_confirmation_goes_through_json(experiment):
    """Plain values, no NaN, and the same object back, also from a file of a later version with more keys."""
    found = confirm(CONTROL, experiment)
    text = json.dumps(found.to_json() | {"later": 1}, allow_nan=False)
    assert Confirmation.from_json(json.loads(text)) == found


def test_damaged_json_is_no_confirmation():
    """A missing key raises what callers of `from_json` expect."""
    data = confirm(CONTROL, BETTER).to_json()
    del data["estimate"]
    with pytest.raises(KeyError):
        Confirmation.from_json(data)


@pytest.mark.parametrize(
    ("control", "experiment", "alpha", "message"),
    [
        (CONTROL | {7: math.nan}, BETTER, 0.05, "baseline seed 7 diverged"),
        (dict.fromkeys(FRESH, 2.0), BETTER, 0.05, "gave the same value"),
        (CONTROL, {seed: BETTER[seed] for seed in FRESH[1:]}, 0.05, "fresh seed 7 is in one arm only"),
        (CONTROL, BETTER | {23: 1.9}, 0.05, "fresh seed 23 is in one arm only"),
        ({1: 1.0, 2: 2.0}, {1: 1.0, 2: 2.0}, 0.05, "has 2 seeds"),
        (CONTROL, BETTER | {7: "1.9"}, 0.05, "experiment seed 7"),
        (CONTROL, BETTER, 0.0, "alpha = 0.0: allowed is a number between 0 and 1"),
        (CONTROL, BETTER, math.nan, "alpha = nan"),
    ],
)
def test_what_allows_no_confirmation_is_refused(control, experiment, alpha, message):
    """A diverged or constant control, unpaired seeds, too few, no numbers, a level that is none: one line each."""
    with pytest.raises(RefusedError, match=message):
        confirm(control, experiment, alpha=alpha)
