"""Every metric's effect, and the evidence beside a verdict. Undefined figures are None, never NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import Experiment, lower_is_better
from pytest_exprun.terms.outcome import Arm, Effect
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.compute.clocks import CLOCKS, are_in_turn, why_times_are_noise, why_times_differ_in_kind

Statistic = TypeVar("Statistic")


@dataclass(frozen=True)
class Evidence:
    """What stands beside a verdict. Values that the data cannot give are None."""

    s_b: float
    s_b_low: float
    s_b_high: float
    rho: float | None
    n_baseline: int
    n_experiment: int
    test: str
    mde_sigmas: float | None
    pairs: tuple[tuple[int, float | None, float | None, float | None], ...]


def effects_of(declaration: Experiment, baseline: Arm, experiment: Arm, *, paired: bool) -> dict[str, Effect]:
    """Return the effect on every metric that all runs have, the judged one first; over pairs if `paired`, where there are two.

    Times of runs that were trained in turn are compared pair by pair in any case.
    """
    shared = [name for name in baseline.metrics if name in experiment.metrics]
    names = [declaration.metric, *(name for name in shared if name != declaration.metric)]
    timed = {*CLOCKS} - {declaration.metric} if are_in_turn(baseline, experiment) else set()
    return {
        name: _effect(name, declaration, baseline, experiment, paired=paired, in_turn=name in timed) for name in names
    }


def _effect(
    metric: str, declaration: Experiment, baseline: Arm, experiment: Arm, *, paired: bool, in_turn: bool
) -> Effect:
    """Compare one metric. Statistics of finite seeds are conditional where a seed diverged; the verdict says so."""
    b, e = ([value for value in arm.values(metric).values() if math.isfinite(value)] for arm in (baseline, experiment))
    pairs = paired_values(baseline, experiment, metric) if paired or in_turn else ([], [])
    in_turn = in_turn and bool(pairs[0])
    why_not = why_times_differ_in_kind([*baseline, *experiment], in_turn=in_turn) if metric == "wall_time" else ""
    if metric == "wall_time" and b and e:
        why_not = why_not or why_times_are_noise(*(pairs if in_turn else (b, e)), in_turn=in_turn)
    if not b or not e:
        return Effect(metric, comparable=not why_not, why_not=why_not)
    test = _attempt(stats.paired, *pairs) if len(pairs[0]) > 1 else _attempt(stats.welch, b, e)
    mean_b, s_b = stats.describe(pairs[0]).mean if in_turn else baseline[metric].mean, baseline[metric].std
    delta = test.estimate if test else stats.describe(e).mean - stats.describe(b).mean
    lower = lower_is_better(metric, dict(declaration.directions))
    improvement = None if lower is None else -delta if lower else delta
    d = _attempt(stats.cohens_d, b, e)
    return Effect(
        metric=metric,
        delta=delta,
        raw_percent=100 * delta / abs(mean_b) if mean_b else None,
        improvement=improvement,
        sigmas=improvement / s_b if improvement is not None and s_b else None,
        cohens_d=d,
        hedges_g=_attempt(stats.hedges_g, b, e),
        effect_class=None if d is None else stats.effect_class(d),
        p_value=test.p_value if test else None,
        ci_low=test.ci_low if test else None,
        ci_high=test.ci_high if test else None,
        comparable=not why_not,
        why_not=why_not,
    )


def evidence_of(metric: str, baseline: Arm, experiment: Arm, *, paired: bool) -> Evidence:
    """Return what stands beside a verdict on this metric."""
    b, e = baseline.values(metric), experiment.values(metric)
    summary = baseline[metric]
    assert summary.std is not None
    low, high = stats.sigma_interval(summary.std, summary.n)
    left, right = paired_values(baseline, experiment, metric)
    finite = sum(math.isfinite(value) for value in e.values())
    if paired:
        mde = _paired_sensitivity(left, right, summary.std)
    else:
        mde = _attempt(stats.minimum_detectable_effect, len(b), finite) if finite else None
    return Evidence(
        s_b=summary.std,
        s_b_low=low,
        s_b_high=high,
        rho=_attempt(stats.seed_correlation, left, right),
        n_baseline=len(b),
        n_experiment=len(e),
        test="paired" if paired else "Welch",
        mde_sigmas=mde,
        pairs=tuple(_pair(seed, b.get(seed), e.get(seed)) for seed in dict.fromkeys([*b, *e])),
    )


def _paired_sensitivity(baseline: Sequence[float], experiment: Sequence[float], s_b: float) -> float | None:
    """Return the smallest effect that the pairs can show, in baseline sigmas, by the measured spread of their differences.

    A correlation would do only if both arms were equally noisy: at rho = .5 a difference then has the spread of one arm, the unit here.
    """
    differences = [after - before for before, after in zip(baseline, experiment, strict=True)]
    if len(differences) < 2 or not s_b:  # noqa: PLR2004
        return None
    spread = stats.describe(differences).std
    return stats.minimum_detectable_effect_paired(len(differences), 0.5) * spread / s_b if spread else None


def _pair(
    seed: int, baseline: float | None, experiment: float | None
) -> tuple[int, float | None, float | None, float | None]:
    left, right = (None if value is None or not math.isfinite(value) else value for value in (baseline, experiment))
    return seed, left, right, None if left is None or right is None else right - left


def paired_values(baseline: Arm, experiment: Arm, metric: str) -> tuple[list[float], list[float]]:
    """Return the finite values at the common seeds."""
    b, e = baseline.values(metric), experiment.values(metric)
    common = [seed for seed in e if seed in b and math.isfinite(b[seed]) and math.isfinite(e[seed])]
    return [b[seed] for seed in common], [e[seed] for seed in common]


def _attempt(function: Callable[..., Statistic], *values: Any) -> Statistic | None:
    """Return the statistic, or None where it is undefined for these values (no variance, one seed)."""
    try:
        return function(*values)
    except RefusedError:
        return None
