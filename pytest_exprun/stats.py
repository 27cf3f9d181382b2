"""Effect sizes, tests and intervals for arms of a few seeds: floats in, floats or frozen results out.

Every difference is experiment minus baseline. No function returns NaN: where a figure is undefined (one seed, no variance, a value
that is not finite) it raises RefusedError and says why. Only scipy.special is imported, inside the functions: scipy.stats takes longer
to import than a cached session may last.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pytest_exprun.errors import RefusedError
from pytest_exprun.model import Summary
from pytest_exprun.planning import (
    minimum_detectable_effect,
    minimum_detectable_effect_paired,
    nct_cdf,
    power,
    power_paired,
    seeds_needed,
    seeds_needed_paired,
    t_quantile,
)

__all__ = [
    "NonInferiority",
    "Summary",
    "TestResult",
    "cohens_d",
    "describe",
    "effect_class",
    "glass_delta",
    "hedges_g",
    "holm",
    "mean_difference",
    "minimum_detectable_effect",
    "minimum_detectable_effect_paired",
    "non_inferiority",
    "paired",
    "power",
    "power_paired",
    "real_number",
    "seed_correlation",
    "seeds_needed",
    "seeds_needed_paired",
    "sigma_interval",
    "tost_paired",
    "tost_welch",
    "welch",
]

_LARGEST = 1e150
"""Squares of larger values would overflow."""
_CLASSES = ((0.2, "Negligible"), (0.5, "Small"), (0.8, "Medium"))


@dataclass(frozen=True)
class TestResult:
    """A two-sided t test of experiment minus baseline. `ci_low` and `ci_high` are the 95 % interval of `estimate`."""

    __test__: ClassVar[bool] = False  # the name is the field's; pytest must not collect it

    statistic: float
    df: float
    p_value: float
    estimate: float
    ci_low: float
    ci_high: float

    def one_sided(self, direction: float) -> float:
        """P value against "no difference" in favour of a difference with the sign of `direction` (0: .5)."""
        if direction == 0:
            return 0.5
        half = self.p_value / 2
        return half if (self.estimate > 0) == (direction > 0) else 1 - half


@dataclass(frozen=True)
class NonInferiority:
    """One look at "not worse by `margin` or more". True in a condition when it passed.

    `statistic` passes below `threshold`; `p_value` is the probability of so small a statistic if the harm were exactly the margin.
    `harm` is in the metric's unit, positive when worse.
    """

    passed: bool
    statistic: float
    threshold: float
    df: float
    p_value: float
    alpha: float
    harm: float
    margin: float
    margin_unit: str

    def __bool__(self) -> bool:
        return self.passed


def real_number(value: object, where: str) -> float:
    """Return a real number as float, NaN and infinities included; an array of exactly one element counts as its element.

    Raises:
        RefusedError: bool, str, None, complex, a longer array, or an integer too large for a float; `where` names the place.
    """
    plain = value
    if not isinstance(plain, numbers.Real) and hasattr(plain, "item"):
        try:
            plain = plain.item()
        except (ValueError, RuntimeError, TypeError):
            raise RefusedError(f"{where} is an array of more than one element: return one real number") from None
    # numpy's scalars are no bool by type but become one by item().
    if isinstance(plain, bool) or not isinstance(plain, numbers.Real):
        raise RefusedError(f"{where} is {value!r} ({type(value).__name__}): allowed is one real number")
    try:
        return float(plain)
    except OverflowError:
        raise RefusedError(f"{where} is an integer too large for a float: allowed is one real number") from None


def _sample(values: Iterable[object], name: str, least: int = 2) -> list[float]:
    """Check one arm's values.

    Raises:
        RefusedError: too few of them, or one that is no finite real number.
    """
    sample = [real_number(value, f"value {index} of {name}") for index, value in enumerate(values, 1)]
    if len(sample) < least:
        why = ": one seed has no standard deviation" if len(sample) == 1 else ""
        raise RefusedError(f"{name} has {len(sample)} values, at least {least} are needed{why}")
    for index, value in enumerate(sample, 1):
        if not abs(value) <= _LARGEST:
            raise RefusedError(f"value {index} of {name} is {value}: allowed are finite numbers up to {_LARGEST:g}")
    return sample


def _std(sample: Sequence[float]) -> float:
    std = Summary.of(sample).std
    assert std is not None  # _sample made sure of two values
    return std


def _difference(baseline: Sequence[float], experiment: Sequence[float]) -> float:
    """Difference of means. Both arms are shifted by one common value first, so that a large offset costs no digits."""
    origin = baseline[0]
    of_baseline = math.fsum(value - origin for value in baseline) / len(baseline)
    return math.fsum(value - origin for value in experiment) / len(experiment) - of_baseline


def _arms(baseline: Iterable[object], experiment: Iterable[object]) -> tuple[list[float], list[float]]:
    return _sample(baseline, "baseline"), _sample(experiment, "experiment")


def _divide(difference: float, scale: float, what: str) -> float:
    if scale == 0:
        raise RefusedError(f"{what} is 0, so a difference of {difference:g} has no size in units of it")
    return difference / scale


def describe(values: Iterable[float]) -> Summary:
    """Return n, mean, standard deviation (ddof = 1), min and max; the standard deviation of one value is None.

    The variance is the mean of squared deviations from the mean, summed without rounding error (math.fsum): never mean(x^2) - mean(x)^2.

    Raises:
        RefusedError: no values, or one that is not a finite real number.
    """
    return Summary.of(_sample(values, "the sample", least=1))


def mean_difference(baseline: Iterable[float], experiment: Iterable[float]) -> float:
    """Mean of the experiment minus mean of the baseline, exact to rounding at offsets of 1e9.

    Raises:
        RefusedError: an empty arm, or a value that is not a finite real number.
    """
    return _difference(_sample(baseline, "baseline", least=1), _sample(experiment, "experiment", least=1))


def cohens_d(baseline: Iterable[float], experiment: Iterable[float]) -> float:
    """Standardised difference d = (mean_e - mean_b) / sqrt((s_b^2 + s_e^2) / 2), negative when the experiment is lower.

    The pooled sigma gives both arms the same weight whatever their n (Cohen 1988, 2.3.2): the protocol's definition. Large by chance:
    with 5 and 3 seeds |d| >= 0.8 is no rarity without any effect.

    Raises:
        RefusedError: fewer than two values in an arm, a value that is not finite, or no variance in either arm.
    """
    b, e = _arms(baseline, experiment)
    return _divide(_difference(b, e), math.hypot(_std(b), _std(e)) / math.sqrt(2), "the pooled standard deviation")


def _pooled_std(b: Sequence[float], e: Sequence[float]) -> float:
    """Pool both arms' standard deviations, weighted by their degrees of freedom."""
    weighted = math.hypot(math.sqrt(len(b) - 1) * _std(b), math.sqrt(len(e) - 1) * _std(e))
    return weighted / math.sqrt(len(b) + len(e) - 2)


