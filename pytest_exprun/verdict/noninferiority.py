"""Proof of no harm: a one-sided test against "worse by the margin or more", asked in two ways that may answer differently.

`judge_non_inferior` is the gate, `gate="non_inferior"` on a marker. It is asked while seeds are being trained, so it has two looks, which
share its .05: .010 at the first, .042 at the second, and a wild seed fails it. `non_inferiority` is one look at the seeds there are, at
alpha .05: what `comparison.non_inferior()` asks in the body of a test, with a margin of its own, after the verdict has fallen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.verdict.looks import GATE_LEVELS, Look, checked_arms, plan_looks
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


@dataclass(frozen=True)
class GateJudgement:
    """Whether an experiment is shown not to be worse by the margin. `passed` is None while more seeds are needed."""

    passed: bool | None
    needs: tuple[int, ...]
    reason: str
    look: int
    seeds: tuple[int, ...]
    diverged: tuple[int, ...]
    test: NonInferiority | None


def judge_non_inferior(
    baseline: Mapping[int, float],
    experiment: Mapping[int, float],
    *,
    margin: float = 2.0,
    margin_abs: float | None = None,
    lower_is_better: bool = True,
    plan: Sequence[int] | None = None,
    looks: int = 2,
) -> GateJudgement:
    """Judge the gate `non_inferior` in two looks: is harm of the margin ruled out? The looks are those of `rules.judge`.

    Look 1 at alpha .010, look 2 at .042 for the plan 5 + 3 -> 5, .025 each for others, a single look at .05; see `non_inferiority`
    for test and margins. A diverged seed and a blow-up fail at once: a wild seed inflates the very sigma that the margin counts in.

    Raises:
        RefusedError: what `rules.judge` and `non_inferiority` refuse.
    """
    b, e = checked_arms(baseline, experiment, lower_is_better=lower_is_better)
    steps, needs = plan_looks(b, e, plan, GATE_LEVELS, looks)
    for look in steps:
        gate = _gate(look, margin, margin_abs)
        if gate.passed is not None:
            return gate
    return replace(gate, needs=needs)


def _gate(look: Look, margin: float, margin_abs: float | None) -> GateJudgement:
    if look.diverged:
        return _gate_judgement(look, look.why_diverged, passed=False)
    arms = look.baseline.values(), look.experiment.values()
    test = non_inferiority(*arms, margin, margin_abs=margin_abs, alpha=look.alpha, lower_is_better=False)
    if blown := look.why_blown_up:
        return _gate_judgement(look, blown, test, passed=False)
    answer = "ruled out" if test.passed else "not ruled out"
    harm = f"harm of {test.margin:g}" if margin_abs is not None else f"harm of {test.margin:g} {test.margin_unit}"
    figures = f"t = {test.statistic:.3f}, passes below {test.threshold:.3f}"
    passed = test.passed if test.passed or look.is_last else None
    return _gate_judgement(look, f"{harm} {answer}: {figures}", test, passed=passed)


def _gate_judgement(
    look: Look, reason: str, test: NonInferiority | None = None, *, passed: bool | None
) -> GateJudgement:
    return GateJudgement(passed, (), reason, look.number, tuple(look.experiment), look.diverged, test)
