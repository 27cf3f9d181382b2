"""How many seeds see how large an effect: power, minimum detectable effect, seeds needed. Standard library and scipy.special only.

Effects are Cohen's d: differences of means in units of one arm's standard deviation, alike in both arms. Everything goes through the
noncentral t distribution, as in Cohen, Statistical Power Analysis for the Behavioral Sciences (1988), chapter 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from pytest_exprun.terms.errors import RefusedError

_MAX_SEEDS = 100_000
"""Where the search for a number of seeds gives up: nobody trains that many."""


def nct_cdf(statistic: float, df: float, noncentrality: float) -> float:
    """P(T <= statistic) of the noncentral t distribution; far tails, where scipy 1.17 returns NaN, are 0 or 1."""
    from scipy.special import nctdtr

    value = float(nctdtr(df, noncentrality, statistic))
    if math.isnan(value):
        return 0.0 if statistic < noncentrality else 1.0
    return min(max(value, 0.0), 1.0)


def t_quantile(probability: float, df: float) -> float:
    """Return the quantile of Student's t with `df` degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def _fraction(value: float, name: str) -> float:
    if not 0 < value < 1:
        raise RefusedError(f"{name} = {value}: allowed is a number between 0 and 1, both excluded")
    return float(value)


def _count(value: int, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RefusedError(f"{name} = {value!r}: allowed is a whole number of at least {least}")
    return value


def _finite(value: float, name: str) -> float:
    if not math.isfinite(value):
        raise RefusedError(f"{name} = {value}: allowed is a finite number")
    return float(value)


def _paired_scale(rho: float) -> float:
    """Return d / dz, the standard deviation of a paired difference in units of one arm's: sqrt(2 (1 - rho))."""
    if not -1 <= rho < 1:
        raise RefusedError(
            f"rho = {rho}: allowed is a correlation of at least -1 and below 1 (at 1 every paired difference is the same)"
        )
    return math.sqrt(2 * (1 - rho))


def _two_sided_power(noncentrality: float, df: float, alpha: float) -> float:
    critical = t_quantile(1 - alpha / 2, df)
    return (1 - nct_cdf(critical, df, noncentrality)) + nct_cdf(-critical, df, noncentrality)


def power(d: float, n_baseline: int, n_experiment: int, alpha: float = 0.05) -> float:
    """Probability that a two-sided Student t test at `alpha` sees a true effect `d`.

    nct.sf(t_crit, df, ncp) + nct.cdf(-t_crit, df, ncp) with df = n_b + n_e - 2 and ncp = d / sqrt(1/n_b + 1/n_e) (Cohen 1988, 2.2).

    Args:
        d: true difference of means in standard deviations of one arm; the sign does not matter.
        n_baseline: seeds of the baseline, at least 2.
        n_experiment: seeds of the experiment, at least 2.
        alpha: two-sided level, between 0 and 1.

    Raises:
        RefusedError: an argument outside its domain.
    """
    _count(n_baseline, "n_baseline", 2)
    _count(n_experiment, "n_experiment", 2)
    noncentrality = abs(_finite(d, "d")) / math.sqrt(1 / n_baseline + 1 / n_experiment)
    return _two_sided_power(noncentrality, n_baseline + n_experiment - 2, _fraction(alpha, "alpha"))


def power_paired(d: float, n: int, rho: float, alpha: float = 0.05) -> float:
    """Probability that a two-sided paired t test over `n` common seeds sees a true effect `d`.

    As `power`, with df = n - 1 and ncp = d sqrt(n) / sqrt(2 (1 - rho)): `rho` is the correlation of the two arms at the same seed.

    Raises:
        RefusedError: n < 2, rho outside [-1, 1), alpha outside (0, 1), or d not finite.
    """
    _count(n, "n", 2)
    noncentrality = abs(_finite(d, "d")) * math.sqrt(n) / _paired_scale(rho)
    return _two_sided_power(noncentrality, n - 1, _fraction(alpha, "alpha"))


def _smallest(reaches: Callable[[float], bool]) -> float:
    """Bisect for the smallest positive number where a monotone condition holds."""
    high = 1.0
    while not reaches(high):
        high *= 2
    low = 0.0
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
        if middle in (low, high) and high - low <= math.ulp(high):
            break
    return high


def _checked_power(target: float, alpha: float) -> float:
    """A target at or below alpha would be met by no effect at all."""
    if _fraction(target, "power") <= _fraction(alpha, "alpha"):
        raise RefusedError(
            f"power = {target}: allowed is more than alpha = {alpha}, which a test reaches without any effect"
        )
    return target


@lru_cache
def _detectable_noncentrality(df: float, power: float, alpha: float) -> float:
    """Return the noncentrality that a two-sided t test at `alpha` sees with probability `power`: what all effects of one size share."""
    target = _checked_power(power, alpha)
    return _smallest(lambda noncentrality: _two_sided_power(noncentrality, df, alpha) >= target)


def minimum_detectable_effect(n_baseline: int, n_experiment: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest true d that a two-sided Student t test at `alpha` sees with probability `power`; the inverse of `power()`.

    Raises:
        RefusedError: fewer than 2 seeds in an arm, alpha or power outside (0, 1), or power <= alpha.
    """
    df = _count(n_baseline, "n_baseline", 2) + _count(n_experiment, "n_experiment", 2) - 2
    return _detectable_noncentrality(df, power, alpha) * math.sqrt(1 / n_baseline + 1 / n_experiment)


def minimum_detectable_effect_paired(n: int, rho: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest true d that a two-sided paired t test over `n` common seeds sees with probability `power`; see `power_paired`.

    Raises:
        RefusedError: n < 2, rho outside [-1, 1), alpha or power outside (0, 1), or power <= alpha.
    """
    return _detectable_noncentrality(_count(n, "n", 2) - 1, power, alpha) * _paired_scale(rho) / math.sqrt(n)


def _first_count(reaches: Callable[[int], bool]) -> int | None:
    """Return the smallest n >= 2 where a monotone condition holds, None beyond `_MAX_SEEDS`."""
    high = 2
    while not reaches(high):
        high *= 2
        if high > _MAX_SEEDS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return max(high, 2)


def seeds_needed(d: float, power: float = 0.8, alpha: float = 0.05, n_baseline: int | None = None) -> int | None:
    """Seeds an experiment needs to see `d` with probability `power`, unpaired; None where more than 100,000 would be.

    Args:
        d: true difference of means in standard deviations of one arm, not 0.
        power: wanted probability, above alpha.
        alpha: two-sided level.
        n_baseline: seeds of the baseline; None means as many as the experiment has.

    Raises:
        RefusedError: an argument outside its domain.
    """
    target = _checked_power(power, alpha)
    if _finite(d, "d") == 0:
        raise RefusedError("d = 0: no number of seeds sees an effect that is not there")
    return _first_count(lambda n: _power(d, n if n_baseline is None else n_baseline, n, alpha) >= target)


def seeds_needed_paired(d: float, rho: float, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Common seeds that a paired test needs to see `d` with probability `power`; None where more than 100,000 would be.

    Raises:
        RefusedError: an argument outside its domain.
    """
    target = _checked_power(power, alpha)
    if _finite(d, "d") == 0:
        raise RefusedError("d = 0: no number of seeds sees an effect that is not there")
    return _first_count(lambda n: power_paired(d, n, rho, alpha) >= target)


_power = power
"""The function under a name that the argument `power` does not shadow."""
