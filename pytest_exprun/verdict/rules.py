"""From numbers to a verdict: two values-by-seed mappings in, a verdict or the seeds still needed out. Pure; needs no pytest.

Two rules. `two_sigma` is the protocol to the letter: the experiment's mean against a bar of two baseline standard deviations. `tested`
asks for the same bar and for significance beside it. The test of `tested` is computed for both, so that a verdict never stands without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import Verdict
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.looks import GATE_LEVELS, RULE_LEVELS, Look, TestName, checked_arms, plan_looks

RULES = ("two_sigma", "tested")
BAR = 2.0
"""The protocol's bar in baseline sigmas, and the margin of the NEUTRAL kind `equivalent`."""
BLOW_UP = 20.0
"""A seed worse than the baseline's mean by more than this many baseline sigmas is a LOSER whatever the mean says."""
SUGGESTIVE = 1.0
EQUIVALENCE_ALPHA = 0.05

Kind = Literal["identical", "real but small", "suggestive", "equivalent", "inconclusive", "diverged", "blow-up"]


@dataclass(frozen=True)
class Judgement:
    """What a rule says of an experiment. Undefined values are None, never NaN.

    Attributes:
        verdict: None while more seeds are needed.
        needs: the further seeds to train, in order; empty once there is a verdict.
        kind: which NEUTRAL (`identical`, `real but small`, `suggestive`, `equivalent`, `inconclusive`) or which LOSER (`diverged`,
            `blow-up`); None where the rule's own bar decided, or nothing is decided yet.
        reason: one sentence with the numbers.
        rule: `two_sigma` or `tested`.
        look: 1 or 2, the look that `seeds` stand for.
        seeds: the experiment seeds it was decided on.
        improvement: D in the metric's unit, positive is better; over the finite seeds where some diverged.
        sigmas: D in baseline standard deviations.
        p_value: one-sided p of this look's test in the direction of D; None where a seed diverged.
        alpha: this look's one-sided level.
        confirmed: whether p_value <= alpha, and for a verdict in the direction that it claims; None where there is no p value.
        diverged: the seeds with a non-finite metric.
        test: where p_value comes from, `Welch` or `paired`.
    """

    verdict: Verdict | None
    needs: tuple[int, ...]
    kind: Kind | None
    reason: str
    rule: str
    look: int
    seeds: tuple[int, ...]
    improvement: float | None
    sigmas: float | None
    p_value: float | None
    alpha: float
    confirmed: bool | None
    diverged: tuple[int, ...]
    test: TestName


@dataclass(frozen=True)
class GateJudgement:
    """Whether an experiment is shown not to be worse by the margin. `passed` is None while more seeds are needed."""

    passed: bool | None
    needs: tuple[int, ...]
    reason: str
    look: int
    seeds: tuple[int, ...]
    diverged: tuple[int, ...]
    test: stats.NonInferiority | None


@dataclass(frozen=True)
class _Rule:
    """A rule with its numbers filled in: bar and futility in baseline sigmas."""

    name: str
    bar: float
    futility: float

    def improvement(self, look: Look) -> float:
        """The rule's D: of means in `two_sigma`, of pairs where `tested` pairs."""
        return look.paired_difference if self.name == "tested" and look.is_paired else look.difference


def judge(
    baseline: Mapping[int, float],
    experiment: Mapping[int, float],
    *,
    rule: str = "two_sigma",
    lower_is_better: bool = True,
    min_effect: float = BAR,
    futility: float = 0.0,
    plan: Sequence[int] | None = None,
    looks: int = 2,
) -> Judgement:
    """Judge one metric of an experiment against its baseline, or say which seeds are still needed.

    The looks follow the experiment's order of seeds: look 1 on the first three even where more are given, and what it decides stands;
    look 2 on all. In each, the first that applies: a diverged seed, no effect at all, a blow-up, the rule.

    Args:
        baseline: seed -> value, at least 5.
        experiment: seed -> value in the order of training, at least 3.
        rule: `two_sigma` or `tested`.
        lower_is_better: whether a lower metric is better.
        min_effect: the bar of `tested` in baseline sigmas, for both verdicts; `two_sigma` has the protocol's 2.
        futility: `tested` stops as NEUTRAL after look 1 below this many baseline sigmas; 0 never stops.
        plan: all seeds of the experiment, in order; by default the baseline's, up to five. Three at most: a single look.
        looks: 1 for a single look at all that is given, at level .025.

    Raises:
        RefusedError: the numbers do not allow a verdict (too few seeds, a baseline without variance or with a diverged seed, a value
            that is no real number), or an argument is outside its domain.
    """
    return judge_by(
        (rule,),
        baseline,
        experiment,
        lower_is_better=lower_is_better,
        min_effect=min_effect,
        futility=futility,
        plan=plan,
        looks=looks,
    )[0]


