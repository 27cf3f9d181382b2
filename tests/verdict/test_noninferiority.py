"""Proof of no harm: the test, and the gate in two looks."""

import json
import math
from pathlib import Path

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from pytest_exprun.terms.model import SEEDS, Experiment, RunSpec, Variant
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.comparison import compare
from pytest_exprun.verdict.noninferiority import judge_non_inferior

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "reference_cases.json").read_text())["closed_forms"]
# Mean 0 and s_b exactly 1.
UNIT = (1.0, -1.0, 1.0, -1.0, 0.0)
NOISY = (0.9, -1.2, 0.4, -0.6, 0.5)

arms = st.lists(st.integers(-1000, 1000), min_size=3, max_size=8).filter(lambda values: len(set(values)) > 1)


def by_seed(values, seeds=SEEDS):
    """Give each value a seed of the protocol."""
    return dict(zip(seeds, values, strict=False))


def gate(experiment, baseline=UNIT, **options):
    """Judge values in the protocol's order of seeds."""
    return judge_non_inferior(by_seed(baseline), by_seed(experiment), **options)


def method(experiment, baseline=UNIT):
    """Ask `comparison.non_inferior()` of the same values."""
    runs = [
        [RunResult(RunSpec(variant, seed), "finished", {"val_loss": value}) for seed, value in by_seed(values).items()]
        for variant, values in ((Variant(), baseline), (Variant(("--x",)), experiment))
    ]
    return compare(Experiment("x", Variant(("--x",))), *runs).non_inferior()


def test_non_inferiority_has_the_protocols_thresholds():
    """The t statistic passes below .4129 at 5 vs 3 and alpha .010, below 1.3772 at 5 vs 5 and .042, below 1.4567 at 5 vs 5 and .05."""
    five, three = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0]
    assert stats.non_inferiority(five, three, alpha=0.010).threshold == pytest.approx(0.4129, abs=5e-5)
    assert stats.non_inferiority(five, five, alpha=0.042).threshold == pytest.approx(1.3772, abs=5e-5)
    assert stats.non_inferiority(five, five).threshold == pytest.approx(REFERENCE["gate_t_threshold_n5"], rel=1e-9)


@given(arms, arms, st.sampled_from([0.5, 1.0, 2.0, 5.0]), st.booleans())
def test_non_inferiority_passes_just_when_p_is_below_alpha(baseline, experiment, margin, lower_is_better):
    """Statistic, threshold and p tell the same story, equal to scipy's noncentral t."""
    test = stats.non_inferiority(baseline, experiment, margin, lower_is_better=lower_is_better)
    assert bool(test) == test.passed == (test.statistic < test.threshold)
    root = math.sqrt(1 / len(baseline) + 1 / len(experiment))
    assert test.threshold == pytest.approx(scipy.stats.nct.ppf(0.05, test.df, margin / root), rel=1e-8, abs=1e-8)
    if abs(test.p_value - 0.05) > 1e-9:
        assert test.passed == (test.p_value < 0.05)


def test_an_absolute_margin_is_a_shifted_t_test():
    """With margin_abs the test is Student's on harm minus the margin, in the metric's unit."""
    baseline, experiment = [1.0, 2.0, 3.0, 4.0, 5.0], [2.5, 3.5, 4.25]
    expected = scipy.stats.ttest_ind([value - 3.0 for value in experiment], baseline, alternative="less")
    test = stats.non_inferiority(baseline, experiment, margin_abs=3.0)
    assert (test.statistic, test.p_value) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert test.margin_unit == "metric"


def test_a_harmless_change_passes_at_three_seeds():
    """t below .4129 at alpha .010."""
    found = gate([-0.5, -0.4, 0.1])
    assert (found.passed, found.look, found.test.alpha) == (True, 1, 0.010)
    assert found.test.threshold == pytest.approx(0.4129, abs=5e-5)


def test_a_doubtful_change_needs_two_more_seeds():
    """Then t below 1.3772 at alpha .042 decides."""
    assert (gate([0.9, 0.4, 0.6]).passed, gate([0.9, 0.4, 0.6]).needs) == (None, (512, 1024))
    last = gate([0.9, 0.4, 0.6, 0.2, 0.3])
    assert (last.passed, last.look, last.test.alpha) == (True, 2, 0.042)
    assert last.test.threshold == pytest.approx(1.3772, abs=5e-5)
    assert gate([0.9, 2.4, 1.6, 2.2, 1.3]).passed is False


def test_a_wild_seed_fails_although_it_inflates_sigma():
    """A diverged seed and a blow-up fail at once."""
    assert (gate([0.0, math.nan, 0.1]).passed, gate([0.0, math.nan, 0.1]).diverged) == (False, (137,))
    wild = gate([0.1, 0.4, 0.6, 0.2, 100.0])
    assert (wild.passed, wild.test.passed) == (False, True)


def test_direction_and_absolute_margin():
    """Higher may be better; the margin may be in the metric's unit."""
    assert gate([5.0, 5.1, 5.2]).passed is None
    assert gate([5.0, 5.1, 5.2], lower_is_better=False).passed is True
    assert gate([5.0, 5.1, 5.2], margin_abs=50.0).passed is True
    assert gate([5.0, 5.1, 5.2], margin_abs=50.0).reason.startswith("harm of 50 ruled out: t = -")
    assert gate([0.9, 0.4, 0.6]).reason == "harm of 2 pooled sigmas not ruled out: t = 1.046, passes below 0.413"


def test_other_plans_have_halves_and_a_single_look_has_all():
    """.025 each with ten baseline seeds, .05 in one look, and pairing plays no part."""
    ten = by_seed([*UNIT, *NOISY], range(10))
    assert judge_non_inferior(ten, by_seed([-1.0, -1.1, -0.9], range(3))).test.alpha == 0.025
    assert gate([-0.5, -0.4, 0.1], looks=1).test.alpha == 0.05
    assert judge_non_inferior(by_seed(UNIT), by_seed([0.9, 0.4, 0.6, 0.2, 0.3], (1, 2, 3, 4, 5))).test.alpha == 0.042


def test_gate_and_method_are_two_questions():
    """t = 1.423 at five seeds: above the 1.3772 of the gate's second look, below the 1.4567 of the method's only one."""
    shifted = [value + 0.9 for value in UNIT]
    assert gate(shifted).test.statistic == pytest.approx(1.423, abs=5e-4)
    assert (gate(shifted).passed, method(shifted)) == (False, True)
    first = [stats.non_inferiority(UNIT, UNIT[:3], alpha=alpha).threshold for alpha in (0.01, 0.05)]
    assert first == pytest.approx([0.413, 1.062], abs=5e-4)
