"""Which clock the arms of a comparison are on, and whether their times may be compared.

Nothing here decides a verdict: times are reported beside it, and a difference of times is only argued from when the conditions agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

from pytest_exprun.terms.outcome import Arm, RunResult

CLOCKS = ("wall_time", "cpu_time")
CROWDED = 1.1
"""Other busy cores that a comparable wall time may have had beside it: one, and a little of the system's own."""
SHORTEST = 1.0
"""Seconds below which a difference of wall times tells of the clock and of what ran beside, not of the change."""
PRECISE = 0.05
"""A clock that tells differences of a twentieth is precise enough whatever the difference is."""


def with_one_clock(*arms: Arm) -> tuple[Arm, ...]:
    """Give all runs the same clock: the trainer's `wall_time` and `cpu_time` if every run returned it, else the plugin's for every run."""
    measured = [name for name in CLOCKS if any(run.metrics.get(name) is None for arm in arms for run in arm)]
    if not measured:
        return arms

    def on_that_clock(run: RunResult) -> RunResult:
        ours = {name: run.provenance[name] for name in measured if run.provenance.get(name) is not None}
        return replace(run, metrics={**run.metrics, **ours}) if ours else run

    return tuple(Arm(arm.variant, tuple(map(on_that_clock, arm))) for arm in arms)


def why_times_differ_in_kind(runs: Iterable[RunResult]) -> str:
    """Return why the runs' wall times must not be compared, or an empty string if they may be.

    They may be where CPU or GPU, threads and torch agree and nothing of ours, nor more than one other busy core, ran beside any of them.
    """
    facts: list[Mapping[str, Any]] = [run.provenance for run in runs]
    names = ("gpu", "threads", "torch") if any(fact.get("gpu") for fact in facts) else ("cpu", "threads", "torch")
    for name in names:
        found = list(dict.fromkeys(str(fact.get(name)) for fact in facts))
        if len(found) > 1:
            return f"{name} differs ({' and '.join(found)})"
    if any(fact.get("concurrency", 1) > 1 for fact in facts):
        return "runs of this study trained beside each other"
    busiest = max((fact.get("other_busy_cores") or 0.0 for fact in facts), default=0.0)
    return f"up to {busiest:.1f} other cores were busy" if busiest > CROWDED else ""


def why_times_are_noise(baseline: Sequence[float], experiment: Sequence[float]) -> str:
    """Return why a difference of wall times does not stand out from what the clock says of equal runs, or an empty string if it does."""
    b, e = fmean(baseline), fmean(experiment)
    if max(b, e) < SHORTEST:
        return f"runs of {max(b, e):.2g} s are too short for the clock, which wants {SHORTEST:g} s"
    spread = stdev(baseline) if len(baseline) > 1 else 0.0
    told = 2 * spread * math.sqrt(1 / len(baseline) + 1 / len(experiment))
    if told > PRECISE * b and abs(e - b) <= told:
        return f"the baseline's own wall times spread by {100 * spread / b:.0f} %, from which the difference does not stand out"
    return ""