def judge_by(
    rules: Sequence[str],
    baseline: Mapping[int, float],
    experiment: Mapping[int, float],
    *,
    lower_is_better: bool = True,
    min_effect: float = BAR,
    futility: float = 0.0,
    plan: Sequence[int] | None = None,
    looks: int = 2,
) -> list[Judgement]:
    """Judge by each of several rules, as `judge` does; the tests of a look are worked out once for all of them."""
    for rule in rules:
        _check_rule(rule, min_effect, futility)
    b, e = checked_arms(baseline, experiment, lower_is_better=lower_is_better)
    steps, needs = plan_looks(b, e, plan, RULE_LEVELS, looks)
    bars = {"two_sigma": (BAR, 0.0), "tested": (float(min_effect), float(futility))}
    return [_judge_looks(steps, needs, _Rule(rule, *bars[rule])) for rule in rules]


def _judge_looks(steps: Sequence[Look], needs: tuple[int, ...], rule: _Rule) -> Judgement:
    for look in steps:
        if outcome := _outcome(look, rule):
            return _judgement(look, rule, outcome)
    return _judgement(steps[-1], rule, _needing(steps[-1], rule, needs), needs)


def _check_rule(rule: str, min_effect: float, futility: float) -> None:
    if rule not in RULES:
        raise RefusedError(f"rule = {rule!r}: allowed is {' or '.join(RULES)}")
    for name, value in (("min_effect", min_effect), ("futility", futility)):
        number = stats.real_number(value, name)
        if not (math.isfinite(number) and number >= 0):
            raise RefusedError(f"{name} = {value}: allowed is a finite number of at least 0, in baseline sigmas")


class _Outcome(NamedTuple):
    verdict: Verdict | None
    kind: Kind | None
    reason: str


def _outcome(look: Look, rule: _Rule) -> _Outcome | None:
    """Go through the checks in the protocol's order; None where this look decides nothing."""
    if look.diverged:
        return _Outcome(Verdict.LOSER, "diverged", _diverged_reason(look))
    if look.is_identical:
        same = f"all {len(look.common)} common seeds gave exactly the baseline's values: the change had no effect"
        return _Outcome(Verdict.NEUTRAL, "identical", same)
    if blown := _blow_up_reason(look):
        return _Outcome(Verdict.LOSER, "blow-up", blown)
    return _outcome_of_rule(look, rule)


def _outcome_of_rule(look: Look, rule: _Rule) -> _Outcome | None:
    improvement = rule.improvement(look)
    is_shown = rule.name == "two_sigma" or look.one_sided_p(improvement) <= look.alpha
    if is_shown and look.reaches(improvement, rule.bar):
        return _Outcome(Verdict.WINNER if improvement > 0 else Verdict.LOSER, None, _size_and_bar(look, rule))
    if look.is_last:
        return _Outcome(Verdict.NEUTRAL, *_neutral(look, rule))
    if rule.futility and not look.reaches(improvement, rule.futility):
        kind, reason = _neutral(look, rule)
        early = f"{reason}; stopped after {len(look.experiment)} seeds, below {rule.futility:g}"
        return _Outcome(Verdict.NEUTRAL, kind, early)
    return None


def _needing(look: Look, rule: _Rule, needs: tuple[int, ...]) -> _Outcome:
    wanted = f"{'seeds' if len(needs) > 1 else 'seed'} {', '.join(map(str, needs))}"
    return _Outcome(
        None, None, f"{_size_and_bar(look, rule)} after {len(look.experiment)} seeds: {wanted} still needed"
    )


def _judgement(look: Look, rule: _Rule, outcome: _Outcome, needs: tuple[int, ...] = ()) -> Judgement:
    finite = look.of_finite_seeds()
    improvement = rule.improvement(finite) if finite else None
    p_value = None if improvement is None or look.diverged else look.one_sided_p(improvement)
    confirmed = None if p_value is None else p_value <= look.alpha
    # A blow-up is a LOSER also where the mean improved: that p confirms the opposite.
    if confirmed and outcome.verdict is Verdict.LOSER and improvement is not None:
        confirmed = improvement < 0
    return Judgement(
        verdict=outcome.verdict,
        needs=needs,
        kind=outcome.kind,
        reason=outcome.reason,
        rule=rule.name,
        look=look.number,
        seeds=tuple(look.experiment),
        improvement=improvement,
        sigmas=None if improvement is None else improvement / look.s_b,
        p_value=p_value,
        alpha=look.alpha,
        confirmed=confirmed,
        diverged=look.diverged,
        test=look.test,
    )


