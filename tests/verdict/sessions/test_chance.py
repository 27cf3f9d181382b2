"""What chance alone gives: many experiments on one baseline, and relabelled runs of one arm."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from scipy.special import stdtr

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.outcome import Arm, Verdict
from pytest_exprun.verdict.rules import judge, rule_named
from pytest_exprun.verdict.sessions.chance import count_splits, families, fingerprints, is_judged_by, rank, relabel
from tests.report_toys import BASELINE, LOSER, NEUTRAL, comparison

# Ten draws of a normal distribution, rounded.
TEN = (2.0022, 2.0092, 1.9894, 2.0107, 2.0033, 1.9971, 1.9908, 1.9808, 1.9947, 1.9648)


def two_sigma(baseline, experiment):
    """Judge as the protocol does."""
    return judge(baseline, experiment, plan=tuple(experiment)).verdict


def test_all_splits_of_eight_runs_are_judged_once():
    """Eight runs have 56 splits into five and three, and each is judged just once."""
    seen = []
    found = relabel(TEN[:8], 5, lambda b, e: seen.append((tuple(b), tuple(e))) or two_sigma(b, e))
    assert (found.count, found.complete) == (56, True)
    assert {frozenset(b) for b, _ in seen} == {frozenset(b) for b in itertools.combinations(range(8), 5)}
    assert all(sorted(b + e) == list(range(8)) for b, e in seen)
    verdicts = [two_sigma({at: TEN[at] for at in b}, {at: TEN[at] for at in range(8) if at not in b}) for b, _ in seen]
    assert (found.winners, found.losers) == (verdicts.count(Verdict.WINNER), verdicts.count(Verdict.LOSER))
    assert found.winners + found.losers > 0


def test_splits_of_nine_runs_tell_the_looks_apart():
    """Which three of the experiment's seeds are its first look matters, their order does not."""
    seen = []
    found = relabel(
        TEN[:9], 5, lambda b, e: seen.append((frozenset(b), frozenset(list(e)[:3]), frozenset(e))) or Verdict.NEUTRAL
    )
    assert found.count == count_splits(9, 5, 4) == 126 * 4
    assert len(set(seen)) == found.count
    assert found.rate == 0


def test_many_splits_are_drawn_at_random_and_the_same_every_time():
    """Ten runs have 2,520 splits; fewer are drawn, and a second look gives the same answer."""
    assert count_splits(10, 5, 5) == 2520
    found = relabel(TEN, 5, two_sigma, most=400)
    assert (found.count, found.complete) == (400, False)
    assert relabel(TEN, 5, two_sigma, most=400) == found
    complete = relabel(TEN, 5, two_sigma, most=2520)
    assert complete.complete
    # Four standard errors of a share of 400.
    assert found.rate == pytest.approx(complete.rate, abs=4 * (complete.rate / 400) ** 0.5)


def test_a_verdict_that_is_always_given_has_the_rate_one():
    """Winners and losers are counted apart."""
    verdicts = itertools.cycle([Verdict.WINNER, Verdict.WINNER, Verdict.LOSER, Verdict.NEUTRAL])
    found = relabel(TEN[:8], 5, lambda _b, _e: next(verdicts))
    assert (found.winners, found.losers, found.rate) == (28, 14, 0.75)


def test_more_than_ten_runs_use_ten_at_a_time():
    """An experiment has five seeds at most, however many runs are stored."""
    sizes = set()
    relabel([*TEN, 2.0, 1.99], 5, lambda b, e: sizes.add((len(b), len(e))) or Verdict.NEUTRAL, most=50)
    assert sizes == {(5, 5)}


def test_too_few_runs_are_refused():
    """Seven runs make no baseline of five and experiment of three."""
    with pytest.raises(RefusedError, match="7 runs cannot be relabelled: 8 are needed"):
        relabel(TEN[:7], 5, two_sigma)


def vectorised(values, rule, bar):
    """Whether each row (five of the baseline, five of the experiment) gets a verdict: the rule written again, without common seeds."""
    b, e = values[..., :5], values[..., 5:]
    s_b = b.std(-1, ddof=1)
    decided = np.zeros(values.shape[:-1], dtype=bool)
    for look, alpha in ((e[..., :3], 0.0096), (e, 0.0125)):
        difference = np.abs(look.mean(-1) - b.mean(-1))
        parts = [arm.var(-1, ddof=1) / arm.shape[-1] for arm in (b, look)]
        df = (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / 4 + parts[1] ** 2 / (look.shape[-1] - 1))
        p = stdtr(df, -difference / np.sqrt(parts[0] + parts[1]))
        decided |= (difference >= bar * s_b) & ((rule == "two_sigma") | (p <= alpha))
    return decided


RULES = [("two_sigma", 2.0), ("tested", 2.0), ("tested", 1.0)]


@pytest.mark.parametrize(("rule", "bar"), RULES)
def test_the_vectorised_rule_is_the_rule(rule, bar):
    """The twin that the next test simulates with gives the verdicts of `judge`."""
    draws = np.random.default_rng(3).normal(size=(500, 10)) + np.where(np.arange(10) < 5, 0.0, 1.5)
    theirs = []
    for row in draws.tolist():
        e = dict(enumerate(row[5:], 5))
        theirs.append(judge(dict(enumerate(row[:5])), e, rule=rule, min_effect=bar, plan=tuple(e)).verdict)
    assert 50 < sum(verdict is not Verdict.NEUTRAL for verdict in theirs) < 450
    assert [verdict is not Verdict.NEUTRAL for verdict in theirs] == vectorised(draws, rule, bar).tolist()


