"""`exprun power`: how many seeds see how large an effect, from the stored baseline. Trains nothing."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

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
    found = figures(settings, baseline[settings.metric], seed_correlations(study, settings, baseline))
    console.show(power_lines(settings, found))
    console.answer(power=found)
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


def figures(settings: Settings, baseline: Summary, rhos: Mapping[str, tuple[float, int]]) -> dict[str, Any]:
    """Return the answer as plain JSON values.

    A list of three is a figure at the estimated sigma and at both ends of its 95 % range, with null for more than 100,000 seeds and for
    what is undefined.
    """
    assert baseline.std is not None
    bounds = stats.sigma_interval(baseline.std, baseline.n)
    sigmas, columns = (baseline.std, *bounds), _columns(rhos)
    bar = rule_named(settings.rule).bar(settings.min_effect)
    return {
        "control": list(settings.baseline),
        "budget": str(settings.budget),
        "metric": settings.metric,
        "mean": baseline.mean,
        "min": baseline.min,
        "max": baseline.max,
        "sigma": list(sigmas),
        "seeds": baseline.n,
        "correlations": {name: {"rho": rho, "seeds": n} for name, (rho, n) in sorted(rhos.items())},
        "seeds_needed": [_seeds_needed(d, sigmas, columns) for d in EFFECTS],
        "plans": list(_plans(settings, baseline, sigmas, columns)),
        "bar": {"rule": settings.rule, "sigmas": bar, "size": bar * baseline.std},
    }


def _seeds_needed(d: float, sigmas: Sequence[float], columns: Sequence[float]) -> dict[str, Any]:
    """How many seeds in each arm see an effect four times in five, unpaired and by correlation."""
    # The size in the metric's unit is what one wants to see; how many true sigmas that is depends on the true sigma.
    size = d * sigmas[0]
    paired = {f"{rho:.2f}": [stats.seeds_needed_paired(size / true, rho, POWER) for true in sigmas] for rho in columns}
    unpaired = [stats.seeds_needed(size / true, POWER) for true in sigmas]
    return {"sigmas": d, "size": size, "unpaired": unpaired, "paired": paired}


def _plans(
    settings: Settings, baseline: Summary, sigmas: Sequence[float], columns: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """What the looks of the present plan see four times in five."""
    n_b, n_e = settings.baseline_seeds, len(SEEDS)
    plans = {
        f"{n_b} + {FIRST_LOOK}": stats.minimum_detectable_effect(n_b, FIRST_LOOK, POWER),
        f"{n_b} + {n_e}, unpaired": stats.minimum_detectable_effect(n_b, n_e, POWER),
    }
    for rho in columns:
        plans[f"{n_e} pairs, rho {rho:.2f}"] = stats.minimum_detectable_effect_paired(n_e, rho, POWER)
    for name, effect in plans.items():
        sizes = [effect * sigma for sigma in sigmas]
        percents = [100 * size / abs(baseline.mean) if baseline.mean else None for size in sizes]
        yield {"seeds": name, "sigmas": effect, "size": sizes, "percent": percents}


def _columns(rhos: Mapping[str, tuple[float, int]]) -> tuple[float, ...]:
    """Return the correlations to plan with: lowest, median and highest of those over most seeds, in steps of .01, none below 0."""
    if not rhos:
        return UNKNOWN_RHO
    most = max(n for _, n in rhos.values())
    found = [min(max(rho, 0.0), _HIGHEST_RHO) for rho, n in rhos.values() if n == most]
    return tuple(sorted({math.floor(100 * rho) / 100 for rho in (min(found), statistics.median(found), max(found))}))


# For people.


def power_lines(settings: Settings, found: Mapping[str, Any]) -> list[str]:
    """Return the figures as lines: the noise, the correlations, seeds needed, what the present plan sees."""
    sigma = found["sigma"][0]
    decimals = places([Summary(found["seeds"], found["mean"], sigma, found["min"], found["max"])])
    mean, noise, low, high = (number(value, decimals) for value in (found["mean"], *found["sigma"]))
    control, metric = plain(Variant(settings.baseline)), plain(settings.metric)
    return [
        f"baseline ({control}) at {settings.budget}: {metric} {mean}, sigma {noise} from {found['seeds']} seeds",
        f"the true sigma lies between {low} and {high} (95 %): the brackets show what that does to each figure",
        *_correlations(found["correlations"]),
        "",
        "seeds in each arm to see an effect four times in five (two-sided t test at .05)",
        *_seeds_table(found["seeds_needed"], decimals),
        "",
        "what the present plan sees four times in five",
        *_plan_table(found["plans"], metric, decimals),
        "",
        _bar(settings, found["bar"], decimals),
    ]


def _correlations(rhos: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "rho, the correlation of both arms at the same seed, is high for small changes and low for large ones"
    if not rhos:
        yield "rho is not known yet: no stored experiment shares three seeds with this baseline"
        return
    listed = [f"{plain(name)} {number(each['rho'], 2)} ({each['seeds']} seeds)" for name, each in rhos.items()]
    more = f" and {len(listed) - _MOST_ARMS} more" if len(listed) > _MOST_ARMS else ""
    yield f"rho so far, a rough guess from so few seeds: {', '.join(listed[:_MOST_ARMS])}{more}"


def _seeds_table(needed: Sequence[Mapping[str, Any]], decimals: int) -> Iterator[str]:
    rows = [("effect", "size", "unpaired", *(f"rho {rho}" for rho in needed[0]["paired"]))]
    for each in needed:
        cells = [_seeds_cell(counts) for counts in (each["unpaired"], *each["paired"].values())]
        rows.append((f"d = {each['sigmas']:g}", number(each["size"], decimals), *cells))
    yield from aligned(rows)


def _seeds_cell(counts: Sequence[int | None]) -> str:
    best, low, high = (">100000" if count is None else str(count) for count in counts)
    return f"{best} [{low} to {high}]"


def _plan_table(plans: Sequence[Mapping[str, Any]], metric: str, decimals: int) -> Iterator[str]:
    rows = [("seeds", "sigmas", metric, "percent")]
    for each in plans:
        percents = each["percent"]
        sizes = _ranged(each["size"], decimals)
        rows.append((each["seeds"], number(each["sigmas"], 2), sizes, _ranged(percents, _two_digits(percents[1]))))
    yield from aligned(rows)


def _two_digits(smallest: float | None) -> int:
    """Return the decimals that show two digits of the smallest figure of a row."""
    return 0 if smallest is None else places([Summary(1, smallest, None, smallest, smallest)]) - 2


def _ranged(values: Sequence[float | None], decimals: int) -> str:
    best, low, high = (number(value, decimals) for value in values)
    return best if best == DASH else f"{best} [{low} to {high}]"


def _bar(settings: Settings, bar: Mapping[str, Any], decimals: int) -> str:
    sigmas, size = bar["sigmas"], number(bar["size"], decimals)
    lower = " (rule = tested with a lower min_effect moves that bar)" if sigmas >= BAR else ""
    return (
        f"Beside this, rule {settings.rule} wants a measured difference of {sigmas:g} baseline sigmas ({size}): a smaller true effect "
        f"mostly stays NEUTRAL however many seeds there are{lower}."
    )
