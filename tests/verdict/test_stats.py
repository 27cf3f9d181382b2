"""stats, samples: formulas against reference values, edges that must be errors, properties that hold for any numbers."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.verdict import stats

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "reference_cases.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
EXACT = 1e-9
P = 1e-6

arms = st.lists(st.integers(-1000, 1000), min_size=3, max_size=8).filter(lambda values: len(set(values)) > 1)


def close(expected, rel=EXACT):
    """Compare to relative precision alone."""
    return pytest.approx(expected, rel=rel, abs=1e-300)


def common(case):
    """Return both arms' values at their common seeds."""
    baseline = dict(zip(case["seeds_baseline"], case["baseline"], strict=True))
    experiment = dict(zip(case["seeds_experiment"], case["experiment"], strict=True))
    seeds = [seed for seed in baseline if seed in experiment]
    return [baseline[seed] for seed in seeds], [experiment[seed] for seed in seeds]


def cases_with(key):
    """Parametrize over the reference cases that define a figure."""
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=name) for name, case in CASES.items() if case["expected"].get(key) is not None]
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_describe_agrees_with_the_reference(case):
    """Mean, standard deviation, min and max of both arms; one value has no standard deviation."""
    for arm, suffix in (("baseline", "b"), ("experiment", "e")):
        summary, expected = stats.describe(case[arm]), case["expected"]
        assert summary.n == len(case[arm])
        assert (summary.mean, summary.min, summary.max) == tuple(
            close(expected[f"{name}_{suffix}"]) for name in ("mean", "min", "max")
        )
        std = expected[f"std_{suffix}"]
        assert summary.std is None if std is None else summary.std == close(std)


@cases_with("cohen_d_seed")
def test_effect_sizes_agree_with_the_reference(case):
    """Cohen's d as the protocol pools it, its word, and Hedges' g with the exact correction."""
    expected, arms = case["expected"], (case["baseline"], case["experiment"])
    d = stats.cohens_d(*arms)
    assert d == close(expected["cohen_d_seed"])
    assert stats.effect_class(d) == expected["effect_class_seed"].capitalize()
    assert stats.hedges_g(*arms) == close(expected["hedges_g_exact"])


@cases_with("welch")
def test_welch_agrees_with_the_reference(case):
    """Statistic, degrees of freedom, interval and p."""
    expected = case["expected"]["welch"]
    result = stats.welch(case["baseline"], case["experiment"])
    assert (result.statistic, result.df) == (close(expected["t"]), close(expected["df"]))
    assert (result.ci_low, result.ci_high) == tuple(map(close, expected["ci95"]))
    assert result.p_value == close(expected["p_two_sided"], P)


def test_every_reference_case_with_a_paired_test_agrees():
    """Paired statistic, interval, p and mean difference over the common seeds."""
    checked = 0
    for case in CASES.values():
        expected = case["expected"].get("paired")
        if expected and expected.get("t") is not None and not isinstance(expected["t"], str):
            result = stats.paired(*common(case))
            assert (result.statistic, result.df) == (close(expected["t"]), expected["df"])
            assert result.estimate == close(expected["mean_diff"])
            assert (result.ci_low, result.ci_high) == tuple(map(close, expected["ci95"]))
            assert result.p_value == close(expected["p_two_sided"], P)
            checked += 1
    assert checked >= 20


@cases_with("tost_welch_p")
def test_equivalence_tests_agree_with_the_reference(case):
    """Two one-sided tests, unpaired and, where the seeds match, paired."""
    expected = case["expected"]
    assert stats.tost_welch(case["baseline"], case["experiment"], expected["margin"]) == close(
        expected["tost_welch_p"], P
    )
    if expected.get("tost_paired_p") is not None:
        assert stats.tost_paired(*common(case), expected["margin"]) == close(expected["tost_paired_p"], P)


