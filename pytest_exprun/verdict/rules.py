"""From numbers to a verdict: two values-by-seed mappings in, a verdict or the seeds still needed out. Pure; needs no pytest.

`TABLE` says all that depends on a rule, a row each: no other module asks for a rule by its name. `two_sigma` is the protocol to the
letter: the experiment's mean against a bar of two baseline standard deviations. `tested` asks for the same bar and for significance
beside it. The test of `tested` is computed for both, so that a verdict never stands without it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pytest_exprun.settings.settings import LEAST_BAR_TO_STOP, why_not_stopped
from pytest_exprun.settings.settings import RULES as FIXED_BARS
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import FIRST_LOOK, SEED_BY_SEED
from pytest_exprun.terms.outcome import Verdict
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.looks import RULE_LEVELS, Look, TestName, checked_arms, p_text, plan_looks

BAR = 2.0
"""The protocol's bar in baseline sigmas, and the margin of the NEUTRAL kind `equivalent`."""
PROTOCOL = "two_sigma"
"""The protocol's own rule: its verdict stands beside that of any other."""
SUGGESTIVE = 1.0
CUTS = ((BAR, (-0.65, 0.3, 0.8, 1.1)), (LEAST_BAR_TO_STOP, (-0.5, 0.15, 0.4, 0.55)))
"""A bar, the highest first, and what an experiment must have improved by after its first seed, its second, ... to be worth another one:
in baseline sigmas, of the mean so far. Found by simulation; docs/statistics.md has what they cost and save."""
HOPELESS = 4.0
"""What is stopped and worse by as many baseline sigmas is a LOSER; not by a rule that wants significance, as there is no test yet."""
EQUIVALENCE_ALPHA = 0.05


class ByChance(NamedTuple):
    """What chance alone gives a rule with this bar or a higher one, by simulation: seeds are normal, and no change has any effect.

    `false_winners` is the share of WINNERs, unpaired, in the plan 5 + 3 -> 5. `relabelled` is the mean share of verdicts over sets of ten
    seeds, called five against five; 95 % of the sets lie between `low` and `high`.
    """

    bar: float
    false_winners: float
    relabelled: float
    low: float
    high: float


@dataclass(frozen=True)
class Rule:
    """A rule, with all that depends on it; its bar, if fixed, stands in the settings.

    Attributes:
        name: as in the settings.
        by_chance: what chance alone gives, the highest bar first.
        wants_significance: whether reaching the bar is not enough.
        is_paired: whether D is the mean of the pairs' differences where a look has pairs, not the difference of all means.
        may_stop: whether a number as futility ends it after the first look.
    """

    name: str
    by_chance: tuple[ByChance, ...]
    wants_significance: bool = False
    is_paired: bool = False
    may_stop: bool = False

    def bar(self, min_effect: float) -> float:
        """Return the bar in baseline sigmas: the rule's own, or as declared."""
        fixed = FIXED_BARS[self.name]
        return min_effect if fixed is None else fixed

    def chance(self, min_effect: float) -> ByChance:
        """Return what chance alone gives at the declared bar; one between two of the rows has the lower one's figures, upper bounds."""
        bar = self.bar(min_effect)
        return next(row for row in self.by_chance if bar >= row.bar)


_TWO_SIGMA_BY_CHANCE = (ByChance(BAR, 0.031, relabelled=0.061, low=0.033, high=0.140),)
_TESTED_BY_CHANCE = (
    ByChance(BAR, 0.011, relabelled=0.020, low=0.0, high=0.044),
    ByChance(1.0, 0.022, relabelled=0.031, low=0.0, high=0.063),
    # Only the levels hold chance down: these are their sums, and nothing is known of the spread.
    ByChance(0.0, sum(RULE_LEVELS.standard), relabelled=0.044, low=0.0, high=1.0),
)
TABLE = {
    PROTOCOL: Rule(PROTOCOL, _TWO_SIGMA_BY_CHANCE),
    "tested": Rule("tested", _TESTED_BY_CHANCE, wants_significance=True, is_paired=True, may_stop=True),
}
RULES = tuple(TABLE)


