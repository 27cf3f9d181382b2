"""Two arms put side by side: every metric's effect, the verdict, and the evidence a reader needs to believe it.

A comparison is a pure function of its declaration and its runs, so a report written today and one written next year from the same records
are the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_exprun.terms.errors import RefusedError, TrainerError
from pytest_exprun.terms.judged_at import check_places, judged_early
from pytest_exprun.terms.kept import staleness
from pytest_exprun.terms.model import Arm, Effect, Experiment, RunResult, RunSpec, Variant, Verdict, lower_is_better
from pytest_exprun.terms.sameness import difference
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.clocks import why_times_differ_in_kind, with_one_clock
from pytest_exprun.verdict.rules import PROTOCOL, Judgement, judge_by, rule_named

MIN_PAIRS_FOR_CORRELATION = 3
ALPHA = 0.05


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


@dataclass(frozen=True)
class Comparison:
    """An experiment against its control, judged."""

    declaration: Experiment
    baseline: Arm
    experiment: Arm
    judgement: Judgement
    two_sigma: Judgement
    effects: Mapping[str, Effect]
    evidence: Evidence

    @property
    def name(self) -> str:
        """The experiment's name, as in its report's file name."""
        return self.declaration.name

    @property
    def metric(self) -> str:
        """The judged metric."""
        return self.declaration.metric

    @property
    def verdict(self) -> Verdict:
        """WINNER, NEUTRAL or LOSER by the declared rule."""
        assert self.judgement.verdict is not None
        return self.judgement.verdict

    @property
    def reason(self) -> str:
        """The verdict's reason, one sentence with its numbers."""
        return self.judgement.reason

    @property
    def judged_early(self) -> str | None:
        """Where in its run the judged metric is from if that is before the end: `step 80 of 100`."""
        return judged_early(self.metric, baseline=self.baseline, experiment=self.experiment)

    @property
    def not_loser(self) -> bool:
        """No proof of harm. A third to a half of truly 2-sigma-worse changes pass this too: see `non_inferior`."""
        return self.verdict is not Verdict.LOSER

    def effect(self, metric: str | None = None) -> Effect:
        """Return one metric's effect, by default the judged one.

        Raises:
            RefusedError: a metric that the runs of both arms do not all have.
        """
        name = metric or self.metric
        if name not in self.effects:
            raise RefusedError(f"no metric {name!r} in all runs of {self.name}; there are: {', '.join(self.effects)}")
        return self.effects[name]

    def non_inferior(self, margin: float = 2.0, *, margin_abs: float | None = None) -> bool:
        """Whether harm of `margin` pooled sigmas (or `margin_abs` in the metric's unit) is ruled out: one look, alpha .05."""
        return stats.non_inferiority(
            *self._finite(), margin=margin, margin_abs=margin_abs, lower_is_better=self.lower
        ).passed

    def equivalent(self, margin: float) -> bool:
        """Whether a difference beyond +-`margin` (in the metric's unit) is ruled out: two one-sided tests, alpha .05.

        Paired where all experiment seeds have a baseline partner, else Welch.
        """
        baseline, experiment = self._finite()
        if self.evidence.test == "paired" and self.judgement.kind != "identical":
            return stats.tost_paired(*_paired_values(self.baseline, self.experiment, self.metric), margin) <= ALPHA
        return stats.tost_welch(baseline, experiment, margin) <= ALPHA

    @property
    def stale(self) -> dict[str, str]:
        """Which runs of which arm were judged though something has changed since (`exprun_stale = keep`), and what; empty if none."""
        arms = {"baseline": self.baseline, "experiment": self.experiment}
        return {name: text for name, arm in arms.items() if (text := staleness(arm))}

    @property
    def lower(self) -> bool:
        """Whether less of the judged metric is better."""
        return self.declaration.lower_is_better

    def _finite(self) -> tuple[list[float], list[float]]:
        """Return both arms' values of the judged metric.

        Raises:
            RefusedError: a run diverged, so no test of equality or non-inferiority means anything.
        """
        values = [list(arm.values(self.metric).values()) for arm in (self.baseline, self.experiment)]
        if not all(math.isfinite(value) for arm in values for value in arm):
            raise RefusedError(f"{self.name}: {self.reason}; a diverged arm is never shown to be harmless")
        return values[0], values[1]

    def headline(self) -> str:
        """One line with the verdict and its numbers."""
        means = f"{_mean(compared_baseline(self), self.metric)} -> {_mean(self.experiment, self.metric)}"
        return f"{self.verdict} {self.name}: {self.metric} {means}, {self.reason}"

    def __repr__(self) -> str:
        return f"<Comparison {self.headline()}>"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: the declaration and the runs, and for readers what was concluded from them."""
        arms = {"baseline": self.baseline, "experiment": self.experiment}
        return self.conclusions() | {name: [run.to_json() for run in arm] for name, arm in arms.items()}

    def conclusions(self) -> dict[str, Any]:
        """Return `to_json` without the runs."""
        judgement = self.judgement
        return {
            "name": self.name,
            "verdict": str(self.verdict),
            "reason": self.reason,
            "kind": judgement.kind,
            "rule": judgement.rule,
            "verdict_two_sigma": str(self.two_sigma.verdict),
            "p_value_one_sided": judgement.p_value,
            "confirmed": judgement.confirmed,
            "effects": {name: _plain(effect) for name, effect in self.effects.items()},
            "evidence": _plain(self.evidence),
            **({"judged_early": early} if (early := self.judged_early) else {}),
            "declaration": self.declaration.to_json(),
            **({"stale": self.stale} if self.stale else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        """Rebuild what `to_json` wrote by comparing its runs again; a malformed mapping raises KeyError, TypeError or ValueError."""
        declaration = Experiment.from_json(data["declaration"])
        runs = [tuple(RunResult.from_json(run) for run in data[arm]) for arm in ("baseline", "experiment")]
        return compare(declaration, runs[0], runs[1])


def has_no_effect(comparison: Comparison) -> bool:
    """Whether the common seeds agree in everything that no clock measured: a flag that is not wired, or one that must not matter."""
    return (
        comparison.judgement.kind == "identical"
        and _differing(comparison.baseline, comparison.experiment, comparison.metric) is None
    )


def compared_baseline(comparison: Comparison) -> Arm:
    """Return the baseline's runs that the verdict is about: all of them, but for arms equal at their common seeds just those."""
    baseline = comparison.baseline
    if comparison.judgement.kind != "identical":
        return baseline
    return Arm(baseline.variant, tuple(run for run in baseline if run.spec.seed in comparison.experiment.seeds))