def _small_sample_correction(df: int) -> float:
    """J(df) = Gamma(df/2) / (sqrt(df/2) Gamma((df-1)/2)), Hedges 1981, equation 6e."""
    if df > 1000:  # noqa: PLR2004  # the logarithms would cancel; the next term of the series is below 1e-12
        return 1 - 3 / (4 * df) - 7 / (32 * df**2) - 9 / (128 * df**3)
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)


def hedges_g(baseline: Iterable[float], experiment: Iterable[float]) -> float:
    """Unbiased standardised difference g = J(n_b + n_e - 2) (mean_e - mean_b) / s_p.

    s_p^2 = ((n_b - 1) s_b^2 + (n_e - 1) s_e^2) / (n_b + n_e - 2); J is the exact correction by gamma functions (Hedges, Distribution
    theory for Glass's estimator of effect size, 1981), not the approximation 1 - 3 / (4 df - 1).

    Raises:
        RefusedError: fewer than two values in an arm, a value that is not finite, or no variance in either arm.
    """
    b, e = _arms(baseline, experiment)
    return _small_sample_correction(len(b) + len(e) - 2) * _divide(
        _difference(b, e), _pooled_std(b, e), "the pooled standard deviation"
    )


def glass_delta(baseline: Iterable[float], experiment: Iterable[float]) -> float:
    """Difference of means in baseline sigmas, (mean_e - mean_b) / s_b (Glass 1976). The experiment may be a single value.

    Raises:
        RefusedError: fewer than two baseline values, no experiment value, a value that is not finite, or s_b = 0.
    """
    b, e = _sample(baseline, "baseline"), _sample(experiment, "experiment", least=1)
    return _divide(_difference(b, e), _std(b), "the baseline's standard deviation")


def effect_class(d: float) -> str:
    """Return the protocol's word for |d|: Negligible below 0.2, Small below 0.5, Medium below 0.8, else Large.

    The bounds are Cohen's (1988). With five seeds or fewer the word is no evidence: a quarter of pure nulls are "Large".

    Raises:
        RefusedError: d is not finite.
    """
    if not math.isfinite(d):
        raise RefusedError(f"d = {d}: an effect class needs a finite number")
    return next((word for bound, word in _CLASSES if abs(d) < bound), "Large")


def _t_test(estimate: float, std_error: float, df: float) -> TestResult:
    from scipy.special import stdtr

    statistic = _divide(estimate, std_error, "the standard error")
    reach = t_quantile(0.975, df) * std_error
    p_value = 2 * float(stdtr(df, -abs(statistic)))
    return TestResult(statistic, df, min(p_value, 1.0), estimate, estimate - reach, estimate + reach)


