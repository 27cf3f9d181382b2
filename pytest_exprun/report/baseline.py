"""The baseline's report: its noise, what an experiment against it can see, and what it has judged so far."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_exprun.report.markdown import STATISTICS, document, scale_note, shown_metrics, statistics_row, summary
from pytest_exprun.report.overview import View, markdown_table, rows_of
from pytest_exprun.report.provenance import data, environment, stale_note
from pytest_exprun.report.text import DASH, code, markdown, number, places, table
from pytest_exprun.terms.judged_at import early_note, judged_early
from pytest_exprun.terms.kept import staleness
from pytest_exprun.terms.model import FIRST_LOOK, SEEDS, Budget
from pytest_exprun.terms.outcome import Arm
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.comparison import Comparison
from pytest_exprun.verdict.compute.clocks import with_one_clock
from pytest_exprun.verdict.sessions.chance import Others, families, no_others

EXAMPLE_RHOS = (0.0, 0.5, 0.9)
_JUDGED = "## Experiments judged"


def baseline_report(
    arm: Arm,
    *,
    metric: str = "val_loss",
    experiment_seeds: Sequence[int] = SEEDS,
    judged: Sequence[Comparison] = (),
    others: Others = no_others,
) -> str:
    """Return the report of a baseline or control arm; `judged` are all known comparisons on it, `others` what was asked besides."""
    (arm,) = with_one_clock(arm)
    budget, early = arm.runs[0].spec.budget, judged_early(metric, baseline=arm)
    sections = (
        [f"# Baseline Variance Report: {_title(budget)}"],
        scale_note(budget),
        stale_note({"baseline": stale} if (stale := staleness(arm)) else {}),
        [f"Control: {code(arm.variant)}"] if arm.variant.identity else [],
        table(STATISTICS, [statistics_row(arm, name) for name in shown_metrics(metric)]),
        [f"Seeds used: {', '.join(map(str, arm.seeds))}"],
        [f"**Judged early**: {markdown(early_note(metric, early))}."] if early else [],
        ["## Seeds", "", *_seed_table(arm, metric)],
        ["## What an experiment can see", "", *_sensitivity(arm, metric, len(experiment_seeds))],
        _judged(judged, others),
        ["## Environment", "", *environment([arm]), "", *data(arm)],
    )
    return document(sections)


def without_judged(report: bytes) -> bytes:
    """Return a baseline's report less its section on experiments: what remains depends on the arm alone."""
    first, *sections = report.split(b"\n\n## ")
    return b"\n\n## ".join([first, *(each for each in sections if not each.startswith(_JUDGED[3:].encode()))])


def _title(budget: Budget) -> str:
    return f"{budget.suffix} Tokens" if budget.unit == "tokens" else f"{budget.amount} {budget.unit.title()}"


def _seed_table(arm: Arm, metric: str) -> list[str]:
    """Return every metric of every seed, the judged one first."""
    names = list(dict.fromkeys([metric, *arm.metrics]))
    formats = {name: places([found]) for name in names if (found := summary(arm, name))}
    rows = [
        [str(run.spec.seed), *(number(run.metrics.get(name), formats.get(name, 0)) for name in names)] for run in arm
    ]
    return table(("Seed", *map(markdown, names)), rows)


def _sensitivity(arm: Arm, metric: str, most_seeds: int) -> list[str]:
    """Return the smallest effects seen four times in five, in sigmas, in the metric's unit and in percent."""
    found = summary(arm, metric)
    if found is None or not found.std:
        return ["Nothing: the noise of this baseline is unknown."]
    decimals = places([found])
    low, high = stats.sigma_interval(found.std, found.n)
    noise = (
        f"One standard deviation of {code(metric)} is {number(found.std, decimals)}, estimated from {found.n} seeds: "
        f"the true one lies between {number(low, decimals)} and {number(high, decimals)} (95 %)."
    )
    rows = []
    for plan, sigmas in _plans(found.n, most_seeds):
        size = sigmas * found.std
        relative = f"{100 * size / abs(found.mean):.2g} %" if found.mean else DASH
        rows.append([plan, number(sigmas, 2), number(size, decimals), relative])
    header = ("Experiment", "In sigmas", f"In {markdown(metric)}", "Of the mean")
    explained = "A true effect of this size is seen four times in five (two-sided test at .05); a smaller one is missed more often."
    return [noise, "", *table(header, rows), "", explained, "", _other_size(found.n, most_seeds)]


def _other_size(n_baseline: int, most_seeds: int) -> str:
    """Say what more baseline seeds would buy, or have bought."""
    other, said = (2 * n_baseline, "would be") if n_baseline <= len(SEEDS) else (len(SEEDS), "would only have been")
    looks = dict.fromkeys((min(FIRST_LOOK, most_seeds), most_seeds))
    figures = " and ".join(number(stats.minimum_detectable_effect(other, n), 2) for n in looks)
    return f"With {other} baseline seeds (`exprun_baseline_seeds`) the unpaired figures {said} {figures} sigmas."


def _plans(n_baseline: int, most_seeds: int) -> list[tuple[str, float]]:
    """Return the looks that an experiment may end at, with their minimum detectable effects."""
    pairs = min(n_baseline, most_seeds)
    unpaired = [
        (f"{n} seeds", stats.minimum_detectable_effect(n_baseline, n))
        for n in dict.fromkeys((min(FIRST_LOOK, most_seeds), most_seeds))
    ]
    paired = [
        (f"{pairs} seeds, paired, correlation {rho:g}", stats.minimum_detectable_effect_paired(pairs, rho))
        for rho in EXAMPLE_RHOS
    ]
    return [*unpaired, *paired]


def _judged(judged: Sequence[Comparison], others: Others) -> list[str]:
    """Return a table of the experiments for each metric they were judged by, with Holm's correction over the table."""
    found = families(judged, others=others)
    if not found:
        return []
    lines = [_JUDGED]
    for family in found:
        sentence = family.outlook()
        lines += ["", *markdown_table(View.BASELINE, rows_of(family)), ""]
        lines.append(
            f"By {code(family.metric)}. {sentence[:1].upper()}{sentence[1:]} if none of them has any effect. "
            "Holm's p is corrected for their number; a verdict never depends on it."
        )
    return lines