def decide(declaration: Experiment, baseline: Arm, experiment: Arm) -> Judgement:
    """Judge two arms by the declared rule."""
    return _judgements((declaration.rule,), declaration, baseline, experiment)[0]


def _judgements(
    rules: Sequence[str], declaration: Experiment, baseline: Arm, experiment: Arm, looks: int = 2
) -> list[Judgement]:
    check_places(declaration.metric, declaration.budget.unit, baseline, experiment)
    return judge_by(
        rules,
        baseline.values(declaration.metric),
        experiment.values(declaration.metric),
        lower_is_better=declaration.lower_is_better,
        min_effect=declaration.min_effect,
        futility=declaration.futility,
        plan=declaration.seeds,
        looks=looks,
    )


def compare(
    declaration: Experiment,
    baseline: Arm | Sequence[RunResult],
    experiment: Arm | Sequence[RunResult],
    *,
    looks: int = 2,
) -> Comparison:
    """Compare an experiment's runs with its control's. The experiment's runs must be enough for its rule.

    The looks are those of `judge`: two as they are trained, or one at runs that were all there at once.

    Raises:
        RefusedError: the numbers do not allow a verdict.
        TrainerError: the arms were not measured on the same thing, or not at the same part of their runs.
    """
    arms = _arm(declaration.control, baseline), _arm(declaration.variant, experiment)
    check_same_measurement(*(arm.runs for arm in arms))
    baseline_arm, given = with_one_clock(*arms)
    judgement, two_sigma = _judgements((declaration.rule, PROTOCOL), declaration, baseline_arm, given, looks)
    # A decision at the first look stands on its seeds alone, even where more are stored.
    decided = tuple(run for run in given if run.spec.seed in judgement.seeds)
    experiment_arm = given if len(decided) == len(given) else Arm(declaration.variant, decided)
    if judgement.kind == "identical":
        judgement, two_sigma = (
            _of_equal_seeds(one, baseline_arm, experiment_arm, declaration.metric) for one in (judgement, two_sigma)
        )
    # A rule of means has all seeds: where the baseline has more of them, pairs would show another difference than the verdict's.
    of_pairs = rule_named(declaration.rule).is_paired or baseline_arm.seeds == experiment_arm.seeds
    paired = judgement.test == "paired" and of_pairs
    evidence = _evidence(declaration.metric, baseline_arm, experiment_arm, paired=paired)
    return Comparison(
        declaration=declaration,
        baseline=baseline_arm,
        experiment=experiment_arm,
        judgement=judgement,
        two_sigma=two_sigma,
        effects=_effects(declaration, baseline_arm, experiment_arm, paired=paired)
        | _no_effect(judgement, declaration.metric),
        evidence=replace(evidence, mde_sigmas=None) if judgement.kind == "identical" else evidence,
    )


def _of_equal_seeds(judgement: Judgement, baseline: Arm, experiment: Arm, metric: str) -> Judgement:
    """Leave out what would only compare three seeds with five: at the common seeds there is no difference, and nothing to test."""
    differs = _differing(baseline, experiment, metric)
    reason = judgement.reason
    if differs is not None:
        reason = f"the metric is too coarse to show a change: it equals the baseline's at all common seeds, yet the runs differ ({differs})"
    return replace(judgement, improvement=0.0, sigmas=0.0, p_value=None, confirmed=None, reason=reason)


