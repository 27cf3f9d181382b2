"""`exprun budget`: what a session of so many ideas in so many hours can see, from the stored baseline. Trains nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from statistics import fmean
from typing import Any

from pytest_exprun.commands.console import Console
from pytest_exprun.commands.power import stored_baseline
from pytest_exprun.report.text import aligned, duration, number, places, plain
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.session import Session
from pytest_exprun.terms.model import Variant
from pytest_exprun.terms.outcome import Arm, Summary
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.sessions.prospects import session_outlook

_RARE = 0.095
"""A share below a tenth is shown with one decimal."""


def run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Print what the session can see; the exit status is 0.

    Raises:
        ExprunError: there is no stored baseline, it allows no statistics, or the session asked for is none.
    """
    settings = replace(settings, mode="frozen")
    baseline = stored_baseline(Session(settings, say=console.say, writes_reports=False).study, settings)
    found = figures(settings, baseline, arguments.ideas, arguments.hours)
    console.show(budget_lines(settings, baseline[settings.metric], found))
    console.answer(budget=found)
    return 0


def figures(settings: Settings, baseline: Arm, ideas: int, hours: float) -> dict[str, Any]:
    """Return the answer as plain JSON values: the noise, a run's time, and what `session_outlook` says.

    A list of three is a figure at the estimated sigma and at both ends of its 95 % range; `size` and `size_confirmed` are the smallest
    effects that are found four times in five, in the metric's unit.

    Raises:
        RefusedError: the session asked for is none.
    """
    noise = baseline[settings.metric]
    assert noise.std is not None
    seconds = fmean(float(run.provenance.get("wall_time", 0.0)) for run in baseline)
    sigmas = (noise.std, *stats.sigma_interval(noise.std, noise.n))
    outlook = session_outlook(
        ideas, hours, seconds, rule=settings.rule, min_effect=settings.min_effect, jobs=settings.jobs
    )
    return {
        "control": list(settings.baseline),
        "budget": str(settings.budget),
        "metric": settings.metric,
        "rule": settings.rule,
        "sigma": list(sigmas),
        "hours": hours,
        "seconds_a_run": seconds,
        "jobs": settings.jobs,
        **asdict(outlook),
        "size": [outlook.seen * sigma for sigma in sigmas],
        "size_confirmed": [outlook.seen_confirmed * sigma for sigma in sigmas],
    }


def budget_lines(settings: Settings, noise: Summary, found: Mapping[str, Any]) -> list[str]:
    """Return the figures as lines: what there is, then keeping each WINNER beside keeping what fresh seeds confirm."""
    decimals = places([noise])
    control, metric = plain(Variant(settings.baseline)), plain(settings.metric)
    mean, sigma = number(noise.mean, decimals), number(noise.std, decimals)
    at_once = f", {found['jobs']} at once" if found["jobs"] > 1 else ""
    return [
        f"baseline ({control}) at {settings.budget}: {metric} {mean}, sigma {sigma} from {noise.n} seeds",
        f"a run takes {duration(found['seconds_a_run'])}{at_once}: {found['hours']:g} hours are {found['possible_runs']:,} runs",
        "",
        *aligned(_rows(found, metric, decimals)),
        "",
        *_notes(found),
    ]


def _notes(found: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"If no idea has any effect, about {found['winners']:.2g} WINNERs are to be confirmed. Each idea that helps adds its own.",
        f"The first confirmation in a ledger takes {found['runs_of_first']} runs, a later one more.",
        f"Simulated: rule {found['rule']}, normal seeds, each idea that is kept the next baseline.",
        "The brackets show what the range of sigma does to a size.",
    )


def _rows(found: Mapping[str, Any], metric: str, decimals: int) -> list[tuple[str, ...]]:
    ideas, seconds = found["ideas"], found["seconds_a_run"] / found["jobs"]
    return [
        (f"{ideas} idea{'s' if ideas > 1 else ''}", "each WINNER kept", "if confirmed"),
        ("runs", f"{found['runs']:,}", f"{found['confirmed_runs']:,}"),
        ("time", duration(found["runs"] * seconds), duration(found["confirmed_runs"] * seconds)),
        ("ideas that fit", str(found["possible_ideas"]), str(found["possible_confirmed"])),
        ("keeps any without effect", _share(found["any_kept"]), _share(found["any_confirmed"])),
        ("found 4 times in 5: sigmas", number(found["seen"], 2), number(found["seen_confirmed"], 2)),
        (f"  {metric}", _ranged(found["size"], decimals), _ranged(found["size_confirmed"], decimals)),
    ]


def _share(probability: float) -> str:
    return f"{100 * probability:.{1 if probability < _RARE else 0}f} %"


def _ranged(sizes: Sequence[float], decimals: int) -> str:
    best, low, high = (number(size, decimals) for size in sizes)
    return f"{best} [{low} to {high}]"
