"""An experiment's report in Markdown: the protocol's headings and tables first, then what a reader needs to believe or doubt them.

A report is a pure function of its comparison: no clock, no machine's paths, no other experiments, so that writing it again gives the same
bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_exprun.report.certainty import certainty, confirmation, is_doubtful
from pytest_exprun.report.provenance import compute, data, environment, reproduction, speed, stale_note, states
from pytest_exprun.report.text import (
    DASH,
    code,
    cohens_d,
    duration,
    markdown,
    number,
    p_sentence,
    p_value,
    percent,
    places,
    signed,
    table,
)
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import Budget
from pytest_exprun.terms.outcome import Arm, Effect, RunResult, Summary
from pytest_exprun.verdict.comparison import Comparison
from pytest_exprun.verdict.compute.clocks import CLOCKS, are_in_turn
from pytest_exprun.verdict.rules import BAR, SUGGESTIVE

STATISTICS = ("Metric", "Mean", "Std", "Min", "Max")


@dataclass(frozen=True)
class Picture:
    """A picture file beside a report."""

    file: str
    alt: str
    caption: str


def experiment_report(
    comparison: Comparison, *, gate: str | None = None, trainer: str | None = None, pictures: Sequence[Picture] = ()
) -> str:
    """Return an experiment's report. `gate` is a sentence on the gate's outcome, `trainer` the entry point for the command shown."""
    metrics = shown_metrics(comparison.metric)
    sections = (
        [f"# Experiment: {markdown(comparison.name)}"],
        scale_note(comparison.declaration.budget),
        stale_note(comparison.stale),
        statistics_section("Baseline Statistics", comparison.baseline, metrics),
        statistics_section("Experiment Statistics", comparison.experiment, metrics),
        _test_section(comparison),
        _clock_section(comparison),
        _verdict_section(comparison, gate),
        _confirmation_section(comparison),
        speed(comparison.speedup),
        ["## How sure is this?", "", *certainty(comparison)],
        *map(_picture, pictures),
        _seeds_section(comparison),
        _prediction_section(comparison),
        states(comparison.declaration),
        [
            "## Environment",
            "",
            *environment([comparison.baseline, comparison.experiment]),
            "",
            *data(_runs(comparison)),
        ],
        ["## Reproduce", "", *reproduction(comparison, trainer)],
    )
    return document(sections)


def document(sections: Sequence[Sequence[str]]) -> str:
    """Join the sections that are not empty, a blank line between them."""
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def scale_note(budget: Budget) -> list[str]:
    """Return the mark of a budget other than the protocol's."""
    if budget.is_standard:
        return []
    return [
        f"> **Not the standard scale**: {budget} a run, where the protocol asks for {Budget()}. A smoke test, not a finding."
    ]


def statistics_section(title: str, arm: Arm, metrics: Sequence[str]) -> list[str]:
    """Return the protocol's table of one arm; where a seed diverged, the figures are marked as conditional."""
    lines = [f"## {title} (N={len(arm)} runs)", "", *table(STATISTICS, [statistics_row(arm, name) for name in metrics])]
    judged = metrics[0]
    lost = [seed for seed, value in arm.values(judged).items() if not math.isfinite(value)]
    if lost:
        lines += [
            "",
            f"**Conditional**: {code(judged)} is over the finite seeds only; diverged: {', '.join(map(str, lost))}.",
        ]
    return lines


def summary(arm: Arm, metric: str) -> Summary | None:
    """Summarise the finite seeds of a metric; None if some run lacks it or none is finite."""
    try:
        return arm[metric]
    except RefusedError:
        return None


def shown_metrics(judged: str) -> list[str]:
    """Return the metrics of the tables."""
    return list(dict.fromkeys([judged, "val_loss", "wall_time"]))


def _runs(comparison: Comparison) -> list[RunResult]:
    return [*comparison.baseline, *comparison.experiment]


def statistics_row(arm: Arm, metric: str) -> list[str]:
    """Return one metric of an arm as cells of the protocol's table."""
    found = summary(arm, metric)
    if found is None:
        return [markdown(metric), *[DASH] * 4]
    decimals = places([found])
    return [markdown(metric), *(number(value, decimals) for value in (found.mean, found.std, found.min, found.max))]


def _test_section(comparison: Comparison) -> list[str]:
    rows = [_test_row(metric, comparison) for metric in shown_metrics(comparison.metric)]
    return ["## Statistical Test", "", *table(("Metric", "Cohen's d", "Effect Size", "Significant?"), rows)]


def _test_row(metric: str, comparison: Comparison) -> list[str]:
    effect = comparison.effects.get(metric)
    if effect is None or effect.cohens_d is None or effect.effect_class is None or _diverged(comparison, metric):
        return [markdown(metric), *[DASH] * 3]
    return [markdown(metric), cohens_d(effect.cohens_d), effect.effect_class, _significant(effect, comparison)]


def _diverged(comparison: Comparison, metric: str) -> bool:
    return any(run.metrics.get(metric) is None for run in _runs(comparison))


