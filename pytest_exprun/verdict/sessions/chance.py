"""What chance alone does: to many experiments on one baseline, and to runs of one arm that are called two.

A verdict never depends on any of this. Beside the verdicts stand, in the terminal and in the baseline's report, Holm's correction over a
family and how many false winners to expect of it. `exprun aa` relabels stored runs at random as baseline and experiment: all of them were
trained alike, so every verdict is a false one. That rate scatters widely from one set of ten seeds to the next.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import FIRST_LOOK, SEEDS, Experiment
from pytest_exprun.terms.outcome import Arm, Verdict
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.comparison import Comparison, has_no_effect
from pytest_exprun.verdict.rules import false_winners_per_null

Others = Callable[[str, Collection[str]], Sequence[tuple[str, float]]]
"""Returns rule and bar of every question that a baseline was asked, but for those known: by their `fingerprints`. The ledger knows them."""
_BEST_FIRST = {Verdict.WINNER: 0, Verdict.NEUTRAL: 1, Verdict.LOSER: 2}


def rank(comparison: Comparison) -> tuple[int, float, str]:
    """Return a sort key, best first: by verdict, then by improvement in baseline sigmas, then by name."""
    sigmas = comparison.effect().sigmas
    return _BEST_FIRST[comparison.verdict], float("inf") if sigmas is None else -sigmas, comparison.name


@dataclass(frozen=True)
class Family:
    """The session's comparisons on one baseline arm and metric, best first, and the other questions that baseline has answered.

    Attributes:
        comparisons: of the session.
        earlier: known from reports.
        others: rule and bar of what was asked besides, answered or not.
    """

    comparisons: tuple[Comparison, ...]
    earlier: tuple[Comparison, ...] = ()
    others: tuple[tuple[str, float], ...] = ()

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
        return len(self._effective) + len(self.others)

    @property
    def false_winners(self) -> float:
        """How many WINNERs to expect if none of them had any effect."""
        rules = [(each.declaration.rule, each.declaration.min_effect) for each in self._effective]
        return sum(false_winners_per_null(*each) for each in (*rules, *self.others))

    @property
    def _effective(self) -> list[Comparison]:
        """All comparisons but those of flags without any effect: nothing was judged there, and no chance had a say."""
        return [each for each in (*self.comparisons, *self.earlier) if not has_no_effect(each)]

    def outlook(self) -> str:
        """Return the sentence on how many false winners to expect."""
        experiments = "1 experiment" if self.judged == 1 else f"{self.judged} experiments"
        return f"this baseline has judged {experiments}: about {self.false_winners:.2g} false winners to expect"


def no_others(_baseline: str, _known: Collection[str]) -> Sequence[tuple[str, float]]:
    """Know of none: there is no ledger."""
    return ()


def families(
    comparisons: Iterable[Comparison], earlier: Iterable[Comparison] = (), others: Others = no_others
) -> list[Family]:
    """Group comparisons by baseline arm and metric, in an order that does not depend on the order they came in; each question once.

    `earlier` are known from reports written before: they count for a family whose baseline's runs are the very same. So do `others`.
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
    return [_family(groups[key].values(), known[key].values(), others) for key in sorted(groups, key=repr)]


def _family(comparisons: Iterable[Comparison], earlier: Iterable[Comparison], others: Others) -> Family:
    ours, theirs = (tuple(sorted(each, key=rank)) for each in (comparisons, earlier))
    counted = [fingerprints(each) for each in (*ours, *theirs)]
    return Family(ours, theirs, tuple(others(counted[0][0], {judged for _, judged in counted})))


def is_judged_by(comparison: Comparison, arm: Arm) -> bool:
    """Whether a comparison stands on just this baseline arm."""
    declared, specs = comparison.declaration, {(run.spec.budget, run.spec.common_args) for run in arm}
    return (
        specs == {(declared.budget, declared.common_args)}
        and declared.control.identity == arm.variant.identity
        and _values(comparison.baseline, comparison.metric) == _values(arm, comparison.metric)
    )


