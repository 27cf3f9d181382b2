"""Which clock the arms of a comparison are on, and whether their times may be compared.

Nothing here decides a verdict: times are reported beside it, and a difference of times is only argued from when the conditions agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

from pytest_exprun.terms.outcome import Arm, RunResult

CLOCKS = ("wall_time", "cpu_time")
CROWDED = 1.1
"""Other busy cores that a comparable wall time may have had beside it: one, and a little of the system's own."""
SHORTEST = 1.0
"""Seconds below which a difference of wall times tells of the clock and of what ran beside, not of the change."""
SLOW = 3.0
"""So many times the baseline's time a first seed may take before an experiment that may be stopped is."""
PRECISE = 0.05
"""A clock that tells differences of a twentieth is precise enough whatever the difference is."""
BETWEEN = 2
"""So many runs may lie between two runs of a seed that were trained in turn. One after the other, a baseline's five seeds keep them four
apart."""
RESOLUTION = 1.0
"""Seconds to which a run's start is known."""


def with_one_clock(*arms: Arm) -> tuple[Arm, ...]:
    """Give all runs the same clock: the trainer's `wall_time` and `cpu_time` if every run returned it, else the plugin's for every run."""
    measured = [name for name in CLOCKS if any(run.metrics.get(name) is None for arm in arms for run in arm)]
    if not measured:
        return arms

    def on_that_clock(run: RunResult) -> RunResult:
        ours = {name: run.provenance[name] for name in measured if run.provenance.get(name) is not None}
        return replace(run, metrics={**run.metrics, **ours}) if ours else run

    return tuple(Arm(arm.variant, tuple(map(on_that_clock, arm))) for arm in arms)


def why_too_slow(baseline: Arm, run: RunResult) -> str:
    """Return by how much a run is slower than `SLOW` times the mean of a baseline, or an empty string if it is not, or nobody can tell.

    Wall time counts where it is comparable; else CPU time, on one kind of machine without a GPU.
    """
    timed, alone = with_one_clock(baseline, Arm(run.spec.variant, (run,)))
    runs = [*timed, *alone]
    facts = [each.provenance for each in runs]
    if not why_times_differ_in_kind(runs):
        clock = "wall_time"
    elif not why_machines_differ(facts) and not any(fact.get("gpu") for fact in facts):
        clock = "cpu_time"
    else:
        return ""
    seconds = [each.metrics.get(clock) for each in runs]
    *before, after = [value for value in seconds if value is not None and math.isfinite(value)] or [0.0]
    if len(before) < len(timed) or after < SHORTEST or after <= SLOW * fmean(before):
        return ""
    return f"{after / fmean(before):.1f} times the baseline's {clock} (limit: {SLOW:g})"


def why_times_differ_in_kind(runs: Iterable[RunResult], *, in_turn: bool = False) -> str:
    """Return why the runs' wall times must not be compared, or an empty string if they may be.

    They may be where CPU or GPU, threads and torch agree and nothing of ours, nor more than one other busy core, ran beside any of them;
    of runs in turn others may have run beside, as both arms had them.
    """
    facts = [run.provenance for run in runs]
    return why_machines_differ(facts) or why_crowded(facts, in_turn=in_turn)


def why_machines_differ(facts: Sequence[Mapping[str, Any]]) -> str:
    """Return in what the machines of runs differ, by the provenance of each; an empty string if in nothing that times depend on."""
    names = ("gpu", "threads", "torch") if any(fact.get("gpu") for fact in facts) else ("cpu", "threads", "torch")
    for name in names:
        found = list(dict.fromkeys(str(fact.get(name)) for fact in facts))
        if len(found) > 1:
            return f"{name} differs ({' and '.join(found)})"
    return ""


def why_crowded(facts: Sequence[Mapping[str, Any]], *, in_turn: bool = False) -> str:
    """Return what ran beside runs, by the provenance of each; an empty string if nothing did that matters."""
    if any(fact.get("concurrency", 1) > 1 for fact in facts):
        return "runs of this study trained beside each other"
    busiest = max((fact.get("other_busy_cores") or 0.0 for fact in facts), default=0.0)
    return f"up to {busiest:.1f} other cores were busy" if busiest > CROWDED and not in_turn else ""


def are_in_turn(*arms: Iterable[RunResult]) -> bool:
    """Whether the arms' runs of each common seed were trained near each other in time: what disturbed one disturbed the others.

    So it is told by when they ran, not by what was asked for: runs that the store had are of another day. Runs that are too short for the
    clock are never in turn.
    """
    by_seed = [{run.spec.seed: run.provenance for run in arm} for arm in arms]
    common = set.intersection(*map(set, by_seed))
    return bool(common) and all(_are_near([arm[seed] for arm in by_seed]) for seed in common)


def _are_near(facts: Sequence[Mapping[str, Any]]) -> bool:
    lengths = [fact.get("wall_time") or 0.0 for fact in facts]
    if (
        not all(fact.get("started") for fact in facts)
        or min(lengths) < SHORTEST
        or len({fact.get("host") for fact in facts}) > 1
    ):
        return False
    starts = [datetime.fromisoformat(fact["started"]).timestamp() for fact in facts]
    spans = sorted((start, start + length) for start, length in zip(starts, lengths, strict=True))
    gaps = (later[0] - earlier[1] for earlier, later in pairwise(spans))
    return all(gap <= BETWEEN * max(lengths) + RESOLUTION for gap in gaps)


def why_times_are_noise(baseline: Sequence[float], experiment: Sequence[float], *, in_turn: bool = False) -> str:
    """Return why a difference of wall times does not stand out from what the clock says of equal runs, or an empty string if it does.

    Args:
        baseline: seconds of the baseline's runs.
        experiment: seconds of the experiment's.
        in_turn: whether they are pairs, trained in turn: then the differences must agree, and what both share may vary.
    """
    b, e = fmean(baseline), fmean(experiment)
    if max(b, e) < SHORTEST:
        return f"runs of {max(b, e):.2g} s are too short for the clock, which wants {SHORTEST:g} s"
    if in_turn:
        differences = [after - before for before, after in zip(baseline, experiment, strict=True)]
        told = 2 * _spread(differences) * math.sqrt(1 / len(differences))
        why = f"the differences of the pairs spread by {100 * _spread(differences) / b:.0f} %, from which their mean does not stand out"
    else:
        told = 2 * _spread(baseline) * math.sqrt(1 / len(baseline) + 1 / len(experiment))
        why = f"the baseline's own wall times spread by {100 * _spread(baseline) / b:.0f} %, from which the difference does not stand out"
    return why if told > PRECISE * b and abs(e - b) <= told else ""


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0