def _welch_error(b: Sequence[float], e: Sequence[float]) -> tuple[float, float]:
    """Return the standard error of a difference of means and its degrees of freedom (Welch-Satterthwaite)."""
    of_b, of_e = _std(b) / math.sqrt(len(b)), _std(e) / math.sqrt(len(e))
    std_error = math.hypot(of_b, of_e)
    if std_error == 0:
        raise RefusedError("neither arm has any variance, so no t test is possible")
    shares = (of_b / std_error) ** 4 / (len(b) - 1) + (of_e / std_error) ** 4 / (len(e) - 1)
    return std_error, 1 / shares


def welch(baseline: Iterable[float], experiment: Iterable[float]) -> TestResult:
    """Welch's t test of unequal variances, two-sided, on experiment minus baseline, with its 95 % interval.

    t = (mean_e - mean_b) / sqrt(s_b^2/n_b + s_e^2/n_e), degrees of freedom by Welch-Satterthwaite (Welch 1947); equal to scipy's
    ttest_ind(experiment, baseline, equal_var=False).

    Raises:
        RefusedError: fewer than two values in an arm, a value that is not finite, or no variance in either arm.
    """
    b, e = _arms(baseline, experiment)
    return _t_test(_difference(b, e), *_welch_error(b, e))


def _paired_differences(baseline: Iterable[float], experiment: Iterable[float]) -> list[float]:
    b, e = _arms(baseline, experiment)
    if len(b) != len(e):
        raise RefusedError(
            f"{len(b)} baseline and {len(e)} experiment values cannot be paired: give one value a common seed in each"
        )
    return [after - before for before, after in zip(b, e, strict=True)]


def _paired_error(differences: Sequence[float]) -> tuple[float, float]:
    std_error = _std(differences) / math.sqrt(len(differences))
    if std_error == 0:
        raise RefusedError(f"all paired differences are {differences[0]:g}: without variance no t test is possible")
    return std_error, len(differences) - 1


def paired(baseline: Sequence[float], experiment: Sequence[float]) -> TestResult:
    """Paired t test, two-sided, on experiment minus baseline at the same seed, with its 95 % interval.

    t = mean(difference) / (sd(difference) / sqrt(n)), df = n - 1 (Student 1908); equal to scipy's ttest_rel(experiment, baseline).

    Args:
        baseline: one value a seed.
        experiment: the values of the same seeds in the same order.

    Raises:
        RefusedError: unequal lengths, fewer than two pairs, a value that is not finite, or all differences alike.
    """
    differences = _paired_differences(baseline, experiment)
    return _t_test(Summary.of(differences).mean, *_paired_error(differences))


def _tost(estimate: float, std_error: float, df: float, margin: float) -> float:
    """Larger p of the two one-sided tests, that is the test against the nearer bound."""
    from scipy.special import stdtr

    if not (math.isfinite(margin) and margin > 0):
        raise RefusedError(f"margin = {margin}: allowed is a finite number above 0, in the metric's unit")
    return float(stdtr(df, (abs(estimate) - margin) / std_error))


def tost_welch(baseline: Iterable[float], experiment: Iterable[float], margin: float) -> float:
    """P value of "the means differ by less than `margin`" (in the metric's unit), unpaired.

    Two one-sided Welch tests (Schuirmann 1987); p <= .05 just when the 90 % interval lies within +-margin.

    Raises:
        RefusedError: margin not above 0, or what `welch` refuses.
    """
    b, e = _arms(baseline, experiment)
    return _tost(_difference(b, e), *_welch_error(b, e), margin)


def tost_paired(baseline: Sequence[float], experiment: Sequence[float], margin: float) -> float:
    """P value of "the mean paired difference is smaller than `margin`" (in the metric's unit); see `tost_welch`.

    Raises:
        RefusedError: margin not above 0, or what `paired` refuses.
    """
    differences = _paired_differences(baseline, experiment)
    return _tost(Summary.of(differences).mean, *_paired_error(differences), margin)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for being many, in the order given (Holm 1979): step down, k-th smallest times m - k + 1, monotone, at most 1.

    Raises:
        RefusedError: a value outside [0, 1].
    """
    values = [real_number(p, f"p value {index}") for index, p in enumerate(p_values, 1)]
    for p in values:
        if not 0 <= p <= 1:
            raise RefusedError(f"p value {p}: allowed is 0 to 1")
    adjusted, running = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        running = max(running, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = running
    return adjusted


def sigma_interval(std: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of the true standard deviation given `std` from n normal values: s sqrt(df / chi2 quantile), df = n - 1.

    Raises:
        RefusedError: n < 2 (one value has no standard deviation), std negative or not finite, level outside (0, 1).
    """
    from scipy.special import chdtri

    if isinstance(n, bool) or n < 2:  # noqa: PLR2004
        raise RefusedError(f"n = {n}: a standard deviation needs at least 2 values")
    if not (math.isfinite(std) and std >= 0):
        raise RefusedError(f"std = {std}: allowed is a finite number of at least 0")
    if not 0 < level < 1:
        raise RefusedError(f"level = {level}: allowed is a number between 0 and 1, both excluded")
    df = n - 1
    low, high = (std * math.sqrt(df / float(chdtri(df, tail))) for tail in ((1 - level) / 2, (1 + level) / 2))
    return low, high


