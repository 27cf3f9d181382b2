"""Proof of no harm: a one-sided test against "worse by the margin or more"."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.verdict.planning import nct_cdf, t_quantile
from pytest_exprun.verdict.samples import both_arms, difference, divide, pooled_std


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
    from scipy.special import nctdtrit, stdtr

    b, e = both_arms(baseline, experiment)
    unit, bound = ("pooled sigmas", margin) if margin_abs is None else ("metric", margin_abs)
    if not (math.isfinite(bound) and bound > 0 and 0 < alpha < 1):
        raise RefusedError(
            f"margin = {bound}, alpha = {alpha}: allowed is a margin above 0 and an alpha between 0 and 1"
        )
    harm, df = difference(b, e) * (1 if lower_is_better else -1), len(b) + len(e) - 2
    root = math.sqrt(1 / len(b) + 1 / len(e))
    std_error = pooled_std(b, e) * root
    if margin_abs is None:
        statistic = divide(harm, std_error, "the pooled standard deviation")
        p_value = nct_cdf(statistic, df, margin / root)
        threshold = float(nctdtrit(df, margin / root, alpha))
    else:
        statistic = divide(harm - margin_abs, std_error, "the pooled standard deviation")
        p_value, threshold = float(stdtr(df, statistic)), t_quantile(alpha, df)
    return NonInferiority(statistic < threshold, statistic, threshold, df, p_value, alpha, harm, bound, unit)
