"""The level of each confirmation in a ledger, and its number of fresh seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.verdict.planning import power_paired
from pytest_exprun.verdict.sessions.spending import POWER, SIZE, Spent, level, seeds_for


def levels(outcomes):
    """Return the level of each confirmation in a ledger with these outcomes."""
    history = []
    for outcome in outcomes:
        history.append(Spent(level(history), outcome))
    return [spent.alpha for spent in history]


def test_failures_use_their_share_up():
    """The k-th in a row without a success has .05 / (k (k + 1))."""
    assert levels([False] * 4) == pytest.approx([0.05 / 2, 0.05 / 6, 0.05 / 12, 0.05 / 20])


def test_a_success_hands_its_level_on():
    """What was confirmed cost nothing: the next one has its level on top of its own share, and so on until one fails."""
    assert levels([True, True, False, False]) == pytest.approx(
        [0.05 / 2, 0.05 * (1 / 2 + 1 / 6), 0.05 * (1 / 2 + 1 / 6 + 1 / 12), 0.05 / 20]
    )


def test_one_without_an_outcome_hands_nothing_on():
    """What crashed, was stopped or is being trained by another session counts as not confirmed."""
    assert level([Spent(0.025)]) == level([Spent(0.025, confirmed=False)]) < level([Spent(0.025, confirmed=True)])


@given(st.lists(st.booleans(), max_size=60))
def test_what_changes_without_effect_are_tested_at_sums_to_the_whole(helps):
    """If just the changes that help are confirmed, the others' levels sum to .05 at most, whatever the order: Bonferroni's bound."""
    assert sum(alpha for alpha, each in zip(levels(helps), helps, strict=True) if not each) <= 0.05 + 1e-12


def test_a_ledger_of_a_thousand_errs_once_in_twenty():
    """Uniform p values of changes without effect, among them changes that always are confirmed: any false one in at most 5 % of ledgers."""
    rng, ledgers, wrong = np.random.default_rng(3), 1500, 0
    for _ in range(ledgers):
        history = []
        for helps, p in zip(rng.random(120) < 0.5, rng.random(120), strict=True):
            alpha = level(history)
            if p <= alpha and not helps:
                wrong += 1
                break
            history.append(Spent(alpha, bool(helps)))
    error = (0.05 * 0.95 / ledgers) ** 0.5
    assert 0.02 < wrong / ledgers <= 0.05 + 4 * error


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.001, 1e-6, 1e-12])
def test_seeds_see_one_and_a_half_sigmas_four_times_in_five(alpha):
    """The fewest that do, by the power of the paired test without correlation."""
    n = seeds_for(alpha)
    assert power_paired(SIZE, n, 0.0, 2 * alpha) >= POWER > power_paired(SIZE, n - 1, 0.0, 2 * alpha)


def test_seeds_grow_slowly():
    """A hundred failures cost three times the seeds of the first confirmation."""
    alphas = levels([False] * 100)
    assert [seeds_for(alphas[k - 1]) for k in (1, 2, 10, 30, 100)] == [10, 13, 21, 27, 34]
    assert seeds_for(0.05) == 8


@pytest.mark.parametrize("alpha", [0.0, -0.1, 0.06, 1e-13, float("nan")])
def test_levels_that_no_ledger_gives_are_refused(alpha):
    """A damaged ledger is no licence."""
    with pytest.raises(RefusedError, match=r"allowed is the level of a confirmation, 1e-12 to 0\.05"):
        seeds_for(alpha)
    with pytest.raises(RefusedError, match="alpha = "):
        level([Spent(alpha)])
