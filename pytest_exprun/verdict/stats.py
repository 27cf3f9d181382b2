"""Effect sizes, tests and intervals for arms of a few seeds: floats in, floats or frozen results out.

Every difference is experiment minus baseline. No function returns NaN: where a figure is undefined (one seed, no variance, a value
that is not finite) it raises RefusedError and says why. Only scipy.special is imported, inside the functions: scipy.stats takes longer
to import than a cached session may last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.outcome import Summary
from pytest_exprun.verdict.noninferiority import NonInferiority, non_inferiority
from pytest_exprun.verdict.planning import (
    minimum_detectable_effect,
    minimum_detectable_effect_paired,
    power,
    power_paired,
    seeds_needed,
    seeds_needed_paired,
)
from pytest_exprun.verdict.samples import (
    TestResult,
    both_arms,
    describe,
    difference,
    divide,
    mean_difference,
    paired,
    pooled_std,
    real_number,
    sample_of,
    std_of,
    tost_paired,
    tost_welch,
    welch,
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

_CLASSES = ((0.2, "Negligible"), (0.5, "Small"), (0.8, "Medium"))


def cohens_d(baseline: Iterable[float], experiment: Iterable[float]) -> float:
    """Standardised difference d = (mean_e - mean_b) / sqrt((s_b^2 + s_e^2) / 2), negative when the experiment is lower.

    The pooled sigma gives both arms the same weight whatever their n (Cohen 1988, 2.3.2): the protocol's definition. Large by chance:
    with 5 and 3 seeds |d| >= 0.8 is no rarity without any effect.

    Raises:
        RefusedError: fewer than two values in an arm, a value that is not finite, or no variance in either arm.
    """
    b, e = both_arms(baseline, experiment)
    return divide(difference(b, e), math.hypot(std_of(b), std_of(e)) / math.sqrt(2), "the pooled standard deviation")


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
    b, e = both_arms(baseline, experiment)
    return _small_sample_correction(len(b) + len(e) - 2) * divide(
        difference(b, e), pooled_std(b, e), "the pooled standard deviation"
    )


def glass_delta(baseline: Iterable[float], experiment: Iterable[float]) -> float:
    """Difference of means in baseline sigmas, (mean_e - mean_b) / s_b (Glass 1976). The experiment may be a single value.

    Raises:
        RefusedError: fewer than two baseline values, no experiment value, a value that is not finite, or s_b = 0.
    """
    b, e = sample_of(baseline, "baseline"), sample_of(experiment, "experiment", least=1)
    return divide(difference(b, e), std_of(b), "the baseline's standard deviation")


def effect_class(d: float) -> str:
    """Return the protocol's word for |d|: Negligible below 0.2, Small below 0.5, Medium below 0.8, else Large.

    The bounds are Cohen's (1988). With five seeds or fewer the word is no evidence: a quarter of pure nulls are "Large".

    Raises:
        RefusedError: d is not finite.
    """
    if not math.isfinite(d):
        raise RefusedError(f"d = {d}: an effect class needs a finite number")
    return next((word for bound, word in _CLASSES if abs(d) < bound), "Large")


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
    b, e = both_arms([baseline[seed] for seed in common], [experiment[seed] for seed in common])
    std_b, std_e = std_of(b), std_of(e)
    if std_b == 0 or std_e == 0:
        return None
    mean_b, mean_e = Summary.of(b).mean, Summary.of(e).mean
    covariance = math.fsum((x - mean_b) / std_b * ((y - mean_e) / std_e) for x, y in zip(b, e, strict=True))
    return min(max(covariance / (len(common) - 1), -1.0), 1.0)