def seed_correlation(
    baseline: Mapping[int, float] | Sequence[float], experiment: Mapping[int, float] | Sequence[float]
) -> float | None:
    """Pearson correlation of the two arms over their common seeds: how much pairing earns. With five seeds it is a rough guess.

    Each arm is seed -> value, or a sequence of values in the same order of seeds. None where it is undefined: fewer than three common
    seeds, or an arm that is constant over them.

    Raises:
        RefusedError: a value that is not a finite real number.
    """
    baseline, experiment = (arm if isinstance(arm, Mapping) else dict(enumerate(arm)) for arm in (baseline, experiment))
    common = [seed for seed in baseline if seed in experiment]
    if len(common) < 3:  # noqa: PLR2004  # two points are always on a line
        return None
    b, e = _arms([baseline[seed] for seed in common], [experiment[seed] for seed in common])
    std_b, std_e = _std(b), _std(e)
    if std_b == 0 or std_e == 0:
        return None
    mean_b, mean_e = Summary.of(b).mean, Summary.of(e).mean
    covariance = math.fsum((x - mean_b) / std_b * ((y - mean_e) / std_e) for x, y in zip(b, e, strict=True))
    return min(max(covariance / (len(common) - 1), -1.0), 1.0)


def _quantile(cdf: Callable[[float], float], probability: float, low: float, high: float) -> float:
    """Bisect an increasing distribution function to the last digits."""
    while cdf(low) > probability:
        low -= high - low
    while cdf(high) < probability:
        high += high - low
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if cdf(middle) < probability else (low, middle)
    return (low + high) / 2


def non_inferiority(
    baseline: Iterable[float],
    experiment: Iterable[float],
    margin: float = 2.0,
    *,
    margin_abs: float | None = None,
    alpha: float = 0.05,
    lower_is_better: bool = True,
) -> NonInferiority:
    """Test "the experiment is not worse by the margin or more": proof of no harm, in one look at the seeds there are.

    t = harm / (s_p sqrt(1/n_b + 1/n_e)) with s_p pooled by degrees of freedom, harm = how much the experiment's mean is worse. It passes
    below the `alpha` quantile of the noncentral t with df = n_b + n_e - 2 and ncp = margin / sqrt(1/n_b + 1/n_e).

    Args:
        baseline: at least two values.
        experiment: at least two values.
        margin: the harm to be excluded in pooled sigmas, above 0.
        margin_abs: the same in the metric's unit; takes the place of `margin` and of the noncentral t (central t of harm - margin_abs).
        alpha: probability of passing a change that is worse by exactly the margin.
        lower_is_better: whether a lower metric is better.

    Raises:
        RefusedError: fewer than two values in an arm, a value that is not finite, no variance in either arm, a margin not above 0.
    """
    from scipy.special import stdtr

    b, e = _arms(baseline, experiment)
    unit, bound = ("pooled sigmas", margin) if margin_abs is None else ("metric", margin_abs)
    if not (math.isfinite(bound) and bound > 0 and 0 < alpha < 1):
        raise RefusedError(
            f"margin = {bound}, alpha = {alpha}: allowed is a margin above 0 and an alpha between 0 and 1"
        )
    harm, df = _difference(b, e) * (1 if lower_is_better else -1), len(b) + len(e) - 2
    root = math.sqrt(1 / len(b) + 1 / len(e))
    std_error = _pooled_std(b, e) * root
    if margin_abs is None:
        statistic = _divide(harm, std_error, "the pooled standard deviation")
        p_value = nct_cdf(statistic, df, margin / root)
        threshold = _quantile(lambda t: nct_cdf(t, df, margin / root), alpha, -1.0, margin / root + 1)
    else:
        statistic = _divide(harm - margin_abs, std_error, "the pooled standard deviation")
        p_value, threshold = float(stdtr(df, statistic)), t_quantile(alpha, df)
    return NonInferiority(statistic < threshold, statistic, threshold, df, p_value, alpha, harm, bound, unit)
