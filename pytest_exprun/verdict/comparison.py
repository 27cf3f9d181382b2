"""Two arms put side by side: every metric's effect, the verdict, and the evidence a reader needs to believe it.

A comparison is a pure function of its declaration and its runs, so a report written today and one written next year from the same records
are the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pytest_exprun.terms.errors import RefusedError, TrainerError
from pytest_exprun.terms.judged_at import check_places, judged_early
from pytest_exprun.terms.kept import staleness
from pytest_exprun.terms.model import FIRST_LOOK, SEED_BY_SEED, Experiment, RunSpec, Variant
from pytest_exprun.terms.outcome import Arm, Effect, RunResult, Verdict
from pytest_exprun.terms.sameness import EVERYWHERE, WITHIN_ARM, difference
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.compute.clocks import why_too_slow, with_one_clock
from pytest_exprun.verdict.compute.speedup import Speedup
from pytest_exprun.verdict.confirmation import Confirmation
from pytest_exprun.verdict.effects import Evidence, effects_of, evidence_of, paired_values
from pytest_exprun.verdict.rules import PROTOCOL, Judgement, judge_by, rule_named, why_stopped

ALPHA = 0.05


class Estimate(NamedTuple):
    """How much better an experiment is, in the metric's unit with its 95 % interval, in percent, in sigmas; the one-sided p and its level.

    Positive is better; None is undefined.
    """

    improvement: float | None
    percent: float | None
    sigmas: float | None
    low: float | None
    high: float | None
    p_value: float | None
    alpha: float


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
    confirmation: Confirmation | None = None
    """What fresh seeds said of a WINNER, if they were asked."""
    speedup: Speedup | None = None
    """How fast it gets to its loss, if the control was trained at half and twice the budget."""

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
    def by_protocol(self) -> str:
        """The protocol's own verdict; `undecided` where it would train more seeds than the declared rule needed."""
        return str(self.two_sigma.verdict or "undecided")

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
        """No proof of harm. A third to a half of truly 2-sigma-worse changes pass this too: see `non_inferior`.

        One that was stopped early does not pass: what harm it does, nobody has looked.
        """
        return self.verdict is not Verdict.LOSER and not self.was_stopped

    @property
    def was_stopped(self) -> bool:
        """Whether it was stopped because more seeds were not worth it, so that it shows neither harm nor harmlessness."""
        return self.judgement.kind == "stopped"

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
        """Whether harm of `margin` pooled sigmas (or `margin_abs` in the metric's unit) is ruled out: one look, alpha .05.

        Never of one that was stopped early: the looks that it did not have would have been the test's.
        """
        if self.was_stopped:
            return False
        return stats.non_inferiority(
            *self._finite(), margin=margin, margin_abs=margin_abs, lower_is_better=self.lower
        ).passed

    def equivalent(self, margin: float) -> bool:
        """Whether a difference beyond +-`margin` (in the metric's unit) is ruled out: two one-sided tests, alpha .05.

        Paired where all experiment seeds have a baseline partner, else Welch. Never of one that was stopped early.
        """
        if self.was_stopped:
            return False
        baseline, experiment = self._finite()
        if self.evidence.test == "paired" and self.judgement.kind != "identical":
            return stats.tost_paired(*paired_values(self.baseline, self.experiment, self.metric), margin) <= ALPHA
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

    @property
    def quoted(self) -> Estimate:
        """The estimate to quote: that of fresh seeds if there is one, as the first look's of a WINNER was picked for being large."""
        if (fresh := self.confirmation) is not None:
            numbers = (fresh.estimate, fresh.percent, fresh.sigmas, fresh.ci_low, fresh.ci_high, fresh.p_value)
            return Estimate(*numbers, fresh.alpha)
        effect, judgement = self.effect(), self.judgement
        low, high = effect.ci
        if self.lower and low is not None and high is not None:
            low, high = -high, -low
        percent = effect.raw_percent
        if percent is not None and judgement.improvement is not None:
            percent = math.copysign(percent, judgement.improvement)
        return Estimate(judgement.improvement, percent, judgement.sigmas, low, high, judgement.p_value, judgement.alpha)

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
            "verdict_two_sigma": self.by_protocol,
            "p_value_one_sided": judgement.p_value,
            "confirmed": judgement.confirmed,
            "effects": {name: _plain(effect) for name, effect in self.effects.items()},
            "evidence": _plain(self.evidence),
            **({"judged_early": early} if (early := self.judged_early) else {}),
            "declaration": self.declaration.to_json(),
            **({"stale": self.stale} if self.stale else {}),
            **({"confirmation": self.confirmation.to_json()} if self.confirmation else {}),
            **({"speedup": self.speedup.to_json()} if self.speedup else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        """Rebuild what `to_json` wrote by comparing its runs again; a malformed mapping raises KeyError, TypeError or ValueError."""
        declaration = Experiment.from_json(data["declaration"])
        runs = [tuple(RunResult.from_json(run) for run in data[arm]) for arm in ("baseline", "experiment")]
        fresh, speed = data.get("confirmation"), data.get("speedup")
        return replace(
            compare(declaration, runs[0], runs[1]),
            confirmation=Confirmation.from_json(fresh) if fresh else None,
            speedup=Speedup.from_json(speed) if speed else None,
        )


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
    arms = baseline, experiment
    return _judgements((declaration.rule,), declaration, arms, _why_too_slow(declaration, *arms))[0]


def _why_too_slow(declaration: Experiment, baseline: Arm, experiment: Arm) -> str:
    """Return why the first seed alone stops an experiment that may be stopped after any; empty if it does not."""
    return why_too_slow(baseline, experiment.runs[0]) if declaration.futility == SEED_BY_SEED else ""


def _judgements(
    rules: Sequence[str], declaration: Experiment, arms: tuple[Arm, Arm], too_slow: str, looks: int = 2
) -> list[Judgement]:
    """Judge by each rule. Where the declared one stops an experiment early, no other has more seeds to go by and says the same."""
    baseline, experiment = arms
    check_places(declaration.metric, declaration.budget.unit, baseline, experiment)
    given = Arm(experiment.variant, experiment.runs[:1]) if too_slow else experiment

    def judged(by: Sequence[str], futility: float | str) -> list[Judgement]:
        return judge_by(
            by,
            baseline.values(declaration.metric),
            given.values(declaration.metric),
            lower_is_better=declaration.lower_is_better,
            min_effect=declaration.min_effect,
            futility=futility,
            plan=declaration.seeds,
            looks=looks,
        )

    if declaration.futility != SEED_BY_SEED:
        return judged(rules, declaration.futility)
    (found,) = judged((declaration.rule,), declaration.futility)
    if too_slow and found.verdict is None:
        reason = why_stopped(found.seeds, too_slow)
        found = replace(found, verdict=Verdict.NEUTRAL, needs=(), kind="stopped", reason=reason)
    if len(found.seeds) < FIRST_LOOK or found.kind == "stopped" or found.verdict is None:
        return [replace(found, rule=rule) for rule in rules]
    return [found if rule == declaration.rule else judged((rule,), 0.0)[0] for rule in rules]


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
    too_slow = _why_too_slow(declaration, *arms)
    judgement, two_sigma = _judgements(
        (declaration.rule, PROTOCOL), declaration, (baseline_arm, given), too_slow, looks
    )
    if judgement.verdict is None:
        raise RefusedError(judgement.reason)
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
    evidence = evidence_of(declaration.metric, baseline_arm, experiment_arm, paired=paired)
    return Comparison(
        declaration=declaration,
        baseline=baseline_arm,
        experiment=experiment_arm,
        judgement=judgement,
        two_sigma=two_sigma,
        effects=effects_of(declaration, baseline_arm, experiment_arm, paired=paired)
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
    every = [run for runs in arms for run in runs]
    for note in (*EVERYWHERE, *WITHIN_ARM):
        for runs in [every] if note in EVERYWHERE else arms:
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


def _mean(arm: Arm, metric: str) -> str:
    values = [value for value in arm.values(metric).values() if math.isfinite(value)]
    return f"{stats.describe(values).mean:.4f}" if values else "diverged"


def _plain(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
