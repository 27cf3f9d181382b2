"""rules: the protocol's verdicts to the letter, the order of checks, refusals, the table, and properties of both rules."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_exprun.settings import settings
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import SEEDS
from pytest_exprun.terms.outcome import Verdict
from pytest_exprun.verdict import rules, stats
from pytest_exprun.verdict.rules import (
    RULES,
    Judgement,
    false_winners_per_null,
    judge,
    judge_by,
    p_text,
    rule_named,
)

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "reference_cases.json").read_text())
JUDGED = [
    case
    for case in REFERENCE["cases"]
    if case["name"] not in {"unequal_n_5_2", "n1_experiment", "zero_variance_baseline_only"}
]
NAN, INF = math.nan, math.inf
WINNER, NEUTRAL, LOSER = Verdict

# Mean 0 and s_b exactly 1, so that bars are exact numbers.
UNIT = (1.0, -1.0, 1.0, -1.0, 0.0)
NOISY = (0.9, -1.2, 0.4, -0.6, 0.5)


def by_seed(values, seeds=SEEDS):
    """Give each value a seed of the protocol."""
    return dict(zip(seeds, values, strict=False))


def judged(experiment, baseline=UNIT, **options):
    """Judge values in the protocol's order of seeds."""
    return judge(by_seed(baseline), by_seed(experiment), **options)


def unpaired(values):
    """Give values seeds that no baseline here has."""
    return by_seed(values, (1, 2, 3, 4, 5))


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case["name"])
def test_two_sigma_agrees_with_the_reference(case):
    """Verdict, number of seeds used and improvement in sigmas, both looks; an identical arm is NEUTRAL at once."""
    expected = case["expected"]["seed_rule"]
    found = judge(
        dict(zip(case["seeds_baseline"], case["baseline"], strict=True)),
        dict(zip(case["seeds_experiment"], case["experiment"], strict=True)),
        lower_is_better=case["lower_is_better"],
    )
    assert found.verdict == expected["verdict"]
    if case["name"] == "identical_bitwise":
        assert (found.kind, len(found.seeds)) == ("identical", 3)
        return
    assert (len(found.seeds), found.look == 2) == (expected["n_used"], expected["escalated"])
    assert found.sigmas == pytest.approx(expected["delta_sigma"], rel=1e-9)


@pytest.mark.parametrize("case", REFERENCE["policy_cases"], ids=lambda case: case["name"])
def test_non_finite_values_follow_the_reference_policy(case):
    """A diverged experiment seed is a LOSER, whatever its sign; a diverged baseline seed is an error."""
    baseline, experiment = (by_seed(map(float, case[arm])) for arm in ("baseline", "experiment"))
    if case["policy"].get("baseline_invalid"):
        with pytest.raises(RefusedError, match="baseline seed 137 diverged"):
            judge(baseline, experiment)
        return
    found = judge(baseline, experiment, lower_is_better=case["lower_is_better"])
    assert (found.verdict, list(found.diverged)) == (LOSER, case["policy"]["diverged_seeds"])


