"""A comparison at 80 columns: the verdict, both arms, and what stands beside a verdict. ASCII."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pytest_exprun.commands.console import WIDTH
from pytest_exprun.report.certainty import confirmation, is_doubtful
from pytest_exprun.report.markdown import summary
from pytest_exprun.report.text import aligned, cohens_d, level, number, percent, places, plain, signed
from pytest_exprun.terms.judged_at import early_note
from pytest_exprun.terms.outcome import Effect, Verdict
from pytest_exprun.verdict.comparison import Comparison

_LABEL = 14
_MOST_SEEDS = 20
_ALIKE = (0.75, 1.0)
"""What Hedges' g may be of Cohen's d by its correction alone: .80 at three seeds and three, .87 at five and three."""


def evidence_lines(comparison: Comparison) -> list[str]:
    """Return the verdict as the first line, then a table of both arms, the evidence and the seeds."""
    judgement = comparison.judgement
    test = f"one-sided {judgement.test} test, look {judgement.look}, level {level(judgement.alpha)}"
    standing_out = "NOTE: " if is_doubtful(comparison) else ""
    return [
        plain(comparison.headline()),
        f"{standing_out}{confirmation(comparison)}" + (f" ({test})" if judgement.p_value is not None else ""),
        "",
        *_arms(comparison),
        "",
        *(line for label, text in _items(comparison) for line in labelled(label, text)),
        *_seeds(comparison),
    ]


def labelled(label: str, text: str) -> list[str]:
    """Return a label and a text, folded so that the text stands in a column of its own."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=f"{label:<{_LABEL}}", subsequent_indent=" " * _LABEL, break_on_hyphens=False
    )


def _arms(comparison: Comparison) -> list[str]:
    metric = comparison.metric
    summaries = {
        name: summary(arm, metric)
        for name, arm in (("baseline", comparison.baseline), ("experiment", comparison.experiment))
    }
    decimals = places(found for found in summaries.values() if found is not None)
    rows: list[tuple[str, ...]] = [(plain(metric), "n", "mean", "sd", "min", "max")]
    for name, found in summaries.items():
        figures = (None,) * 4 if found is None else (found.mean, found.std, found.min, found.max)
        rows.append((name, str(0 if found is None else found.n), *(number(value, decimals) for value in figures)))
    return aligned(rows)


def _items(comparison: Comparison) -> Iterator[tuple[str, str]]:
    effect, evidence, judgement = comparison.effect(), comparison.evidence, comparison.judgement
    decimals = places([comparison.baseline[comparison.metric]])
    low, high = effect.ci
    interval = "" if low is None else f", 95 % interval {signed(low, decimals)} to {signed(high, decimals)}"
    yield "difference", f"{signed(effect.delta, decimals)} ({percent(effect.raw_percent)}){interval} ({evidence.test})"
    if effect.cohens_d is not None:
        yield (
            "effect size",
            f"Cohen's d {cohens_d(effect.cohens_d)} ({effect.effect_class}), Hedges' g {signed(effect.hedges_g, 2)}{_denominators(effect)}",
        )
    bounds = f"{number(evidence.s_b_low, decimals)} and {number(evidence.s_b_high, decimals)}"
    known = f"sigma {number(evidence.s_b, decimals)} from {evidence.n_baseline} seeds"
    yield "noise", f"{known}; the true one lies between {bounds} (95 %)"
    if early := comparison.judged_early:
        yield "judged early", early_note(comparison.metric, early)
    common = sum(difference is not None for *_, difference in evidence.pairs)
    if evidence.rho is not None:
        yield "pairing", f"the arms correlate by {number(evidence.rho, 2)} over {common} common seeds"
    if evidence.mde_sigmas is not None:
        smallest = f"{number(evidence.mde_sigmas, 2)} sigmas ({number(evidence.mde_sigmas * evidence.s_b, decimals)})"
        yield "sensitivity", f"a true effect of {smallest} would be seen four times in five"
    if comparison.verdict is Verdict.WINNER:
        yield "expect less", "a winner's difference was picked for being large: it is probably an overestimate"
    if comparison.two_sigma.verdict is not comparison.verdict:
        yield (
            "protocol",
            f"{comparison.by_protocol} by the protocol's own rule two_sigma, not by {judgement.rule}",
        )


def _denominators(effect: Effect) -> str:
    """Say why two sizes of one effect differ, where they do so by more than the correction for few seeds explains."""
    d, g = effect.cohens_d, effect.hedges_g
    if not d or g is None or _ALIKE[0] <= g / d <= _ALIKE[1]:
        return ""
    return (
        ": d divides by both arms' SDs in equal parts, g by the SD pooled over all seeds, and the arms differ in noise"
    )


def _seeds(comparison: Comparison) -> list[str]:
    """Return a line for each seed that both arms have; nothing where there are no pairs, or too many to read."""
    pairs = [pair for pair in comparison.evidence.pairs if pair[3] is not None]
    if not pairs or len(pairs) > _MOST_SEEDS:
        return []
    decimals = places([comparison.baseline[comparison.metric]])
    rows = [("seed", "baseline", "experiment", "difference")]
    for seed, left, right, difference in pairs:
        rows.append((str(seed), number(left, decimals), number(right, decimals), signed(difference, decimals)))
    return ["", *aligned(rows)]