@pytest.mark.parametrize("family", REFERENCE["holm"], ids=lambda family: family["name"])
def test_holm_agrees_with_the_reference(family):
    """Adjusted Welch p values of several experiments on one control."""
    p_values = [stats.welch(family["control"], group).p_value for group in family["groups"]]
    assert p_values == [close(p, P) for p in family["expected"]["welch_p"]]
    assert stats.holm(p_values) == [close(p, P) for p in family["expected"]["holm_p"]]


@pytest.mark.parametrize("df", [2, 4, 6, 8, 18])
def test_small_sample_correction_is_the_exact_one(df):
    """J by gamma functions, read off Hedges' g over the d that it corrects."""
    uncorrected = 2.5 / math.sqrt(0.5 / df)
    assert stats.hedges_g([0.0, 1.0], [3.0] * df) / uncorrected == close(REFERENCE["closed_forms"]["J"][str(df)])


def test_correction_is_continuous_where_the_series_takes_over():
    """At 1,000 degrees of freedom the gamma functions and the series agree to 1e-11."""
    from pytest_exprun.verdict.stats import _small_sample_correction as correction

    jumps = [correction(df + 1) - correction(df) for df in (999, 1000, 1001)]
    assert jumps[1] == pytest.approx((jumps[0] + jumps[2]) / 2, abs=1e-11)


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9])
def test_a_large_common_offset_costs_no_digits(offset):
    """Every figure of a comparison is the same at an offset of 1e9 as at 0."""
    baseline, experiment = [0.25, 0.5, 0.75, 1.0, 0.5], [-0.5, -0.25, -0.75, -0.5, 0.125]
    shifted = [offset + value for value in baseline], [offset + value for value in experiment]
    for function in (stats.cohens_d, stats.hedges_g, stats.glass_delta, stats.mean_difference):
        assert function(*shifted) == close(function(baseline, experiment))
    for test in (stats.welch, stats.paired):
        here, there = test(baseline, experiment), test(*shifted)
        assert (there.statistic, there.p_value, there.ci_low) == tuple(
            map(close, (here.statistic, here.p_value, here.ci_low))
        )


@given(arms, arms)
def test_welch_equals_scipy(baseline, experiment):
    """Agreement with scipy.stats, which the package itself does not import."""
    result, expected = (
        stats.welch(baseline, experiment),
        scipy.stats.ttest_ind(experiment, baseline, equal_var=False),
    )
    interval = expected.confidence_interval()
    assert (result.statistic, result.df) == (close(expected.statistic), close(expected.df))
    assert result.p_value == close(expected.pvalue)
    assert (result.ci_low, result.ci_high) == (
        pytest.approx(interval.low, rel=EXACT, abs=1e-9),
        pytest.approx(interval.high, rel=EXACT, abs=1e-9),
    )


@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=3, max_size=8))
def test_paired_equals_scipy(pairs):
    """Agreement with scipy.stats, and an error where all differences are alike."""
    baseline, experiment = zip(*pairs, strict=True)
    if len({after - before for before, after in pairs}) == 1:
        with pytest.raises(RefusedError, match="all paired differences are"):
            stats.paired(baseline, experiment)
        return
    result, expected = stats.paired(baseline, experiment), scipy.stats.ttest_rel(experiment, baseline)
    assert (result.statistic, result.p_value) == (
        pytest.approx(expected.statistic, rel=EXACT, abs=1e-12),
        close(expected.pvalue),
    )


@given(arms, arms)
def test_swapping_the_arms_changes_only_the_sign(baseline, experiment):
    """Effect sizes and statistics are antisymmetric, p values symmetric."""
    for function in (stats.cohens_d, stats.hedges_g, stats.mean_difference):
        assert function(baseline, experiment) == pytest.approx(-function(experiment, baseline), rel=1e-9, abs=1e-12)
    one, other = stats.welch(baseline, experiment), stats.welch(experiment, baseline)
    assert (one.p_value, one.ci_low) == (close(other.p_value), pytest.approx(-other.ci_high, rel=1e-9, abs=1e-9))