class TestTwoSigma:
    """The protocol to the letter."""

    @pytest.mark.parametrize(("mean", "verdict"), [(-2.0, WINNER), (2.0, LOSER), (-3.0, WINNER), (3.0, LOSER)])
    def test_a_bar_reached_exactly_decides(self, mean, verdict):
        """Within 2 sigma is strict: |D| = 2 s_b needs no further seeds."""
        assert judged([mean] * 3).verdict is verdict

    @pytest.mark.parametrize("mean", [-2.0 + 1e-9, 1.999999, 0.5])
    def test_within_the_bar_needs_the_other_two_seeds(self, mean):
        """Three seeds within 2 sigma are no verdict yet."""
        found = judged([mean] * 3)
        assert (found.verdict, found.needs, found.look) == (None, (512, 1024), 1)
        assert "512, 1024 still needed" in found.reason

    @pytest.mark.parametrize("offset", [3.28, -120.4, 1e6])
    def test_a_tie_in_decimals_is_a_tie(self, offset):
        """Numbers as logs print them: a mean exactly 2 sigma away decides although binary fractions round."""
        values = [float(Fraction(str(offset)) + Fraction(step) / 100) for step in UNIT]
        tied = [float(Fraction(str(offset)) + Fraction(2, 100))] * 3
        assert judge(by_seed(values), by_seed(tied)).verdict is LOSER

    def test_rounding_never_lifts_a_verdict_over_the_bar(self):
        """The tolerance is a vanishing part of s_b even where s_b is as small as the rounding."""
        values = [1e9 + step * 2.0**-22 for step in UNIT]
        assert judge(by_seed(values), by_seed([1e9 + 2.0**-22, 1e9, 1e9])).verdict is None

    def test_the_second_look_uses_the_means_of_all_seeds(self):
        """Five seeds beyond the bar on average decide, although the first three did not."""
        found = judged([-1.5, -1.6, -1.7, -3.0, -3.2])
        assert (found.verdict, found.look, found.seeds) == (WINNER, 2, SEEDS)
        assert found.sigmas == pytest.approx(2.2)

    def test_sigma_is_of_the_whole_baseline(self):
        """Ten baseline seeds set mean and standard deviation, also where the experiment has three."""
        ten = dict.fromkeys(range(10), 0.0) | by_seed([3.0, -3.0] * 5, range(10))
        assert judge(ten, by_seed([-4.0] * 3, range(3))).sigmas == pytest.approx(4 / stats.describe(ten.values()).std)

    def test_the_bar_of_the_other_rule_is_ignored(self):
        """min_effect and futility belong to `tested`."""
        assert judged([-1.5, -1.4, -1.6], min_effect=0.5, futility=3.0).verdict is None

    def test_the_test_of_the_other_rule_stands_beside(self):
        """p, level and confirmation are those of `tested` at the same look."""
        first = judged([-2.1, -2.2, -1.9])
        expected = scipy.stats.ttest_ind([-2.1, -2.2, -1.9], UNIT, equal_var=False, alternative="less")
        assert (first.p_value, first.alpha, first.test) == (pytest.approx(expected.pvalue), 0.0096, "Welch")
        assert first.confirmed is True
        experiment = [-0.9, 3.0, -6.0, -2.2, -4.2]
        second = judged(experiment)
        expected = scipy.stats.ttest_rel(experiment, UNIT, alternative="less")
        assert (second.p_value, second.alpha, second.test) == (pytest.approx(expected.pvalue), 0.0196, "paired")
        assert (second.verdict, second.confirmed) == (WINNER, False)


