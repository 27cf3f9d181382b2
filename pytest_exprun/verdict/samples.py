"""Arms of a few values: checked to be real finite numbers, described by their moments, and tested against each other.

Every difference is experiment minus baseline. scipy.special is imported where a test needs it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.outcome import Summary
from pytest_exprun.terms.real import real
from pytest_exprun.verdict.planning import t_quantile

LARGEST = 1e150
"""Squares of larger values would overflow."""


def real_number(value: object, where: str) -> float:
    """Return a real number as float, NaN and infinities included; an array of exactly one element counts as its element.

    Raises:
        RefusedError: it is none; `where` names the place.
    """
    try:
        return real(value)
    except ValueError as error:
        problem = str(error) or f"{value!r} ({type(value).__name__}): allowed is one real number"
        raise RefusedError(f"{where} is {problem}") from None


def sample_of(values: Iterable[object], name: str, least: int = 2) -> list[float]:
    """Check one arm's values.

    Raises:
        RefusedError: too few of them, or one that is no finite real number.
    """
    # A mapping would iterate over its seeds: wrong numbers, silently.
    if type(values) is not list and (isinstance(values, Mapping | str) or not isinstance(values, Iterable)):
        raise RefusedError(
            f"{name} is a {type(values).__name__}: allowed is a sequence of numbers, for a mapping its values()"
        )
    sample = [
        value if type(value) is float else real_number(value, f"value {index} of {name}")
        for index, value in enumerate(values, 1)
    ]
    if len(sample) < least:
        why = ": one seed has no standard deviation" if len(sample) == 1 else ""
        raise RefusedError(f"{name} has {len(sample)} values, at least {least} are needed{why}")
    for index, value in enumerate(sample, 1):
        if not -LARGEST <= value <= LARGEST:
            raise RefusedError(f"value {index} of {name} is {value}: allowed are finite numbers up to {LARGEST:g}")
    return sample


def std_of(sample: Sequence[float]) -> float:
    """Standard deviation (ddof = 1) of at least two checked values."""
    std = Summary.of(sample).std
    assert std is not None  # sample_of made sure of two values
    return std


def difference(baseline: Sequence[float], experiment: Sequence[float]) -> float:
    """Difference of means. Both arms are shifted by one common value first, so that a large offset costs no digits."""
    origin = baseline[0]
    of_baseline = math.fsum(value - origin for value in baseline) / len(baseline)
    return math.fsum(value - origin for value in experiment) / len(experiment) - of_baseline


def both_arms(baseline: Iterable[object], experiment: Iterable[object]) -> tuple[list[float], list[float]]:
    """Check both arms, at least two values each."""
    return sample_of(baseline, "baseline"), sample_of(experiment, "experiment")


def pooled_std(b: Sequence[float], e: Sequence[float]) -> float:
    """Pool both arms' standard deviations, weighted by their degrees of freedom."""
    weighted = math.hypot(math.sqrt(len(b) - 1) * std_of(b), math.sqrt(len(e) - 1) * std_of(e))
    return weighted / math.sqrt(len(b) + len(e) - 2)


def divide(numerator: float, scale: float, what: str) -> float:
    """Express a difference in units of `scale`.

    Raises:
        RefusedError: the scale is 0.
    """
    if scale == 0:
        raise RefusedError(f"{what} is 0: a difference of {numerator:g} has no size in units of it")
    return numerator / scale


def describe(values: Iterable[float]) -> Summary:
    """Return n, mean, standard deviation (ddof = 1), min and max; the standard deviation of one value is None.

    The variance is the mean of squared deviations from the mean, summed without rounding error (math.fsum): never mean(x^2) - mean(x)^2.

    Raises:
        RefusedError: no values, or one that is not a finite real number.
    """
    return Summary.of(sample_of(values, "the sample", least=1))


def mean_difference(baseline: Iterable[float], experiment: Iterable[float]) -> float:
    """Mean of the experiment minus mean of the baseline, exact to rounding at offsets of 1e9.

    Raises:
        RefusedError: an empty arm, or a value that is not a finite real number.
    """
    return difference(sample_of(baseline, "baseline", least=1), sample_of(experiment, "experiment", least=1))


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


def _t_test(estimate: float, std_error: float, df: float) -> TestResult:
    from scipy.special import stdtr

    statistic = divide(estimate, std_error, "the standard error")
    reach = t_quantile(0.975, df) * std_error
    p_value = 2 * float(stdtr(df, -abs(statistic)))
    return TestResult(statistic, df, min(p_value, 1.0), estimate, estimate - reach, estimate + reach)


def _welch_error(b: Sequence[float], e: Sequence[float]) -> tuple[float, float]:
    """Return the standard error of a difference of means and its degrees of freedom (Welch-Satterthwaite)."""
    of_b, of_e = std_of(b) / math.sqrt(len(b)), std_of(e) / math.sqrt(len(e))
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
    b, e = both_arms(baseline, experiment)
    return _t_test(difference(b, e), *_welch_error(b, e))


def _paired_differences(baseline: Iterable[float], experiment: Iterable[float]) -> list[float]:
    b, e = both_arms(baseline, experiment)
    if len(b) != len(e):
        raise RefusedError(
            f"{len(b)} baseline and {len(e)} experiment values cannot be paired: give one value a common seed in each"
        )
    return [after - before for before, after in zip(b, e, strict=True)]


def _paired_error(differences: Sequence[float]) -> tuple[float, float]:
    std_error = std_of(differences) / math.sqrt(len(differences))
    if std_error == 0:
        raise RefusedError(f"all paired differences are {differences[0]:g}: without variance no t test is possible")
    return std_error, float(len(differences) - 1)


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
    b, e = both_arms(baseline, experiment)
    return _tost(difference(b, e), *_welch_error(b, e), margin)


def tost_paired(baseline: Sequence[float], experiment: Sequence[float], margin: float) -> float:
    """P value of "the mean paired difference is smaller than `margin`" (in the metric's unit); see `tost_welch`.

    Raises:
        RefusedError: margin not above 0, or what `paired` refuses.
    """
    differences = _paired_differences(baseline, experiment)
    return _tost(Summary.of(differences).mean, *_paired_error(differences), margin)
