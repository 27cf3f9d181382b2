"""How sure a verdict is: one plain sentence for each thing that PROTOCOL wants beside it, for a reader who is no statistician."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_exprun.report.text import (
    baseline_stem,
    code,
    cohens_d,
    level,
    markdown,
    number,
    p_sentence,
    percent,
    places,
    signed,
)
from pytest_exprun.terms.judged_at import early_note
from pytest_exprun.terms.model import FIRST_LOOK
from pytest_exprun.terms.outcome import Verdict
from pytest_exprun.terms.sameness import says_one_coarse_number
from pytest_exprun.verdict.comparison import Comparison

_KINDS = {
    "identical": "Every common seed gave the baseline's value to the last bit: the change did nothing that this metric shows.",
    "real but small": "The seeds agree that there is a difference, and that it is smaller than the bar.",
    "suggestive": "At least one baseline standard deviation, so worth more seeds; not enough to claim anything.",
    "equivalent": "An effect of two baseline standard deviations in either direction is ruled out (90 % interval).",
    "inconclusive": "The seeds neither show an effect nor rule one out: this is no proof that the change is harmless.",
    "diverged": "A run whose loss is not finite is never dropped: a change that can blow up is worse, whatever the other seeds say.",
    "stopped": "More seeds were not worth their time. Nothing was tested: this is no proof of harm, and none of harmlessness.",
    "blow-up": "One seed alone is so far off that the change is unstable; a test of means would have called it inconclusive.",
}


def certainty(comparison: Comparison) -> list[str]:
    """Return the section's list, one item a line."""
    return [f"- **{label}.** {sentence}" for label, sentence in _items(comparison)]


def no_effect(comparison: Comparison) -> str:
    """Return the error of a change that changed nothing, with what it may be."""
    metric, change = comparison.metric, " ".join(comparison.declaration.change)
    coarse = all(says_one_coarse_number(run, metric) for run in comparison.experiment)
    finer = (
        f"Nothing but {metric} is known of the runs: a second, finer metric, such as a loss, would tell. "
        if coarse
        else ""
    )
    return (
        f"{comparison.name}: {change} had no effect, every seed gave the control's {metric} to the last bit: is the flag wired? "
        f'Or is it already the default? {finer}A change that must not matter is declared with gate="identical"'
    )


def confirmation(comparison: Comparison) -> str:
    """Return whether the test bears the verdict out, in plain text: `confirmed, p = .0042`, `not confirmed, p = .11`."""
    judgement = comparison.judgement
    if judgement.kind == "identical":
        return "no test: every common seed gave the baseline's value"
    if judgement.p_value is None:
        return "no test: a seed diverged" if judgement.diverged else "no test: it ended early"
    p = p_sentence(judgement.p_value, judgement.alpha)
    if comparison.verdict is Verdict.NEUTRAL:
        return f"{'a' if judgement.confirmed else 'no'} difference is shown, {p}"
    return f"{'confirmed' if judgement.confirmed else 'not confirmed'}, {p}"


def is_doubtful(comparison: Comparison) -> bool:
    """Whether a WINNER or LOSER stands that neither its test nor fresh seeds bear out: this must stand out wherever the verdict does."""
    is_finding = comparison.verdict is not Verdict.NEUTRAL and comparison.confirmation is None
    return is_finding and comparison.judgement.confirmed is False


def stale_mark(comparison: Comparison) -> str:
    """Return what stands behind a verdict in a table of many, where the runs were judged though something has changed since."""
    return " (**stale runs**)" if comparison.stale else ""


def _items(comparison: Comparison) -> Iterator[tuple[str, str]]:
    yield "Test", _test(comparison)
    if is_doubtful(comparison):
        yield (
            "Doubt",
            "The bar in sigmas was reached, significance was not: chance alone does this more often than the test allows.",
        )
    if comparison.judgement.kind is not None:
        yield "Kind", f"{markdown(comparison.judgement.kind)}. {_KINDS[comparison.judgement.kind]}"
    yield "Difference", _difference(comparison)
    is_identical = comparison.judgement.kind == "identical"
    if not is_identical:
        yield "Interval", _interval(comparison)
    if comparison.verdict is Verdict.WINNER and comparison.confirmation is None:
        yield (
            "Winner's curse",
            "The difference is probably an overestimate: it was picked for being large. Expect less when it is repeated.",
        )
    if not is_identical:
        yield "Effect size", _effect_size(comparison)
    yield "Noise", _noise(comparison)
    if early := comparison.judged_early:
        yield "Judged early", f"{markdown(early_note(comparison.metric, early))}."
    yield "Pairing", _pairing(comparison)
    yield "Seeds", _seeds(comparison)
    if not is_identical:
        yield "Sensitivity", _sensitivity(comparison)
    if comparison.two_sigma.verdict is not comparison.verdict:
        yield (
            "Protocol's own rule",
            f"**two_sigma says {comparison.by_protocol}** on the same runs: {markdown(comparison.two_sigma.reason)}.",
        )
    yield "Other experiments", _others(comparison)