def rule_named(name: str) -> Rule:
    """Return a rule's row; a name without one is refused."""
    if name not in TABLE:
        raise RefusedError(f"rule = {name!r}: allowed is {' or '.join(RULES)}")
    return TABLE[name]


Kind = Literal[
    "identical", "real but small", "suggestive", "equivalent", "inconclusive", "diverged", "blow-up", "stopped"
]


@dataclass(frozen=True)
class Judgement:
    """What a rule says of an experiment. Undefined values are None, never NaN.

    Attributes:
        verdict: None while more seeds are needed.
        needs: the further seeds to train, in order; empty once there is a verdict.
        kind: which NEUTRAL (`identical`, `real but small`, `suggestive`, `equivalent`, `inconclusive`, `stopped`) or which LOSER
            (`diverged`, `blow-up`, `stopped`); None where the rule's own bar decided, or nothing is decided yet.
        reason: one sentence with the numbers.
        rule: `two_sigma` or `tested`.
        look: 1 or 2, the look that `seeds` stand for.
        seeds: the experiment seeds it was decided on.
        improvement: D in the metric's unit, positive is better; over the finite seeds where some diverged.
        sigmas: D in baseline standard deviations.
        p_value: one-sided p of this look's test in the direction of D; None where a seed diverged, and where nothing was tested: before
            the first look, and of what was stopped.
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
class _Asked:
    """A rule with its numbers filled in, in baseline sigmas: the bar, the futility after look 1, and the cuts after each seed, if any."""

    rule: Rule
    bar: float
    futility: float
    cuts: tuple[float, ...] = ()

    @classmethod
    def of(cls, rule: Rule, min_effect: float, futility: float | str) -> _Asked:
        """Fill them in.

        Raises:
            RefusedError: it is to be stopped seed by seed, and its bar is too low for that.
        """
        bar = rule.bar(min_effect)
        if not isinstance(futility, str):
            return cls(rule, bar, float(futility) if rule.may_stop else 0.0)
        if why_not := why_not_stopped(rule.name, min_effect):
            raise RefusedError(f"futility = {why_not}")
        return cls(rule, bar, 0.0, next(cuts for least, cuts in CUTS if bar >= least))

    def improvement(self, look: Look) -> float:
        """Return the rule's D at a look."""
        return look.paired_difference if self.rule.is_paired and look.is_paired else look.difference


def judge(
    baseline: Mapping[int, float],
    experiment: Mapping[int, float],
    *,
    rule: str = "two_sigma",
    lower_is_better: bool = True,
    min_effect: float = BAR,
    futility: float | str = 0.0,
    plan: Sequence[int] | None = None,
    looks: int = 2,
) -> Judgement:
    """Judge one metric of an experiment against its baseline, or say which seeds are still needed.

    The looks follow the experiment's order of seeds: look 1 on the first three even where more are given, and what it decides stands;
    look 2 on all. In each, the first that applies: a diverged seed, no effect at all, a blow-up, the rule. With futility `seeds` the same
    is asked after every seed but for the rule, which has its say at looks 1 and 2; then, whether a further seed is worth it.

    Args:
        baseline: seed -> value, at least 5.
        experiment: seed -> value in the order of training, at least 3; at least 1 with futility `seeds`.
        rule: `two_sigma` or `tested`.
        lower_is_better: whether a lower metric is better.
        min_effect: the bar of `tested` in baseline sigmas, for both verdicts; `two_sigma` has the protocol's 2.
        futility: `seeds` stops after each seed below the cut of `CUTS`: as NEUTRAL, or by `two_sigma` as LOSER where it is worse by
            `HOPELESS`. A number: `tested` stops as NEUTRAL after look 1 below this many baseline sigmas; 0 never stops.
        plan: all seeds of the experiment, in order; by default the baseline's, up to five. Three at most: a single look.
        looks: 1 for a single look at all that is given, at level .025.

    Raises:
        RefusedError: the numbers do not allow a verdict (too few seeds, a baseline without variance or with a diverged seed, a value
            that is no real number), or an argument is outside its domain.
    """
    return judge_by((rule,), baseline, experiment, lower_is_better, min_effect, futility, plan, looks)[0]