def _neutral(look: Look, rule: _Rule) -> tuple[Kind, str]:
    """Return the first kind of NEUTRAL that applies, with the reason."""
    improvement = rule.improvement(look)
    size, p_value = _size_and_bar(look, rule), look.paired_p(improvement)
    if p_value <= look.last_alpha and not look.reaches(improvement, rule.bar):
        return "real but small", f"{size}: real (p {p_text(p_value)}) but below the bar"
    if look.reaches(improvement, SUGGESTIVE):
        return "suggestive", f"{size}: suggestive, not conclusive"
    if look.equivalence_p(BAR * look.s_b) <= EQUIVALENCE_ALPHA:
        return "equivalent", f"{size}: the 90 % interval lies within {BAR:g} sigmas of no change"
    return "inconclusive", f"{size}: inconclusive, a change of {BAR:g} sigmas is not ruled out"


def _size_and_bar(look: Look, rule: _Rule) -> str:
    """Describe the size of D beside the bar and, for `tested`, p beside its level."""
    improvement = rule.improvement(look)
    sigmas = abs(improvement) / look.s_b
    word = "improved" if improvement > 0 else "worse" if improvement < 0 else "changed"
    size = f"{word} by {_figure(sigmas, rule.bar)} baseline sigmas (bar: {rule.bar:g})"
    if rule.name == "two_sigma":
        return size
    return f"{size}, {look.test} p {p_text(look.one_sided_p(improvement))} (level {_bare(f'{look.alpha:g}')})"


def _figure(sigmas: float, bar: float) -> str:
    """Print with as many digits as tell a figure from the bar: 1.9996 must not read as 2.00."""
    digits = next((n for n in (2, 3, 4, 6) if round(sigmas, n) != bar), 2)
    return f"{sigmas:.1f}" if sigmas >= 10 else f"{sigmas:.{digits}f}"  # noqa: PLR2004


def _bare(number: str) -> str:
    return number.removeprefix("0")


def p_text(p_value: float) -> str:
    """Print a p value as the reports do: `= .0043`, `= .11`, `< .0001`."""
    if p_value < 1e-4:  # noqa: PLR2004
        return "< .0001"
    return f"= {_bare(f'{p_value:.2g}')}"


def _diverged_reason(look: Look) -> str:
    return f"{len(look.diverged)} of {len(look.experiment)} seeds diverged ({', '.join(map(str, look.diverged))})"


def _blow_up_reason(look: Look) -> str:
    """Name the worst seed beyond the limit; empty where there is none."""
    seed = min(look.experiment, key=look.experiment.__getitem__)
    harm = stats.mean_difference([look.experiment[seed]], list(look.baseline.values())) / look.s_b
    if harm <= BLOW_UP + look.rounding / look.s_b:
        return ""
    return f"seed {seed} is worse than the baseline's mean by {harm:.1f} baseline sigmas (limit: {BLOW_UP:g})"


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
    """Judge the gate `non_inferior` in two looks: is harm of the margin ruled out? The looks are those of `judge`.

    Look 1 at alpha .010, look 2 at .042 for the plan 5 + 3 -> 5, .025 each for others, a single look at .05; see `stats.non_inferiority`
    for test and margins. A diverged seed and a blow-up fail at once: a wild seed inflates the very sigma that the margin counts in.

    Raises:
        RefusedError: what `judge` and `stats.non_inferiority` refuse.
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
        return _gate_judgement(look, _diverged_reason(look), passed=False)
    test = stats.non_inferiority(
        look.baseline.values(),
        look.experiment.values(),
        margin,
        margin_abs=margin_abs,
        alpha=look.alpha,
        lower_is_better=False,
    )
    if blown := _blow_up_reason(look):
        return _gate_judgement(look, blown, test, passed=False)
    answer = "ruled out" if test.passed else "not ruled out"
    harm = f"harm of {test.margin:g}" if margin_abs is not None else f"harm of {test.margin:g} {test.margin_unit}"
    figures = f"t = {test.statistic:.3f}, passes below {test.threshold:.3f}"
    passed = test.passed if test.passed or look.is_last else None
    return _gate_judgement(look, f"{harm} {answer}: {figures}", test, passed=passed)


def _gate_judgement(
    look: Look, reason: str, test: stats.NonInferiority | None = None, *, passed: bool | None
) -> GateJudgement:
    return GateJudgement(passed, (), reason, look.number, tuple(look.experiment), look.diverged, test)


def false_winners_per_null(rule: str, min_effect: float = BAR) -> float:
    """Share of experiments without any effect that a rule calls WINNER: normal seeds, unpaired, plan 5 + 3 -> 5.

    By simulation (docs/statistics-simulation.md): two_sigma .031, tested .011 at bar 2 and .022 at bar 1. A bar between has the next
    lower one's share, an upper bound; below 1 the sum of both looks' levels is.
    """
    if rule == "two_sigma":
        return 0.031
    if min_effect >= BAR:
        return 0.011
    return 0.022 if min_effect >= 1 else sum(RULE_LEVELS.standard)