class TestTested:
    """The same bar, and significance beside it."""

    def test_significance_and_bar_together_decide_at_three_seeds(self):
        """Far and tight: WINNER at look 1; far but scattered: more seeds."""
        assert judged([-4.0, -4.1, -3.9], rule="tested").verdict is WINNER
        scattered = judged([-0.5, -8.0, -3.5], rule="tested")
        assert (scattered.verdict, scattered.needs) == (None, (512, 1024))
        assert scattered.p_value > 0.0096

    def test_the_second_look_is_paired(self):
        """A shift of every seed by nearly the same amount is proven although the arms overlap."""
        shifted = [value - 2.1 - wobble for value, wobble in zip(UNIT, (0, 0.01, 0, 0.02, 0.01), strict=True)]
        found = judged(shifted, rule="tested")
        assert (found.verdict, found.test, found.look) == (WINNER, "paired", 2)
        assert found.p_value == pytest.approx(scipy.stats.ttest_rel(shifted, UNIT, alternative="less").pvalue)

    def test_min_effect_is_the_bar_for_both_verdicts(self):
        """At a bar of 1 a proven 1.5 sigma decides, either way; at the default it is real but small."""
        shift = [value + 1.5 + wobble for value, wobble in zip(UNIT, (0, 0.01, 0, 0.02, 0.01), strict=True)]
        assert judged(shift, rule="tested", min_effect=1.0).verdict is LOSER
        assert judged(shift, rule="tested", min_effect=1.0, lower_is_better=False).verdict is WINNER
        found = judged(shift, rule="tested")
        assert (found.verdict, found.kind) == (NEUTRAL, "real but small")

    def test_futility_stops_a_hopeless_experiment_after_three_seeds(self):
        """Below the futility bar look 1 is NEUTRAL; at the bar, and by default, it is not."""
        tiny = [0.1, -0.2, 0.3]
        assert judged(tiny, rule="tested").verdict is None
        stopped = judged(tiny, rule="tested", futility=0.5)
        assert (stopped.verdict, stopped.look, stopped.needs) == (NEUTRAL, 1, ())
        assert "stopped after 3 seeds" in stopped.reason
        assert judged([0.5, 0.5, 0.5], rule="tested", futility=0.5).verdict is None

    def test_a_number_as_futility_leaves_the_rule_with_its_own_seeds(self):
        """It takes the place of nothing: fewer than three seeds are refused as ever."""
        with pytest.raises(RefusedError, match="the experiment has 2 seeds"):
            judged([0.1, 0.2], rule="tested", futility=0.5)

    def test_equal_paired_differences_are_the_limit_of_certainty(self):
        """Every seed better by exactly 2.5 sigma has no paired variance: p is 0, not an error."""
        exact = judge(by_seed(UNIT), by_seed([value - 2.5 for value in UNIT]), rule="tested", looks=1)
        assert (exact.verdict, exact.p_value, exact.test) == (WINNER, 0.0, "paired")

    def test_equal_paired_differences_count_in_their_own_direction(self):
        """Worse by the same amount everywhere is a LOSER; below the bar it is real but small."""
        worse, slight = ([value + step for value in UNIT] for step in (2.5, 0.25))
        assert judged(worse, rule="tested", looks=1).verdict is LOSER
        assert (judged(slight).kind, judged(slight).p_value) == ("real but small", 0.0)

    def test_without_common_seeds_the_second_look_is_welch(self):
        """Level .0125, the means of both arms, the unpaired p."""
        experiment = [-1.0, -3.0, -2.0, -3.5, -4.0]
        found = judge(by_seed(NOISY), unpaired(experiment), rule="tested")
        expected = scipy.stats.ttest_ind(experiment, NOISY, equal_var=False, alternative="less")
        assert (found.test, found.alpha, found.look) == ("Welch", 0.0125, 2)
        assert found.p_value == pytest.approx(expected.pvalue)
        assert found.improvement == pytest.approx(2.7)

    def test_only_common_seeds_are_paired(self):
        """With ten baseline seeds D is over the five that both arms have, sigma over all ten."""
        baseline = by_seed([*NOISY, 1.5, -1.5, 0.1, -0.1, 0.8], range(10))
        experiment = by_seed(
            [value - step for value, step in zip(NOISY, (1, 1.5, 0.7, 1.2, 1.1), strict=True)], range(5)
        )
        found = judge(baseline, experiment, rule="tested")
        assert (found.improvement, found.test) == (pytest.approx(1.1), "paired")
        assert found.sigmas == pytest.approx(1.1 / stats.describe(baseline.values()).std)
        two_sigma = judge(baseline, experiment)
        assert two_sigma.improvement == pytest.approx(
            stats.describe(baseline.values()).mean - stats.describe(experiment.values()).mean
        )

    def test_two_common_seeds_are_a_pair_test_and_one_is_not(self):
        """Two pairs have one degree of freedom; one pair has none, so all seeds are compared by Welch."""
        two = judge(by_seed(NOISY), {1: 5.0, 2: -5.0, 3: 0.2, 42: 0.7, 137: -1.5}, rule="tested")
        assert (two.test, two.alpha, two.improvement) == ("paired", 0.0125, pytest.approx(0.25))
        assert two.p_value == pytest.approx(scipy.stats.ttest_rel([0.7, -1.5], [0.9, -1.2], alternative="less").pvalue)
        assert two.kind == "equivalent"
        one = judge(by_seed(NOISY), {1: -0.5, 2: -0.1, 3: 0.5, 4: -1.2, 42: -0.1}, rule="tested")
        expected = scipy.stats.ttest_ind([-0.5, -0.1, 0.5, -1.2, -0.1], NOISY, equal_var=False, alternative="less")
        assert (one.test, one.p_value) == ("Welch", pytest.approx(expected.pvalue))

    @pytest.mark.parametrize(
        ("n_baseline", "n_experiment", "levels"),
        [(5, 5, (0.0096, 0.0196)), (10, 5, (0.0125, 0.0125)), (5, 4, (0.0125, 0.0125)), (5, 10, (0.0125, 0.0125))],
    )
    def test_levels_belong_to_the_plan(self, n_baseline, n_experiment, levels):
        """The simulated levels hold for 5 + 3 -> 5 with common seeds; any other plan has Bonferroni halves."""
        values = [0.1 * (-1) ** index * index for index in range(10)]
        baseline = by_seed(values[:n_baseline], range(10))
        early = judge(baseline, by_seed([-9.0, -9.1, -9.2, *values], range(n_experiment)), rule="tested")
        late = judge(
            baseline, by_seed([value + 0.01 * value**2 for value in values], range(n_experiment)), rule="tested"
        )
        assert ((early.look, early.alpha), (late.look, late.alpha)) == ((1, levels[0]), (2, levels[1]))


