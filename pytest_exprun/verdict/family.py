"""Many experiments on one baseline: which comparisons share it, Holm's correction over them, how many winners chance alone gives.

A verdict never depends on any of this: it stands beside the verdicts, in the terminal and in the baseline's report.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_exprun.terms.model import Arm, Experiment, Verdict
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.comparison import Comparison, has_no_effect
from pytest_exprun.verdict.rules import false_winners_per_null

_BEST_FIRST = {Verdict.WINNER: 0, Verdict.NEUTRAL: 1, Verdict.LOSER: 2}


def rank(comparison: Comparison) -> tuple[int, float, str]:
    """Return a sort key, best first: by verdict, then by improvement in baseline sigmas, then by name."""
    sigmas = comparison.effect().sigmas
    return _BEST_FIRST[comparison.verdict], float("inf") if sigmas is None else -sigmas, comparison.name


@dataclass(frozen=True)
class Family:
    """The session's comparisons on one baseline arm and metric, best first, and the other questions that baseline has answered."""

    comparisons: tuple[Comparison, ...]
    earlier: tuple[Comparison, ...] = ()

    @property
    def baseline(self) -> Arm:
        """The arm they were all compared with."""
        return self.comparisons[0].baseline

    @property
    def metric(self) -> str:
        """The metric they were all judged by."""
        return self.comparisons[0].metric

    @property
    def holm(self) -> tuple[float | None, ...]:
        """Holm's adjusted q of each comparison; None where the comparison has no p (a diverged seed, no effect).

        q = min(1, 4p) goes in, with p the one-sided p of the look that ended the comparison: doubled for the two directions, and doubled
        again for the two looks. A comparison without p counts as q = 1, so the family is never made smaller by a failure.
        """
        p_values = [comparison.judgement.p_value for comparison in self.comparisons]
        adjusted = stats.holm([1.0 if p is None else min(1.0, 4 * p) for p in p_values])
        return tuple(None if p is None else q for p, q in zip(p_values, adjusted, strict=True))

    @property
    def judged(self) -> int:
        """How many experiments the baseline has judged, this session's included."""
        return len(self._effective)

    @property
    def false_winners(self) -> float:
        """How many WINNERs to expect if none of them had any effect."""
        declared = [comparison.declaration for comparison in self._effective]
        return sum(false_winners_per_null(one.rule, one.min_effect) for one in declared)

    @property
    def _effective(self) -> list[Comparison]:
        """All comparisons but those of flags without any effect: nothing was judged there, and no chance had a say."""
        return [each for each in (*self.comparisons, *self.earlier) if not has_no_effect(each)]

    def outlook(self) -> str:
        """Return the sentence on how many false winners to expect."""
        experiments = "1 experiment" if self.judged == 1 else f"{self.judged} experiments"
        return f"this baseline has judged {experiments}: about {self.false_winners:.2g} false winners to expect"


def families(comparisons: Iterable[Comparison], earlier: Iterable[Comparison] = ()) -> list[Family]:
    """Group comparisons by baseline arm and metric, in an order that does not depend on the order they came in; each question once.

    `earlier` are known from reports written before: they count for a family whose baseline's runs are the very same.
    """
    groups: dict[tuple[object, ...], dict[str, Comparison]] = {}
    for comparison in comparisons:
        key = _key(comparison.declaration, comparison.baseline)
        groups.setdefault(key, {}).setdefault(comparison.declaration.comparison_id, comparison)
    known: dict[tuple[object, ...], dict[str, Comparison]] = {key: {} for key in groups}
    for comparison in earlier:
        key, identity = _key(comparison.declaration, comparison.baseline), comparison.declaration.comparison_id
        if key in groups and identity not in groups[key]:
            known[key][identity] = comparison
    return [
        Family(tuple(sorted(groups[key].values(), key=rank)), tuple(sorted(known[key].values(), key=rank)))
        for key in sorted(groups, key=repr)
    ]


def is_judged_by(comparison: Comparison, arm: Arm) -> bool:
    """Whether a comparison stands on just this baseline arm."""
    declared, specs = comparison.declaration, {(run.spec.budget, run.spec.common_args) for run in arm}
    return (
        specs == {(declared.budget, declared.common_args)}
        and declared.control.identity == arm.variant.identity
        and _values(comparison.baseline, comparison.metric) == _values(arm, comparison.metric)
    )


def _values(arm: Arm, metric: str) -> tuple[tuple[int, float | None], ...]:
    return tuple(sorted((run.spec.seed, run.metrics.get(metric)) for run in arm))


def _key(declared: Experiment, baseline: Arm) -> tuple[object, ...]:
    """Return what a family shares. The number of control flags comes early, so that the default baseline sorts first."""
    control = declared.control
    return (
        str(declared.budget),
        len(control.identity),
        control.identity,
        control.ref,
        declared.common_args,
        declared.metric,
        _values(baseline, declared.metric),
    )