def judge_by(  # noqa: PLR0917  # what `judge` takes by name, in its order
    rules: Sequence[str],
    baseline: Mapping[int, float],
    experiment: Mapping[int, float],
    lower_is_better: bool = True,
    min_effect: float = BAR,
    futility: float | str = 0.0,
    plan: Sequence[int] | None = None,
    looks: int = 2,
) -> list[Judgement]:
    """Judge by each of several rules, as `judge` does; the tests of a look are worked out once for all of them."""
    rows = [rule_named(rule) for rule in rules]
    seed_by_seed = futility == SEED_BY_SEED
    for name, value in (("min_effect", min_effect), *([] if seed_by_seed else [("futility", futility)])):
        number = stats.real_number(value, name)
        if not (math.isfinite(number) and number >= 0):
            raise RefusedError(f"{name} = {value}: allowed is a finite number of at least 0, in baseline sigmas")
    least = 1 if seed_by_seed else FIRST_LOOK
    b, e = checked_arms(baseline, experiment, lower_is_better=lower_is_better, least=least)
    steps, needs = plan_looks(b, e, plan, RULE_LEVELS, looks, seed_by_seed=seed_by_seed)
    asked = [_Asked.of(row, float(min_effect), futility) for row in rows]
    return [_judge_looks(steps, needs, each) for each in asked]


def _judge_looks(steps: Sequence[Look], needs: tuple[int, ...], asked: _Asked) -> Judgement:
    for look in steps:
        if outcome := _outcome(look, asked):
            return _judgement(look, asked, outcome)
    wanted = f"{'seeds' if len(needs) > 1 else 'seed'} {', '.join(map(str, needs))}"
    reason = f"{_size_and_bar(look, asked)} after {_counted(look.experiment)}: {wanted} still needed"
    return _judgement(look, asked, _Outcome(None, None, reason), needs)


class _Outcome(NamedTuple):
    verdict: Verdict | None
    kind: Kind | None
    reason: str


def _outcome(look: Look, asked: _Asked) -> _Outcome | None:
    """Go through the checks in the protocol's order; None where this look decides nothing."""
    if look.diverged:
        return _Outcome(Verdict.LOSER, "diverged", look.why_diverged)
    if look.is_identical:
        if look.is_between:  # one value may agree by chance
            return None
        same = f"all {len(look.common)} common seeds gave exactly the baseline's values: the change had no effect"
        return _Outcome(Verdict.NEUTRAL, "identical", same)
    if blown := look.why_blown_up:
        return _Outcome(Verdict.LOSER, "blow-up", blown)
    return (None if look.is_between else _outcome_of_rule(look, asked)) or _stopped(look, asked)


def _outcome_of_rule(look: Look, asked: _Asked) -> _Outcome | None:
    improvement = asked.improvement(look)
    is_shown = not asked.rule.wants_significance or look.one_sided_p(improvement) <= look.alpha
    if is_shown and look.reaches(improvement, asked.bar):
        return _Outcome(Verdict.WINNER if improvement > 0 else Verdict.LOSER, None, _size_and_bar(look, asked))
    if look.is_last:
        return _Outcome(Verdict.NEUTRAL, *_neutral(look, asked))
    if asked.futility and not look.reaches(improvement, asked.futility):
        kind, reason = _neutral(look, asked)
        early = f"{reason}; stopped after {len(look.experiment)} seeds, below {asked.futility:g}"
        return _Outcome(Verdict.NEUTRAL, kind, early)
    return None