@given(arms, arms, st.integers(-(10**6), 10**6), st.integers(1, 1000))
def test_standardised_figures_ignore_shift_and_scale(baseline, experiment, shift, scale):
    """d, g, t and p do not depend on the metric's unit."""
    moved = [[shift + scale * value for value in arm] for arm in (baseline, experiment)]
    for function in (stats.cohens_d, stats.hedges_g, lambda b, e: stats.welch(b, e).statistic):
        assert function(*moved) == pytest.approx(function(baseline, experiment), rel=1e-9, abs=1e-9)


@given(arms, st.randoms(use_true_random=False))
def test_the_order_of_seeds_does_not_matter(values, random):
    """Summaries are the same to the last digits for any permutation."""
    shuffled = random.sample(values, len(values))
    one, other = stats.describe(values), stats.describe(shuffled)
    assert (one.mean, one.std, one.min, one.max) == (
        pytest.approx(other.mean, abs=1e-9),
        close(other.std),
        other.min,
        other.max,
    )


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    """Adjusted values are at least the raw ones, at most 1, in the same order, the smallest times m."""
    adjusted = stats.holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    ranks = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[i] for i in ranks] == sorted(adjusted)
    if p_values:
        assert min(adjusted) == min(1.0, len(p_values) * min(p_values))


def test_effect_class_changes_at_exactly_the_protocols_bounds():
    """0.2, 0.5 and 0.8 belong to the larger class; the sign does not count."""
    bounds = {0.0: "Negligible", 0.2: "Small", 0.5: "Medium", 0.8: "Large", 40.0: "Large"}
    assert {d: stats.effect_class(-d) for d in bounds} == bounds
    below = {0.2: "Negligible", 0.5: "Small", 0.8: "Medium"}
    assert {d: stats.effect_class(math.nextafter(d, 0)) for d in below} == below


def test_glass_delta_counts_in_baseline_sigmas():
    """Only the baseline's standard deviation is the unit, so the experiment may be one value."""
    assert stats.glass_delta([1, 2, 3, 4, 5], [3 - 2 * math.sqrt(2.5)]) == close(-2.0)


def test_sigma_interval_agrees_with_the_reference():
    """[0.60, 2.87] s at five seeds."""
    assert stats.sigma_interval(1.0, 5) == tuple(map(close, REFERENCE["closed_forms"]["sigma_ci95_factor_n5"]))
    assert stats.sigma_interval(0.0, 5) == (0.0, 0.0)


def test_seed_correlation_pairs_by_seed():
    """Pearson over the common seeds, whatever their order; None where it is undefined."""
    baseline = {42: 1.0, 137: 2.0, 256: 4.0, 512: 3.0}
    experiment = {256: 9.0, 137: 5.5, 42: 3.0, 7: 100.0}
    assert stats.seed_correlation(baseline, experiment) == close(np.corrcoef([1, 2, 4], [3, 5.5, 9])[0, 1])
    assert stats.seed_correlation([1.0, 2.0, 4.0], [3.0, 5.5, 9.0]) == stats.seed_correlation(baseline, experiment)
    assert stats.seed_correlation(baseline, {42: 1.0, 137: 2.0}) is None
    assert stats.seed_correlation(baseline, dict.fromkeys(baseline, 1.0)) is None