class TestLooks:
    """Which seeds a judgement stands on."""

    def test_what_the_first_look_decides_stands(self):
        """Later values are ignored, even a diverged one and a blow-up."""
        for rest in ([9.0, 9.0], [NAN, -INF], [1e6, 0.0]):
            for rule in RULES:
                found = judged([-4.0, -4.1, -3.9, *rest], rule=rule)
                assert (found.verdict, found.look, found.seeds) == (WINNER, 1, SEEDS[:3])

    def test_the_order_of_the_mapping_is_the_order_of_training(self):
        """The first three of the experiment's mapping are look 1, whatever their seeds."""
        found = judge(by_seed(UNIT), {1024: -4.0, 7: -4.1, 42: -3.9, 137: 0.0, 256: 0.0})
        assert found.seeds == (1024, 7, 42)

    def test_needs_are_the_plans_seeds_not_yet_there(self):
        """By default the baseline's up to five; else the plan's."""
        three = {42: 0.3, 256: 0.1, 1024: -0.2}
        assert judge(by_seed(UNIT), three).needs == (137, 512)
        assert judge(by_seed([*UNIT, *NOISY], range(10)), by_seed([0.3, 0.1, -0.2], range(3))).needs == (3, 4)
        assert judge(by_seed(UNIT), three, plan=(42, 256, 1024, 7, 8, 9)).needs == (7, 8, 9)

    def test_a_plan_of_three_is_a_single_look(self):
        """Nothing further to train: a verdict at level .025."""
        found = judged([0.3, 0.1, -0.2], plan=SEEDS[:3], rule="tested")
        assert (found.verdict, found.needs, found.alpha, found.look) == (NEUTRAL, (), 0.025, 1)

    def test_a_single_batch_is_one_look(self):
        """looks=1 judges everything at once, unpaired where no seeds are shared."""
        values = [-3.0, -4.0, 0.5, -3.5, -4.5]
        found = judge(by_seed(NOISY), unpaired(values), rule="tested", looks=1)
        assert (found.verdict, found.alpha, found.test, len(found.seeds)) == (WINNER, 0.025, "Welch", 5)

    def test_a_judgement_in_two_calls_is_the_judgement_in_one(self):
        """Training the needed seeds and judging again gives what all five seeds at once give."""
        for values in ([-1.5, -1.6, -1.7, -3.0, -3.2], [0.3, 0.1, -0.2, 0.0, 0.4], [-1, NAN, 3, 4, 5]):
            first, whole = judged(values[:3], rule="tested"), judged(values, rule="tested")
            assert first == whole if first.verdict else first.needs == SEEDS[3:]

    @pytest.mark.parametrize(
        "values", [NOISY, (0.0, 9.0, 1.0, 2.0, 0.5), (NAN, 0.1, 0.2), (2.5, 2.4, 2.6), (1.0, -1.0, 1.0)]
    )
    def test_rules_judged_together_judge_as_alone(self, values):
        """They share the looks and nothing else."""
        together = judge_by(RULES, by_seed(UNIT), by_seed(values), min_effect=1.0, futility=0.1)
        assert together == [judged(values, rule=rule, min_effect=1.0, futility=0.1) for rule in RULES]


class TestOrderOfChecks:
    """Refusals, divergence, no effect, blow-up, the rule."""

    @pytest.mark.parametrize("rule", RULES)
    def test_divergence_comes_before_everything_but_refusals(self, rule):
        """One diverged seed of three beats an identical pair, a blow-up and a great improvement."""
        for values in ([NAN, 1e9, -50.0], [1.0, INF, 1.0], [-INF, -90.0, -91.0]):
            found = judged(values, rule=rule)
            assert (found.verdict, found.kind, found.needs) == (LOSER, "diverged", ())
            assert found.p_value is None
            assert found.confirmed is None

    def test_divergence_names_the_seeds(self):
        """The reason counts and lists them; the finite seeds' improvement is kept as conditional."""
        found = judged([NAN, -3.0, INF])
        assert found.reason == "2 of 3 seeds diverged (42, 256)"
        assert (found.diverged, found.improvement) == ((42, 256), 3.0)
        assert judged([NAN, NAN, NAN]).improvement is None
        assert judged([0.1, 0.2, -0.3, NAN, 0.0]).reason == "1 of 5 seeds diverged (512)"

    @pytest.mark.parametrize("rule", RULES)
    def test_no_effect_at_all_is_neutral_at_the_first_look(self, rule):
        """Paired differences of exactly 0 at all common seeds, three or five."""
        for count in (3, 5):
            found = judged(UNIT[:count], rule=rule)
            assert (found.verdict, found.kind, found.look, found.needs) == (NEUTRAL, "identical", 1, ())

    def test_no_effect_comes_before_a_blow_up(self):
        """A baseline with one wild seed, copied exactly, is identical and not a LOSER."""
        wild = (*[0.0, 1e-9] * 12, 1.0)
        seeds = range(25)
        found = judge(by_seed(wild, seeds), {24: 1.0, 1: 1e-9, 2: 0.0})
        assert found.kind == "identical"

    def test_equal_values_at_other_seeds_are_no_identity(self):
        """Without a common seed nothing can be identical."""
        assert judge(by_seed(UNIT), unpaired(UNIT)).kind != "identical"

    @pytest.mark.parametrize("rule", RULES)
    def test_a_blow_up_is_a_loser_whatever_the_mean_says(self, rule):
        """One seed beyond 20 sigma is enough, also where the two others improved more."""
        found = judged([-40.0, 20.5, -40.0], rule=rule)
        assert (found.verdict, found.kind, found.confirmed) == (LOSER, "blow-up", False)
        assert "seed 137" in found.reason

    def test_twenty_sigma_exactly_is_no_blow_up(self):
        """The limit is strict."""
        assert judged([20.0, -20.0, 0.0]).kind is None
        assert judged([20.001, -20.0, 0.0]).kind == "blow-up"

    def test_a_blow_up_at_the_second_look_counts(self):
        """Seeds 512 and 1024 are checked like the first three."""
        found = judged([0.1, 0.2, -0.3, 0.0, 25.0])
        assert (found.verdict, found.kind, found.look) == (LOSER, "blow-up", 2)