@pytest.mark.parametrize(("rule", "bar"), RULES)
def test_what_chance_gives_is_simulated_again(rule, bar):
    """The printed mean and range come out again from 600 sets of ten normal values, within their errors."""
    rng = np.random.default_rng(7)
    orders = np.array([rng.permutation(10) for _ in range(500)])
    rates = np.array([vectorised(rng.normal(size=10)[orders], rule, bar).mean() for _ in range(600)])
    expected = rule_named(rule).chance(bar)
    assert rates.mean() == pytest.approx(expected.relabelled, abs=4 * rates.std() / 600**0.5 + 0.0005)
    # Between the bounds lie 95 %; four standard errors of a share of 600, and what 500 splits instead of 2,000 blur.
    inside = ((rates >= expected.low) & (rates <= expected.high)).mean()
    assert inside == pytest.approx(0.95, abs=0.05)


def test_chance_below_the_bar_of_one_is_a_bound():
    """Without a bar only the levels hold chance down, and no range is claimed."""
    draw = random.Random(5)
    verdicts = []
    for _ in range(1500):
        b, e = ({at: draw.gauss(0, 1) for at in range(first, first + 5)} for first in (0, 5))
        verdicts.append(judge(b, e, rule="tested", min_effect=0.0, plan=tuple(e)).verdict)
    share = sum(verdict is not Verdict.NEUTRAL for verdict in verdicts) / 1500
    tested = rule_named("tested")
    assert share <= tested.chance(0.0).relabelled + 4 * (0.044 / 1500) ** 0.5
    assert (tested.chance(0.5).low, tested.chance(0.5).high) == (0.0, 1.0)
    assert tested.chance(1.9) == tested.chance(1.0)


# Many experiments on one baseline.


def three():
    """Return a comparison of each verdict, in no good order."""
    return [
        comparison(NEUTRAL, name="small", flags=("--small",)),
        comparison(LOSER, name="worse", flags=("--worse",)),
        comparison(),
    ]


def test_a_family_is_one_baseline_and_metric_best_first():
    """The order of arrival does not matter, and a question asked twice counts once."""
    (family,) = families([*three(), comparison()])
    assert [each.name for each in family.comparisons] == ["rope", "small", "worse"]
    assert families(three()[::-1]) == families(three())
    assert len(families([comparison(), comparison(metric="accuracy")])) == 2


def test_holm_counts_two_directions_and_two_looks():
    """q is that of min(1, 4p); a comparison without p keeps the family's size."""
    (alone,), (two,) = (
        families([comparison()]),
        families([comparison(), comparison((1.9, None, 1.92), name="nan", flags=("--nan",))]),
    )
    p = comparison().judgement.p_value
    assert alone.holm == (pytest.approx(4 * p),)
    assert two.holm == (pytest.approx(8 * p), None)


def test_false_winners_are_expected_of_all_that_a_baseline_has_judged():
    """Earlier reports count, each rule with its own share; a flag without effect does not."""
    inert = comparison(BASELINE, name="noop", flags=("--noop",), points=0)
    earlier = [comparison(LOSER, name="old", flags=("--old",), rule="tested", points=0)]
    (family,) = families([comparison(points=0), inert], earlier)
    assert (family.judged, family.false_winners) == (2, pytest.approx(0.031 + 0.011))
    assert family.outlook() == "this baseline has judged 2 experiments: about 0.042 false winners to expect"


def test_what_else_was_asked_counts_by_its_own_rule():
    """Who knows is asked by the baseline's fingerprint, and told what is counted already: the session's, and those of reports."""
    heard = []

    def others(baseline, known):
        heard.append((baseline, known))
        return [("tested", 2.0)]

    earlier = comparison(LOSER, name="old", flags=("--old",))
    (family,) = families([comparison()], [earlier], others)
    assert (family.judged, family.false_winners) == (3, pytest.approx(0.031 + 0.031 + 0.011))
    ours, theirs = fingerprints(comparison()), fingerprints(earlier)
    assert heard == [(ours[0], {ours[1], theirs[1]})]


def test_fingerprints_are_of_the_numbers_and_how_they_are_judged():
    """The baseline's is shared by all that it judged; names do not count, and a comparison that was read again has the same ones."""
    found = fingerprints(comparison())
    assert fingerprints(comparison(name="another", flags=("--x",))) == found
    assert fingerprints(type(comparison()).from_json(comparison().to_json())) == found
    for other in (comparison(LOSER), comparison(rule="tested"), comparison(min_effect=1.0)):
        assert fingerprints(other)[0] == found[0]
        assert fingerprints(other)[1] != found[1]
    assert fingerprints(comparison(metric="accuracy"))[0] != found[0]


def test_a_comparison_belongs_to_its_very_baseline():
    """Other values are another baseline, under whatever flags."""
    found = comparison()
    assert is_judged_by(found, found.baseline)
    assert not is_judged_by(found, found.experiment)
    assert not is_judged_by(found, Arm(found.baseline.variant, found.baseline.runs[:4]))


def test_rank_is_by_verdict_before_size():
    """A WINNER of half a sigma by a low bar stands before a NEUTRAL of more."""
    small = comparison(NEUTRAL, rule="tested", min_effect=0.4)
    large = comparison((1.92, 1.97, 1.99, 1.99, 1.98), rule="tested")
    assert (small.verdict, large.verdict) == (Verdict.WINNER, Verdict.NEUTRAL)
    assert small.effect().sigmas < large.effect().sigmas
    assert rank(small) < rank(large)