def _no_effect(judgement: Judgement, metric: str) -> dict[str, Effect]:
    """Return the judged metric's effect where the common seeds are equal; nothing for any other comparison."""
    if judgement.kind != "identical":
        return {}
    return {metric: Effect(metric, delta=0.0, raw_percent=0.0, improvement=0.0, sigmas=0.0)}


def _differing(baseline: Arm, experiment: Arm, metric: str) -> str | None:
    """Say where a seed's two runs differ in anything that no clock measured; None if they differ nowhere."""
    controls = {run.spec.seed: run for run in baseline}
    for run in experiment:
        if run.spec.seed in controls and (differs := difference(controls[run.spec.seed], run, metric)):
            return f"seed {run.spec.seed}: {differs}"
    return None


def _arm(variant: Variant, runs: Arm | Sequence[RunResult]) -> Arm:
    """Keep an arm as it is where it can be: what has been summarised of a baseline serves all its comparisons."""
    return runs if isinstance(runs, Arm) and runs.variant == variant else Arm(variant, tuple(runs))


def check_same_measurement(*arms: Sequence[RunResult]) -> None:
    """Evaluation stands behind a wall: a flag may change what is trained on, never what is measured on.

    Raises:
        TrainerError: val_data_sha256, device or dtype differ between any two runs, or data_sha256 within an arm.
    """
    every = [[run for runs in arms for run in runs]]
    for note, groups in (("val_data_sha256", every), ("device", every), ("dtype", every), ("data_sha256", arms)):
        for runs in groups:
            found: dict[str, RunSpec] = {}
            for run in runs:
                if note in run.notes:
                    found.setdefault(str(run.notes[note]), run.spec)
            if len(found) > 1:
                (one, first), (two, second) = list(found.items())[:2]
                raise TrainerError(
                    f"{note} differs: {one[:16]} in {first.variant} seed {first.seed}, {two[:16]} in {second.variant} seed {second.seed}. "
                    "Results measured on different data or hardware cannot be compared; train both arms alike (--exprun-mode=refresh)"
                )


def _effects(declaration: Experiment, baseline: Arm, experiment: Arm, *, paired: bool) -> dict[str, Effect]:
    """Return the effect on every metric that all runs have, the judged one first."""
    shared = [name for name in baseline.metrics if name in experiment.metrics]
    names = [declaration.metric, *(name for name in shared if name != declaration.metric)]
    return {name: _effect(name, declaration, baseline, experiment, paired=paired) for name in names}


def _effect(metric: str, declaration: Experiment, baseline: Arm, experiment: Arm, *, paired: bool) -> Effect:
    """Compare one metric. Statistics of finite seeds are conditional where a seed diverged; the verdict says so."""
    b, e = ([value for value in arm.values(metric).values() if math.isfinite(value)] for arm in (baseline, experiment))
    why_not = why_times_differ_in_kind([*baseline, *experiment]) if metric == "wall_time" else ""
    if not b or not e:
        return Effect(metric, comparable=not why_not, why_not=why_not)
    pairs = _paired_values(baseline, experiment, metric) if paired else ([], [])
    test = _attempt(stats.paired, *pairs) if len(pairs[0]) > 1 else _attempt(stats.welch, b, e)
    mean_b, s_b = baseline[metric].mean, baseline[metric].std
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


def _evidence(metric: str, baseline: Arm, experiment: Arm, *, paired: bool) -> Evidence:
    b, e = baseline.values(metric), experiment.values(metric)
    summary = baseline[metric]
    assert summary.std is not None
    low, high = stats.sigma_interval(summary.std, summary.n)
    left, right = _paired_values(baseline, experiment, metric)
    rho = _attempt(stats.seed_correlation, left, right) if len(left) >= MIN_PAIRS_FOR_CORRELATION else None
    finite = sum(math.isfinite(value) for value in e.values())
    if paired:
        mde = _paired_sensitivity(left, right, summary.std)
    else:
        mde = _attempt(stats.minimum_detectable_effect, len(b), finite) if finite else None
    return Evidence(
        s_b=summary.std,
        s_b_low=low,
        s_b_high=high,
        rho=rho,
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


def _paired_values(baseline: Arm, experiment: Arm, metric: str) -> tuple[list[float], list[float]]:
    """Return the finite values at the common seeds."""
    b, e = baseline.values(metric), experiment.values(metric)
    common = [seed for seed in e if seed in b and math.isfinite(b[seed]) and math.isfinite(e[seed])]
    return [b[seed] for seed in common], [e[seed] for seed in common]


def _attempt(function: Any, *values: Any) -> Any:
    """Return the statistic, or None where it is undefined for these values (no variance, one seed)."""
    try:
        return function(*values)
    except RefusedError:
        return None


def _mean(arm: Arm, metric: str) -> str:
    values = [value for value in arm.values(metric).values() if math.isfinite(value)]
    return f"{stats.describe(values).mean:.4f}" if values else "diverged"


def _plain(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