def fingerprints(comparison: Comparison) -> tuple[str, str]:
    """Return what the numbers of a comparison's baseline are called, and all that was judged, with how: 16 hex digits each.

    Where both are the same again chance had no new say, whatever the question is called.
    """
    declared = comparison.declaration
    baseline, experiment = (_values(arm, declared.metric) for arm in (comparison.baseline, comparison.experiment))
    how = declared.rule, declared.min_effect, declared.futility, declared.lower_is_better, declared.seeds
    parts = (declared.metric, baseline), (declared.metric, baseline, experiment, how)
    first, second = (hashlib.sha256(repr(each).encode()).hexdigest()[:16] for each in parts)
    return first, second


def _values(arm: Arm, metric: str) -> tuple[tuple[int, float | None], ...]:
    return tuple(sorted((run.spec.seed, run.metrics.get(metric)) for run in arm))


def _key(declared: Experiment, baseline: Arm) -> tuple[object, ...]:
    """Return what a family shares. The number of control flags comes early, so that the default baseline sorts first."""
    control = declared.control
    return (
        str(declared.budget),
        len(control.identity),
        control.identity,
        declared.common_args,
        declared.metric,
        _values(baseline, declared.metric),
    )


# Runs of one arm, relabelled.

MOST = 2_000
Split = tuple[tuple[int, ...], tuple[int, ...]]
"""Positions of the runs that play the baseline, and of those that play the experiment, in the order of its looks."""
Judge = Callable[[dict[int, float], dict[int, float]], Verdict]


@dataclass(frozen=True)
class Relabelings:
    """What came out of `count` splits; `complete` if these are all there are."""

    count: int
    complete: bool
    winners: int
    losers: int

    @property
    def rate(self) -> float:
        """Share of the splits that gave a WINNER or a LOSER."""
        return (self.winners + self.losers) / self.count


def relabel(values: Sequence[float], n_baseline: int, judge: Judge, most: int = MOST) -> Relabelings:
    """Judge all splits of the values, or `most` random ones (the same in every session).

    Args:
        values: one a run, finite; at least `n_baseline` + 3.
        n_baseline: how many of them play the baseline; of the others up to five play the experiment, the first three of them its
            first look.
        judge: (baseline, experiment) -> verdict, both by position, in the order of the looks.
        most: how many splits are judged at most.

    Raises:
        RefusedError: too few values.
    """
    n_experiment = min(len(SEEDS), len(values) - n_baseline)
    if n_experiment < FIRST_LOOK:
        raise RefusedError(f"{len(values)} runs cannot be relabelled: {n_baseline + FIRST_LOOK} are needed")
    total = count_splits(len(values), n_baseline, n_experiment)
    splits = (
        _all_splits(len(values), n_baseline, n_experiment)
        if total <= most
        else _random_splits(len(values), n_baseline, n_experiment, most)
    )
    verdicts = [judge({at: values[at] for at in b}, {at: values[at] for at in e}) for b, e in splits]
    return Relabelings(len(verdicts), total <= most, verdicts.count(Verdict.WINNER), verdicts.count(Verdict.LOSER))


def count_splits(n: int, n_baseline: int, n_experiment: int) -> int:
    """Return how many splits there are: within a look the order of the seeds does not matter."""
    rest = n - n_baseline
    later = n_experiment - FIRST_LOOK
    return math.comb(n, n_baseline) * math.comb(rest, FIRST_LOOK) * math.comb(rest - FIRST_LOOK, later)


def _all_splits(n: int, n_baseline: int, n_experiment: int) -> Iterator[Split]:
    everything = range(n)
    for baseline in itertools.combinations(everything, n_baseline):
        rest = [at for at in everything if at not in baseline]
        for first in itertools.combinations(rest, FIRST_LOOK):
            left = [at for at in rest if at not in first]
            for later in itertools.combinations(left, n_experiment - FIRST_LOOK):
                yield baseline, (*first, *later)


def _random_splits(n: int, n_baseline: int, n_experiment: int, count: int) -> Iterator[Split]:
    draw = random.Random(0)  # noqa: S311  # the same splits every time, so that the answer is too
    for _ in range(count):
        order = draw.sample(range(n), n_baseline + n_experiment)
        yield tuple(order[:n_baseline]), tuple(order[n_baseline:])
