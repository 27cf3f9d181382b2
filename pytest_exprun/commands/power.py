"""`exprun power`: how many seeds see how large an effect, from the stored baseline. Trains nothing."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_exprun.commands.console import Console
from pytest_exprun.report.text import DASH, aligned, number, places, plain
from pytest_exprun.settings.declaration import declare_baseline
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.session import Session
from pytest_exprun.study.study import Study
from pytest_exprun.terms.errors import MissingRunError
from pytest_exprun.terms.model import FIRST_LOOK, SEEDS, Variant
from pytest_exprun.terms.outcome import Arm, Summary
from pytest_exprun.trust.store.inventory import Standing, standing_runs, stored_arms
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.rules import BAR, rule_named

EFFECTS = (0.5, 1.0, 2.0)
POWER = 0.8
UNKNOWN_RHO = (0.0, 0.5, 0.9)
_HIGHEST_RHO = 0.99
_MOST_ARMS = 6


def run(settings: Settings, _arguments: argparse.Namespace, console: Console) -> int:
    """Print the tables; the exit status is 0.

    Raises:
        ExprunError: there is no stored baseline, or it allows no statistics.
    """
    settings = replace(settings, mode="frozen")
    study = Session(settings, say=console.say, writes_reports=False).study
    baseline = stored_baseline(study, settings)
    rhos = seed_correlations(study, settings, baseline)
    console.show(power_lines(settings, baseline[settings.metric], rhos))
    return 0


def stored_baseline(study: Study, settings: Settings) -> Arm:
    """Return the stored baseline; trains nothing (the settings' mode is `frozen`).

    Raises:
        MissingRunError: a seed of it is not stored, or does not stand.
    """
    seeds = settings.seeds_of_baselines
    declared = declare_baseline(settings, seeds, seeds)
    try:
        return study.arm(settings.default_control, seeds, declared)
    except MissingRunError:
        plan = study.plan(settings.default_control, seeds, declared)
        why = f"; stored runs do not stand: {plan.why}" if plan.why else ""
        raise MissingRunError(
            f"the baseline ({settings.default_control}) at {settings.budget} is not stored: missing seed "
            f"{', '.join(map(str, plan.missing))} in {settings.path('store')}{why}. `pytest` on your experiments or `exprun aa` trains it"
        ) from None


def seed_correlations(study: Study, settings: Settings, baseline: Arm) -> dict[str, tuple[float, int]]:
    """Return for each stored experiment arm its correlation with the baseline at the same seed, and over how many seeds."""
    values = baseline.values(settings.metric)
    asked = (settings.budget, settings.args)
    arms = [arm for arm in stored_arms(study.store)[0] if (arm.budget, arm.common_args) == asked]
    standings = [
        Standing.of(arm, study.store, study.fingerprinter.key)
        for arm in arms
        if arm.variant.identity != baseline.variant.identity
    ]
    found = {}
    for runs in standing_runs(standings).values():
        theirs = {run.spec.seed: run.metrics.get(settings.metric) for run in runs}
        finite = {seed: value for seed, value in theirs.items() if value is not None}
        rho = stats.seed_correlation(values, finite)
        if rho is not None:
            found[str(runs[0].spec.variant)] = (rho, len(values.keys() & finite.keys()))
    return found


def power_lines(settings: Settings, baseline: Summary, rhos: Mapping[str, tuple[float, int]]) -> list[str]:
    """Return the answer as lines: the noise, the correlations, seeds needed, what the present plan sees."""
    assert baseline.std is not None
    decimals = places([baseline])
    bounds = stats.sigma_interval(baseline.std, baseline.n)
    columns = _columns(rhos)
    low, high = (number(bound, decimals) for bound in bounds)
    control = Variant(settings.baseline)
    mean, sigma = number(baseline.mean, decimals), number(baseline.std, decimals)
    return [
        f"baseline ({plain(control)}) at {settings.budget}: {plain(settings.metric)} {mean}, sigma {sigma} from {baseline.n} seeds",
        f"the true sigma lies between {low} and {high} (95 %): the brackets show what that does to each figure",
        *_correlations(rhos),
        "",
        "seeds in each arm to see an effect four times in five (two-sided t test at .05)",
        *_seeds_table(baseline.std, bounds, columns, decimals),
        "",
        "what the present plan sees four times in five",
        *_plan_table(settings, baseline, bounds, columns, decimals),
        "",
        _bar(settings, baseline.std, decimals),
    ]


def _columns(rhos: Mapping[str, tuple[float, int]]) -> tuple[float, ...]:
    """Return the correlations to plan with: lowest, median and highest of those over most seeds, in steps of .01, none below 0."""
    if not rhos:
        return UNKNOWN_RHO
    most = max(n for _, n in rhos.values())
    found = [min(max(rho, 0.0), _HIGHEST_RHO) for rho, n in rhos.values() if n == most]
    return tuple(sorted({math.floor(100 * rho) / 100 for rho in (min(found), statistics.median(found), max(found))}))


def _correlations(rhos: Mapping[str, tuple[float, int]]) -> Iterator[str]:
    yield "rho, the correlation of both arms at the same seed, is high for small changes and low for large ones"
    if not rhos:
        yield "rho is not known yet: no stored experiment shares three seeds with this baseline"
        return
    listed = [f"{plain(name)} {number(rho, 2)} ({n} seeds)" for name, (rho, n) in sorted(rhos.items())]
    more = f" and {len(listed) - _MOST_ARMS} more" if len(listed) > _MOST_ARMS else ""
    yield f"rho so far, a rough guess from so few seeds: {', '.join(listed[:_MOST_ARMS])}{more}"


def _seeds_table(sigma: float, bounds: tuple[float, float], columns: Sequence[float], decimals: int) -> Iterator[str]:
    rows = [("effect", "size", "unpaired", *(f"rho {rho:.2f}" for rho in columns))]
    for d in EFFECTS:
        # The size in the metric's unit is what one wants to see; how many true sigmas that is depends on the true sigma.
        scenarios = [d * sigma / true for true in (sigma, *bounds)]
        cells = [_seeds_cell([stats.seeds_needed(each, POWER) for each in scenarios])]
        cells += [_seeds_cell([stats.seeds_needed_paired(each, rho, POWER) for each in scenarios]) for rho in columns]
        rows.append((f"d = {d:g}", number(d * sigma, decimals), *cells))
    yield from aligned(rows)


def _seeds_cell(counts: Sequence[int | None]) -> str:
    best, low, high = (">100000" if count is None else str(count) for count in counts)
    return f"{best} [{low} to {high}]"


def _plan_table(
    settings: Settings, baseline: Summary, bounds: tuple[float, float], columns: Sequence[float], decimals: int
) -> Iterator[str]:
    n_b, n_e = settings.baseline_seeds, len(SEEDS)
    plans = {
        f"{n_b} + {FIRST_LOOK}": stats.minimum_detectable_effect(n_b, FIRST_LOOK, POWER),
        f"{n_b} + {n_e}, unpaired": stats.minimum_detectable_effect(n_b, n_e, POWER),
    }
    for rho in columns:
        plans[f"{n_e} pairs, rho {rho:.2f}"] = stats.minimum_detectable_effect_paired(n_e, rho, POWER)
    assert baseline.std is not None
    rows = [("seeds", "sigmas", plain(settings.metric), "percent")]
    for name, sigmas in plans.items():
        sizes = [sigmas * sigma for sigma in (baseline.std, *bounds)]
        percents = [100 * size / abs(baseline.mean) if baseline.mean else None for size in sizes]
        rows.append((name, number(sigmas, 2), _ranged(sizes, decimals), _ranged(percents, _two_digits(percents[1]))))
    yield from aligned(rows)


def _two_digits(smallest: float | None) -> int:
    """Return the decimals that show two digits of the smallest figure of a row."""
    return 0 if smallest is None else places([Summary(1, smallest, None, smallest, smallest)]) - 2


def _ranged(values: Sequence[float | None], decimals: int) -> str:
    best, low, high = (number(value, decimals) for value in values)
    return best if best == DASH else f"{best} [{low} to {high}]"


def _bar(settings: Settings, sigma: float, decimals: int) -> str:
    bar = rule_named(settings.rule).bar(settings.min_effect)
    size = number(bar * sigma, decimals)
    lower = " (rule = tested with a lower min_effect moves that bar)" if bar >= BAR else ""
    return (
        f"Beside this, rule {settings.rule} wants a measured difference of {bar:g} baseline sigmas ({size}): a smaller true effect "
        f"mostly stays NEUTRAL however many seeds there are{lower}."
    )