def _places(comparison: Comparison) -> int:
    return places([comparison.baseline[comparison.metric]])


def _test(comparison: Comparison) -> str:
    judgement = comparison.judgement
    if judgement.kind == "identical":
        return "None: over the common seeds there is no difference to test."
    if judgement.p_value is None and not judgement.diverged:
        return "None: it ended before its seeds could be tested."
    if judgement.p_value is None:
        return "None: a seed diverged, so there is no p. The figures below are over the finite seeds only."
    text = confirmation(comparison)
    return (
        f"{f'**{text}**' if is_doubtful(comparison) else text}: a one-sided {judgement.test} test over "
        f"{len(judgement.seeds)} experiment seeds (look {judgement.look}, level {level(judgement.alpha)})."
    )


def _difference(comparison: Comparison) -> str:
    effect, judgement = comparison.effect(), comparison.judgement
    if judgement.improvement is None or judgement.sigmas is None:
        return "Undefined: no finite seed in common."
    decimals = _places(comparison)
    delta = -judgement.improvement if comparison.lower else judgement.improvement
    better = "better" if judgement.improvement > 0 else "worse" if judgement.improvement < 0 else "no change"
    return (
        f"{code(comparison.metric)} changed by {signed(delta, decimals)} ({percent(effect.raw_percent)}), "
        f"which is {number(abs(judgement.sigmas), 2)} baseline standard deviations ({better})."
    )


def _interval(comparison: Comparison) -> str:
    effect, evidence = comparison.effect(), comparison.evidence
    low, high = effect.ci
    if low is None or high is None:
        return "Undefined for these seeds."
    decimals = _places(comparison)
    zero = "contains" if low <= 0 <= high else "does not contain"
    return (
        f"With 95 % confidence the true difference lies between {signed(low, decimals)} and {signed(high, decimals)} "
        f"({evidence.test}, two-sided), which {zero} 0."
    )


def _effect_size(comparison: Comparison) -> str:
    effect = comparison.effect()
    if effect.cohens_d is None or effect.effect_class is None:
        return "Undefined for these seeds."
    return (
        f"Cohen's d = {cohens_d(effect.cohens_d)} ({effect.effect_class}), by the pooled spread and corrected for few seeds Hedges' g = "
        f"{signed(effect.hedges_g, 2)}. A quarter of changes without any effect are called Large too, so the word proves nothing."
    )


def _noise(comparison: Comparison) -> str:
    evidence = comparison.evidence
    decimals = _places(comparison)
    return (
        f"The baseline's standard deviation is {number(evidence.s_b, decimals)}, known only from {evidence.n_baseline} seeds: "
        f"the true one lies between {number(evidence.s_b_low, decimals)} and {number(evidence.s_b_high, decimals)} (95 %), "
        "and every figure in sigmas shares that doubt."
    )


def _pairing(comparison: Comparison) -> str:
    rho = comparison.evidence.rho
    if rho is None:
        return "The correlation of both arms at the same seed cannot be estimated: fewer than three common seeds, or no spread."
    common = sum(difference is not None for *_, difference in comparison.evidence.pairs)
    return f"The two arms correlate by rho = {number(rho, 2)} at the same seed (over {common}); near 1, pairing cancels most of the noise."


def _seeds(comparison: Comparison) -> str:
    evidence = comparison.evidence
    judgement = comparison.judgement
    at_look = judgement.look == 1 and len(judgement.seeds) >= FIRST_LOOK and not comparison.was_stopped
    more = " The verdict fell at the first look." if at_look else ""
    return f"{evidence.n_baseline} of the baseline, {evidence.n_experiment} of the experiment.{more}"


def _sensitivity(comparison: Comparison) -> str:
    evidence = comparison.evidence
    if evidence.mde_sigmas is None:
        return "The smallest effect these seeds can show is undefined."
    decimals = _places(comparison)
    return (
        f"A true effect of {number(evidence.mde_sigmas, 2)} standard deviations "
        f"({number(evidence.mde_sigmas * evidence.s_b, decimals)}) would be seen four times in five by this number of seeds "
        "(two-sided test at .05); a smaller one is missed more often."
    )


def _others(comparison: Comparison) -> str:
    declared = comparison.declaration
    return (
        "Each further experiment on one baseline is another chance of a false WINNER: how many this one has judged stands in "
        f"[its report]({baseline_stem(declared.control, declared.budget)}.md)."
    )