class TestKindsOfNeutral:
    """The first that applies."""

    def test_real_but_small(self):
        """Paired p <= .0196 below the bar, also above 1 sigma."""
        for step in (0.3, 1.5):
            values = [value - step - wobble for value, wobble in zip(UNIT, (0, 0.01, 0, 0.02, 0.01), strict=True)]
            assert judged(values).kind == "real but small"

    def test_suggestive(self):
        """At least 1 sigma, not significant; under `tested` also beyond the bar."""
        assert judged([-1.0, -3.9, 1.5, -3.0, -0.6]).kind == "suggestive"
        found = judged([-3.5, 3.0, -7.0, 1.0, -6.0], rule="tested")
        assert (found.sigmas > 2, found.verdict, found.kind) == (True, NEUTRAL, "suggestive")

    def test_equivalent(self):
        """The 90 % paired interval lies within 2 sigma."""
        values = [value + wobble for value, wobble in zip(UNIT, (0.3, -0.4, 0.5, -0.2, 0.1), strict=True)]
        assert judged(values).kind == "equivalent"

    def test_one_sigma_exactly_is_suggestive(self):
        """The bound is the protocol's, and inclusive."""
        scattered = [3.0, -5.0, 1.0, -6.0, 2.0]
        assert judged(scattered).sigmas == pytest.approx(1.0)
        assert judged(scattered).kind == "suggestive"
        assert judged([*scattered[:4], 2.1]).kind == "inconclusive"

    @pytest.mark.parametrize("scale", [1.0, 0.01, 50.0])
    def test_equivalent_begins_where_the_interval_touches_two_sigma(self, scale):
        """With D = 0 the half-width of the 90 % interval decides: 2 sigma of the baseline, in the metric's unit."""
        wobble = (1.0, -1.0, 1.0, -1.0, 0.0)
        touching = 2 / (scipy.stats.t.ppf(0.95, 4) / math.sqrt(5))
        baseline = [scale * value for value in UNIT]
        for factor, kind in ((0.999, "equivalent"), (1.001, "inconclusive")):
            values = [scale * (value + factor * touching * step) for value, step in zip(UNIT, wobble, strict=True)]
            assert judged(values, baseline).kind == kind

    def test_inconclusive(self):
        """Small on average, but too scattered to exclude 2 sigma."""
        assert judged([-4.0, 4.5, -3.5, 3.0, 0.2]).kind == "inconclusive"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("baseline", "experiment", "message"),
    [
        (by_seed(UNIT[:4]), by_seed(UNIT), "the baseline has 4 seeds: a verdict needs at least 5"),
        (by_seed(UNIT), by_seed([1.0, NAN]), "the experiment has 2 seeds: a verdict needs at least 3"),
        (by_seed(UNIT), {}, "the experiment has 0 seeds"),
        (by_seed([4.5] * 5), by_seed([NAN] * 3), "all 5 baseline seeds gave the same value, s_b = 0"),
        (by_seed([0.0, INF, 1, 2, NAN]), by_seed(UNIT), "baseline seed 137, 1024 diverged"),
        (by_seed(UNIT), by_seed([1.0, True, 2.0]), "experiment seed 137 is True \\(bool\\)"),
        (by_seed(UNIT), by_seed([1.0, "3.1", 2.0]), "experiment seed 137 is '3.1' \\(str\\)"),
        (by_seed([1, None, 2, 3, 4]), by_seed(UNIT), "baseline seed 137 is None"),
        (by_seed(UNIT), by_seed([1.0, 1j, 2.0]), "complex"),
        (by_seed(UNIT), by_seed([1.0, np.array([1.0, 2.0]), 2.0]), "array of more than one element"),
        (list(UNIT), by_seed(UNIT), "the baseline is a list: allowed is a mapping"),
    ],
)
def test_numbers_that_allow_no_verdict_are_refused(rule, baseline, experiment, message):
    """One clear line each, before anything else is looked at."""
    with pytest.raises(RefusedError, match=message) as caught:
        judge(baseline, experiment, rule=rule)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "three_sigma"}, "allowed is two_sigma or tested"),
        ({"min_effect": -1.0}, "min_effect = -1.0"),
        ({"min_effect": NAN}, "min_effect = nan"),
        ({"futility": INF}, "futility = inf"),
        ({"lower_is_better": "yes"}, "lower_is_better = 'yes'"),
        ({"looks": 3}, "looks = 3"),
    ],
)
def test_arguments_outside_their_domain_are_refused(options, message):
    """The error names the argument, its value and what is allowed."""
    with pytest.raises(RefusedError, match=message):
        judged([0.0, 0.1, 0.2], **options)