UNDEFINED = {
    "cohens_d of one value": (lambda: stats.cohens_d([1, 2], [1]), "experiment has 1 values, at least 2"),
    "welch of one value": (lambda: stats.welch([1], [1, 2]), "baseline has 1 values"),
    "hedges_g of one value": (lambda: stats.hedges_g([1, 2], [1]), "one seed has no standard deviation"),
    "d without variance": (lambda: stats.cohens_d([1, 1], [2, 2]), "pooled standard deviation is 0"),
    "g without variance": (lambda: stats.hedges_g([1, 1], [2, 2]), "pooled standard deviation is 0"),
    "delta without variance": (lambda: stats.glass_delta([1, 1], [2, 3]), "baseline's standard deviation is 0"),
    "welch without variance": (lambda: stats.welch([1, 1], [2, 2]), "neither arm has any variance"),
    "paired of unequal length": (lambda: stats.paired([1, 2, 3], [1, 2]), "3 baseline and 2 experiment values"),
    "tost without variance": (lambda: stats.tost_paired([1, 2], [2, 3], 1), "all paired differences are 1"),
    "margin 0": (lambda: stats.tost_welch([1, 2], [2, 3], 0), "margin = 0"),
    "margin of the gate 0": (lambda: stats.non_inferiority([1, 2], [2, 3], 0), "margin = 0"),
    "margin_abs 0": (lambda: stats.non_inferiority([1, 2], [2, 3], margin_abs=0), "margin = 0"),
    "alpha 0": (lambda: stats.non_inferiority([1, 2], [2, 3], alpha=0), "alpha = 0"),
    "alpha 1": (lambda: stats.non_inferiority([1, 2], [2, 3], alpha=1), "alpha = 1"),
    "margin nan": (lambda: stats.non_inferiority([1, 2], [2, 3], math.nan), "margin = nan"),
    "nan": (lambda: stats.describe([1, math.nan]), "value 2 of the sample is nan"),
    "infinity": (lambda: stats.welch([1, 2], [1, math.inf]), "value 2 of experiment is inf"),
    "overflow": (lambda: stats.describe([1e200, -1e200]), "1e\\+200"),
    "a huge integer": (lambda: stats.describe([10**400]), "too large for a float"),
    "bool": (lambda: stats.describe([True]), "True \\(bool\\)"),
    "numpy's bool": (lambda: stats.describe([np.True_]), "bool"),
    "text": (lambda: stats.describe(["3.1"]), "value 1 of the sample is '3.1' \\(str\\)"),
    "None": (lambda: stats.describe([None]), "NoneType"),
    "complex": (lambda: stats.describe([1j]), "complex"),
    "an array as a value": (lambda: stats.describe([np.array([1.0, 2.0])]), "array of more than one element"),
    "a mapping": (lambda: stats.welch({42: 1.0, 137: 2.0}, [1, 2]), "baseline is a dict"),
    "a number": (lambda: stats.describe(3.0), "the sample is a float"),
    "nothing": (lambda: stats.describe([]), "has 0 values"),
    "class of nan": (lambda: stats.effect_class(math.nan), "finite"),
    "p above 1": (lambda: stats.holm([0.5, 1.5]), "p value 1.5"),
    "p nan": (lambda: stats.holm([math.nan]), "p value nan"),
    "sigma of one": (lambda: stats.sigma_interval(1.0, 1), "at least 2 values"),
    "sigma negative": (lambda: stats.sigma_interval(-1.0, 5), "std = -1.0"),
    "level 1": (lambda: stats.sigma_interval(1.0, 5, level=1.0), "level = 1.0"),
}


@pytest.mark.parametrize(("call", "message"), UNDEFINED.values(), ids=UNDEFINED)
def test_what_is_undefined_is_one_clear_line(call, message):
    """No NaN comes out of anything: each undefined figure is an error that names the value."""
    with pytest.raises(RefusedError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_numpy_input_gives_plain_floats():
    """Arrays, numpy scalars and one-element arrays are real numbers; what comes out is Python's own float."""
    summary = stats.describe(np.array([1, 2, 4], dtype=np.float32))
    assert [type(value) for value in (summary.mean, summary.std, summary.min)] == [float, float, float]
    assert stats.describe([np.array([1.0]), np.int64(2)]).mean == 1.5
    result = stats.welch(np.arange(5.0), np.arange(3.0))
    assert {type(value) for value in vars(result).values()} == {float}