def _stopped(look: Look, asked: _Asked) -> _Outcome | None:
    """Stop what is not worth another seed; beyond the last cut that one stays."""
    if not asked.cuts:
        return None
    cut = asked.cuts[min(len(look.experiment), len(asked.cuts)) - 1]
    if look.difference >= cut * look.s_b - look.rounding:
        return None
    is_hopeless = not asked.rule.wants_significance and look.difference <= -HOPELESS * look.s_b + look.rounding
    limit = f"hopeless: {HOPELESS:g}" if is_hopeless else f"cut: {cut:g}"
    sigmas = look.difference / look.s_b
    size = f"{_figure(abs(sigmas), HOPELESS if is_hopeless else abs(cut))} sigma {'worse' if sigmas < 0 else 'better'}"
    reason = why_stopped(look.experiment, f"{size} ({limit})")
    return _Outcome(Verdict.LOSER if is_hopeless else Verdict.NEUTRAL, "stopped", reason)


def why_stopped(seeds: Collection[int], what: str) -> str:
    """Return the reason of an experiment that was stopped after these seeds."""
    return f"stopped after {_counted(seeds)}: {what}; not worth more seeds"


def _counted(seeds: Collection[int]) -> str:
    return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"


def _judgement(look: Look, asked: _Asked, outcome: _Outcome, needs: tuple[int, ...] = ()) -> Judgement:
    finite = look.of_finite_seeds()
    is_untested = bool(look.diverged) or look.is_between or outcome.kind == "stopped"
    # What was stopped is told by the mean that stopped it.
    improvement = (
        None if finite is None else finite.difference if outcome.kind == "stopped" else asked.improvement(finite)
    )
    p_value = None if improvement is None or is_untested else look.one_sided_p(improvement)
    confirmed = None if p_value is None else p_value <= look.alpha
    # A blow-up is a LOSER also where the mean improved: that p confirms the opposite.
    if confirmed and outcome.verdict is Verdict.LOSER and improvement is not None:
        confirmed = improvement < 0
    return Judgement(
        verdict=outcome.verdict,
        needs=needs,
        kind=outcome.kind,
        reason=outcome.reason,
        rule=asked.rule.name,
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


def _neutral(look: Look, asked: _Asked) -> tuple[Kind, str]:
    """Return the first kind of NEUTRAL that applies, with the reason."""
    improvement = asked.improvement(look)
    size, p_value = _size_and_bar(look, asked), look.paired_p(improvement)
    if p_value <= look.last_alpha and not look.reaches(improvement, asked.bar):
        return "real but small", f"{size}: real (p {p_text(p_value)}) but below the bar"
    if look.reaches(improvement, SUGGESTIVE):
        return "suggestive", f"{size}: suggestive, not conclusive"
    if look.equivalence_p(BAR * look.s_b) <= EQUIVALENCE_ALPHA:
        return "equivalent", f"{size}: the 90 % interval lies within {BAR:g} sigmas of no change"
    return "inconclusive", f"{size}: inconclusive, a change of {BAR:g} sigmas is not ruled out"


def _size_and_bar(look: Look, asked: _Asked) -> str:
    """Describe the size of D beside the bar and, for `tested`, p beside its level."""
    improvement = asked.improvement(look)
    sigmas = abs(improvement) / look.s_b
    word = "improved" if improvement > 0 else "worse" if improvement < 0 else "changed"
    size = f"{word} by {_figure(sigmas, asked.bar)} baseline sigmas (bar: {asked.bar:g})"
    return f"{size}, {look.test_text(improvement)}" if asked.rule.wants_significance and not look.is_between else size


def _figure(sigmas: float, bar: float) -> str:
    """Print with as many digits as tell a figure from the bar: 1.9996 must not read as 2.00."""
    digits = next((n for n in (2, 3, 4, 6) if round(sigmas, n) != bar), 2)
    return f"{sigmas:.1f}" if sigmas >= 10 else f"{sigmas:.{digits}f}"  # noqa: PLR2004


def false_winners_per_null(rule: str, min_effect: float = BAR) -> float:
    """Share of experiments without any effect that a rule calls WINNER; a rule without a row is refused."""
    return rule_named(rule).chance(min_effect).false_winners