def test_one_element_arrays_and_numpy_scalars_are_real_numbers():
    """A metric as torch or numpy returns it is judged as its value."""
    plain = judged([-3.0, -3.1, -2.9])
    assert judged([np.array([-3.0]), np.float64(-3.1), np.array(-2.9)]) == plain
    assert {type(value) for value in (plain.improvement, plain.sigmas, plain.p_value)} == {float}


numbers = st.lists(st.integers(-4000, 4000).map(lambda value: value / 100), min_size=5, max_size=5)


@given(numbers, numbers, st.sampled_from(RULES), st.sampled_from([3, 5]))
def test_the_mirror_image_is_the_opposite_verdict(baseline, experiment, rule, count):
    """Negating every value and the direction changes nothing; without blow-ups, negating the values alone swaps the verdicts."""
    assume(len(set(baseline)) > 1)
    found = judged(experiment[:count], baseline, rule=rule)
    flipped = [[-value for value in arm] for arm in (experiment[:count], baseline)]
    assert judged(*flipped, rule=rule, lower_is_better=False) == found
    mirrored = judged(*flipped, rule=rule)
    if "blow-up" not in {found.kind, mirrored.kind}:
        swapped = {WINNER: LOSER, LOSER: WINNER}
        assert mirrored.verdict == swapped.get(found.verdict, found.verdict)
        assert (mirrored.kind, mirrored.p_value) == (found.kind, pytest.approx(found.p_value))


@given(numbers, numbers, st.sampled_from(RULES), st.integers(-10, 10), st.integers(0, 5))
def test_shift_and_scale_change_no_verdict(baseline, experiment, rule, shift, doubling):
    """The metric's unit does not matter."""
    assume(len(set(baseline)) > 1)
    moved = [[2**doubling * (value + 128 * shift) for value in arm] for arm in (experiment, baseline)]
    found, other = judged(experiment, baseline, rule=rule), judged(*moved, rule=rule)
    assert (other.verdict, other.kind, other.look) == (found.verdict, found.kind, found.look)
    assert other.sigmas == pytest.approx(found.sigmas, rel=1e-9, abs=1e-9)


@given(numbers, numbers, st.permutations(range(3)), st.permutations(range(2)))
def test_the_order_within_a_look_does_not_matter(baseline, experiment, first, second):
    """Permuting the first three seeds, or the last two, keeps the verdict and its numbers."""
    assume(len(set(baseline)) > 1)
    order = [*first, *(3 + index for index in second)]
    shuffled = {SEEDS[index]: experiment[index] for index in order}
    for rule in RULES:
        found, other = judged(experiment, baseline, rule=rule), judge(by_seed(baseline), shuffled, rule=rule)
        assert (other.verdict, other.kind, set(other.seeds)) == (found.verdict, found.kind, set(found.seeds))


@given(numbers, numbers)
def test_tested_never_calls_a_winner_that_two_sigma_would_not(baseline, experiment):
    """On the same seeds a WINNER of `tested` is beyond the protocol's bar too."""
    assume(len(set(baseline)) > 1)
    found = judged(experiment, baseline, rule="tested")
    if found.verdict is WINNER:
        same_seeds = {seed: value for seed, value in by_seed(experiment).items() if seed in found.seeds}
        assert judge(by_seed(baseline), same_seeds, looks=1).verdict is WINNER


@given(
    numbers,
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=3, max_size=6),
    st.sampled_from(RULES),
)
def test_no_judgement_holds_a_nan(baseline, experiment, rule):
    """Whatever finite or non-finite numbers come, every field is None or finite, and exactly one of verdict and needs is there."""
    assume(len(set(baseline)) > 1)
    found = judge(by_seed(baseline), by_seed(experiment, range(6)), rule=rule, plan=range(5))
    assert not [value for value in vars(found).values() if isinstance(value, float) and not math.isfinite(value)]
    assert (found.verdict is None) == bool(found.needs)