def _significant(effect: Effect, comparison: Comparison) -> str:
    """Return the band in baseline sigmas with the one-sided p beside it, in the direction of the difference."""
    spread = comparison.baseline[effect.metric].std
    if effect.delta is None or not spread:
        return DASH
    sigmas = abs(effect.delta) / spread
    band = "yes" if sigmas >= BAR else "suggestive" if sigmas >= SUGGESTIVE else "no"
    judged = effect.metric == comparison.metric
    one_sided = comparison.judgement.p_value if judged else effect.p_value and effect.p_value / 2
    return f"{band} ({p_sentence(one_sided, comparison.judgement.alpha if judged else None)})"


def _clock_section(comparison: Comparison) -> list[str]:
    rows = [
        _clock_row(metric, comparison) for metric in CLOCKS if metric == "wall_time" or metric in comparison.effects
    ]
    lines = ["## Wall Clock", "", *table(("", "Baseline Mean", "Experiment Mean", "Delta"), rows)]
    wall = comparison.effects.get("wall_time")
    if wall is not None and not wall.comparable:
        lines += [
            "",
            f"\\* **Not comparable**: {markdown(wall.why_not)}. The percentage is what was measured, not a finding.",
        ]
    if are_in_turn(comparison.baseline, comparison.experiment):
        lines += [
            "",
            "Both arms were trained in turn, so that their times are compared pair by pair, over the common seeds.",
        ]
    note = compute(comparison)
    return [*lines, "", f"> **{markdown(note[0].upper() + note[1:])}**"] if note else lines


def _clock_row(metric: str, comparison: Comparison) -> list[str]:
    effect = comparison.effects.get(metric)
    if effect is None:
        return [metric, *[DASH] * 3]
    arms = (summary(comparison.baseline, metric), summary(comparison.experiment, metric))
    means = [DASH if found is None else duration(found.mean) for found in arms]
    return [metric, *means, percent(effect.raw_percent) + ("" if effect.comparable else r" \*")]


def _verdict_section(comparison: Comparison, gate: str | None) -> list[str]:
    tested = markdown(sentence(confirmation(comparison)))
    beside = f"**{tested}**" if is_doubtful(comparison) else tested
    lines = [f"## Verdict: {comparison.verdict}", "", f"{markdown(sentence(comparison.reason))} {beside}"]
    if gate:
        lines += ["", f"Gate {code(comparison.declaration.gate)}: {markdown(sentence(gate))}"]
    return lines


def _confirmation_section(comparison: Comparison) -> list[str]:
    """Return what fresh seeds said beside the first look; nothing if they were not asked."""
    fresh, first = comparison.confirmation, replace(comparison, confirmation=None).quoted
    if fresh is None:
        return []
    decimals = places([comparison.baseline[comparison.metric]])
    seeds = {"First look": comparison.experiment.seeds, "Fresh seeds": fresh.seeds}
    rows = [
        (
            name,
            f"{signed(each.improvement, decimals)} ({percent(each.percent)})",
            DASH
            if each.low is None or each.high is None
            else f"{signed(each.low, decimals)} to {signed(each.high, decimals)}",
            signed(each.sigmas, 2),
            p_value(each.p_value, each.alpha),
            ", ".join(map(str, used)),
        )
        for (name, used), each in zip(seeds.items(), (first, comparison.quoted), strict=True)
    ]
    text = (
        f"{markdown(sentence(fresh.reason))} These seeds were drawn from the ledger, both arms were trained on them, and they were judged "
        "once. Their estimate is the one to quote: the first look's was picked for being large."
    )
    titles = ("", "Improvement", "95 % interval", "In sigmas", "p", "Seeds")
    return [f"## {fresh.word}", "", text, "", *table(titles, rows)]


def sentence(text: str) -> str:
    """Return a text as a sentence."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _picture(picture: Picture) -> list[str]:
    return [f"![{markdown(picture.alt)}]({picture.file})", "", f"*{markdown(picture.caption)}*"]


def _seeds_section(comparison: Comparison) -> list[str]:
    name = code(comparison.metric)
    arms = (comparison.baseline, comparison.experiment)
    decimals = places(found for arm in arms if (found := summary(arm, comparison.metric)))
    better = "negative" if comparison.lower else "positive"
    header = ("Seed", "Baseline", "Experiment", "Difference", "Baseline wall_time", "Experiment wall_time")
    clocks = [{run.spec.seed: run.metrics.get("wall_time") for run in arm} for arm in arms]
    return [
        "## Seeds",
        "",
        f"{name} of each run, and experiment minus baseline at the same seed ({better} is better).",
        "",
        *table(header, _seed_rows(comparison, decimals, clocks)),
    ]


def _seed_rows(
    comparison: Comparison, decimals: int, clocks: Sequence[Mapping[int, float | None]]
) -> Iterator[Sequence[str]]:
    for seed, baseline, experiment, difference in comparison.evidence.pairs:
        values = (
            number(value, decimals) if value is not None else "diverged" if seed in arm.seeds else "not run"
            for value, arm in ((baseline, comparison.baseline), (experiment, comparison.experiment))
        )
        times = (duration(clock.get(seed)) for clock in clocks)
        yield [str(seed), *values, signed(difference, decimals), *times]


def _prediction_section(comparison: Comparison) -> list[str]:
    predicted = [line.strip() for line in comparison.declaration.prediction.strip().splitlines()]
    quoted = [f"> {markdown(line)}".rstrip() for line in predicted] or ["None was written down before the run."]
    return [
        "## Prediction",
        "",
        *quoted,
        "",
        f"What happened: **{comparison.verdict}**, {markdown(comparison.reason)}.",
    ]