def test_expected_false_winners_are_the_protocols():
    """.031, .011 and .022 an experiment; a bar between has the lower one's share."""
    figures = [
        false_winners_per_null("two_sigma"),
        false_winners_per_null("tested"),
        false_winners_per_null("tested", 1.0),
    ]
    assert figures == [0.031, 0.011, 0.022]
    assert false_winners_per_null("tested", 1.5) == 0.022
    assert false_winners_per_null("tested", 0.0) == pytest.approx(0.0292)


class TestTable:
    """One row a rule says all that depends on it."""

    def test_every_rule_of_the_settings_has_a_row(self):
        """The names that are allowed are those of the table, in one order."""
        assert tuple(settings.RULES) == RULES == tuple(row.name for row in rules.TABLE.values())

    @pytest.mark.parametrize("ask", [false_winners_per_null, rule_named, lambda name: judged(UNIT, rule=name)])
    def test_a_rule_without_a_row_is_refused(self, ask):
        """No figure of another rule is given in its place."""
        with pytest.raises(RefusedError, match=r"^rule = 'three_sigma': allowed is two_sigma or tested$"):
            ask("three_sigma")

    def test_a_new_rule_is_a_row(self, monkeypatch):
        """A name with its bar in the settings, and a row: the verdict, its reason and what chance gives follow."""
        row = rules.Rule("three_sigma", (rules.ByChance(3.0, 0.004, 0.01, 0.0, 0.02),), wants_significance=True)
        monkeypatch.setitem(rules.TABLE, row.name, row)
        monkeypatch.setitem(settings.RULES, row.name, 3.0)
        found = judged([-2.5, -2.6, -2.4], rule=row.name, min_effect=1.0, looks=1)
        assert (found.verdict, found.rule) == (NEUTRAL, "three_sigma")
        assert "by 2.50 baseline sigmas (bar: 3), Welch p" in found.reason
        assert judged([-3.5, -3.6, -3.4], rule=row.name).verdict is WINNER
        assert false_winners_per_null(row.name, 1.0) == 0.004

    @pytest.mark.parametrize("rule", RULES)
    @pytest.mark.parametrize("min_effect", [0.0, 0.5, 1.0, 1.9, 2.0, 7.0])
    def test_what_chance_gives_is_known_for_every_bar(self, rule, min_effect):
        """The last row of a rule reaches down to its lowest bar."""
        found = rule_named(rule).chance(min_effect)
        assert found.bar <= rule_named(rule).bar(min_effect)
        assert found.low <= found.relabelled <= found.high


def test_reasons_read_as_one_sentence_with_the_numbers():
    """What a user reads: size, bar, and for `tested` the p value and its level."""
    assert judged([-6.0, -6.2, -5.8]).reason == "improved by 6.00 baseline sigmas (bar: 2)"
    assert (
        judged([2.5, 2.4, 2.6], rule="tested").reason
        == "worse by 2.50 baseline sigmas (bar: 2), Welch p = .0024 (level .0096)"
    )
    assert "by 1.9996 baseline" in judged([-1.9996] * 3).reason, "a figure below the bar must not read as the bar"


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0043, "= .0043"), (0.11, "= .11"), (0.5, "= .5"), (1e-4, "= .0001"), (1e-5, "< .0001"), (0.0, "< .0001")],
)
def test_p_values_print_as_in_the_reports(p, text):
    """Two digits, no leading zero, a floor at .0001."""
    assert p_text(p) == text


def test_a_judgement_is_frozen():
    """Nobody changes a verdict afterwards."""
    found = judged([-6.0, -6.2, -5.8])
    assert isinstance(found, Judgement)
    with pytest.raises(AttributeError):
        found.verdict = NEUTRAL


class TestSeedBySeed:
    """futility = seeds: after every seed, whether another one is worth it."""

    def stopped(self, values, **options):
        """Judge what may be stopped after any seed."""
        return judged(values, futility="seeds", **options)

    @pytest.mark.parametrize(
        ("values", "verdict", "kind"),
        [
            ((0.66,), NEUTRAL, "stopped"),
            ((0.65,), None, None),
            ((3.99,), NEUTRAL, "stopped"),
            ((4.0,), LOSER, "stopped"),
            ((20.5,), LOSER, "blow-up"),
            ((NAN,), LOSER, "diverged"),
            ((0.0, -0.59), NEUTRAL, "stopped"),
            ((0.0, -0.61), None, None),
            ((-3.0, 21.0), LOSER, "blow-up"),
            ((-3.0, 1.5, 0.0), NEUTRAL, "stopped"),
            ((-1.0, -1.0, -1.0), None, None),
            ((-2.0, -2.0, -2.0), WINNER, None),
            ((-1.0, -1.0, -1.0, -1.3), NEUTRAL, "stopped"),
            ((-1.0, -1.0, -1.0, -1.5), None, None),
            ((-1.0, -1.0, -1.0, -1.5, -6.0), WINNER, None),
        ],
    )
    def test_each_seed_has_its_cut(self, values, verdict, kind):
        """-.65, .3, .8 and 1.1 sigma for a bar of two; what decides beyond that is the rule, at three seeds and at five."""
        found = self.stopped(values)
        assert (found.verdict, found.kind, len(found.seeds)) == (verdict, kind, len(values))
        assert found.needs == (SEEDS[len(values) : len(values) + 1] if verdict is None else ())

    def test_what_a_seed_decided_stands(self):
        """Later seeds are not looked at, whatever they say."""
        early = self.stopped([1.5, -9.0, -9.0, -9.0, -9.0])
        assert early == self.stopped([1.5])
        assert early.reason == "stopped after 1 seed: 1.50 sigma worse (cut: -0.65); not worth more seeds"
        assert (early.sigmas, early.p_value, early.confirmed, early.test) == (-1.5, None, None, "Welch")

    def test_what_is_hopeless_says_so(self):
        """A LOSER without a test, and with the number that made it one."""
        found = self.stopped([6.0])
        assert found.reason == "stopped after 1 seed: 6.00 sigma worse (hopeless: 4); not worth more seeds"
        assert (found.p_value, found.alpha) == (None, rules.RULE_LEVELS.standard[0])

    def test_no_loser_without_its_test_where_one_is_wanted(self):
        """`tested` stops what is hopeless as NEUTRAL; what blows up or diverges is no question of means."""
        assert (self.stopped([6.0], rule="tested").verdict, self.stopped([6.0], rule="tested").kind) == (
            NEUTRAL,
            "stopped",
        )
        assert self.stopped([21.0], rule="tested").kind == "blow-up"
        assert self.stopped([NAN], rule="tested").verdict is LOSER

    def test_a_lower_bar_has_lower_cuts(self):
        """`tested` from a bar of one on; a bar above two has the cuts of two, so no rule stops what the protocol would go on with."""
        assert self.stopped([0.6], rule="tested", min_effect=1.0).kind == "stopped"
        assert self.stopped([0.6], rule="tested", min_effect=2.0).verdict is None
        assert self.stopped([0.6], rule="tested", min_effect=5.0).verdict is None
        with pytest.raises(
            RefusedError, match=r"futility = seeds wants a bar of at least 1 baseline sigma: min_effect is 0\.5"
        ):
            self.stopped([0.6], rule="tested", min_effect=0.5)

    def test_equal_values_are_no_reason_to_stop(self):
        """One seed may equal its partner by chance, three do not: so that a flag without any effect is found."""
        assert self.stopped(UNIT[:1]).needs == (137,)
        assert self.stopped(UNIT[:2]).needs == (256,)
        assert self.stopped(UNIT[:3]).kind == "identical"

    def test_a_longer_plan_keeps_its_last_cut(self):
        """Seeds 5 to 7 of eight have that of the fourth; the eighth is the last look."""
        plan = (*SEEDS, 2048, 4096, 8192)
        found = self.stopped([-1.5] * 4 + [0.9], plan=plan)
        assert (found.kind, len(found.seeds)) == ("stopped", 5)
        seven = dict(zip(plan, [-1.5] * 7, strict=False))
        assert judge(by_seed(UNIT), seven, futility="seeds", plan=plan).needs == (8192,)

    def test_three_seeds_are_one_look(self):
        """Its plan ends where the others begin: two cuts and the rule."""
        assert self.stopped([-1.9] * 3, plan=SEEDS[:3]).kind == "suggestive"
        assert self.stopped([-1.9, 2.0], plan=SEEDS[:3]).kind == "stopped"

    @pytest.mark.parametrize("values", [(), [0.0] * 2])
    def test_refusals_are_as_ever(self, values):
        """No seed at all, and fewer than three of what is judged to the end."""
        with pytest.raises(RefusedError, match="the experiment has"):
            judged(values, futility="seeds" if not values else 0.0)

    def test_the_lowest_bar_with_cuts_is_the_settings(self):
        """And cuts rise with the seeds, and with the bar from the second on."""
        assert rules.CUTS[-1][0] == settings.LEAST_BAR_TO_STOP
        for _, cuts in rules.CUTS:
            assert list(cuts) == sorted(cuts)
