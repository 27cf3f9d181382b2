"""What the runs of both arms took, in one unit, and the speedup that follows where it may be compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from pytest_exprun.terms.model import Budget, Experiment
from pytest_exprun.terms.outcome import Arm, RunResult
from pytest_exprun.verdict.compute.clocks import SHORTEST, are_in_turn, why_crowded, why_machines_differ, with_one_clock
from pytest_exprun.verdict.compute.speedup import SHARES, Point, Speedup, speedup

FLOPS = "flops"
"""The metric by which a trainer says how many floating-point operations a run took."""
CPU, GPU, OPERATIONS = "CPU seconds", "GPU seconds", "FLOPs"
TIMES = "times cannot be compared"
"""How a reason begins that other runs of the same could take away."""
_METRICS = {CPU: "cpu_time", GPU: "wall_time", OPERATIONS: FLOPS}


def scaled(budget: Budget) -> tuple[Budget, ...]:
    """Return half, once and twice a budget, rounded down to a whole number of its unit; the half of 1 is 1."""
    return tuple(Budget(max(1, int(share * budget.amount)), budget.unit) for share in SHARES)


def speedup_of(declared: Experiment, control: Sequence[Arm], experiment: Arm) -> Speedup:
    """Return the effective speedup of an experiment, or why there is none.

    Args:
        declared: the experiment as declared.
        control: the control's arms at the budgets of `scaled`.
        experiment: the experiment's arm at the budget itself.
    """
    *control, experiment = with_one_clock(*control, experiment)
    arms, seeds = (*control, experiment), [seed for seed in experiment.seeds if seed in control[1].seeds]
    runs = [run for arm in arms for run in arm if run.spec.seed in seeds]
    unit = _unit(runs)
    crowd = _crowd(control, experiment, seeds)
    found = Speedup(why_not=_why_not(runs, unit, crowd))
    if not found.why_not:
        curve = [_points(arm, declared, unit) for arm in arms]
        found = speedup(
            {seed: [each[seed] for each in curve[:-1]] for seed in seeds}, {seed: curve[-1][seed] for seed in seeds}
        )
    rates, rate_unit = _rates(declared.budget, (_only(control[1], seeds), _only(experiment, seeds)), unit)
    return replace(
        found,
        unit=unit,
        metric=declared.metric,
        better=_is_better(declared, control[1], experiment, seeds),
        caution=crowd if unit == CPU else "",
        rates=rates,
        rate_unit=rate_unit,
    )


def _only(arm: Arm, seeds: Sequence[int]) -> Arm:
    return Arm(arm.variant, tuple(run for run in arm if run.spec.seed in seeds))


def _unit(runs: Iterable[RunResult]) -> str:
    """Return what compute is counted in: what every run declares, else seconds of the GPU where one was used, else of the CPU."""
    every = list(runs)
    if every and all(run.metrics.get(FLOPS) for run in every):
        return OPERATIONS
    return GPU if any(_used_gpu(run) for run in every) else CPU


def _used_gpu(run: RunResult) -> bool:
    return bool(run.provenance.get("gpu")) or str(run.notes.get("device", "")).startswith("cuda")


def _crowd(control: Sequence[Arm], experiment: Arm, seeds: Sequence[int]) -> str:
    """Return what ran beside runs and may have moved their times; what both arms of a pair in turn had does not.

    It moves the CPU time by less than the wall time, so that CPU time is compared all the same, and a word of caution stands beside it.
    """
    pairs = [_only(arm, seeds) for arm in (control[1], experiment)]
    others = [_only(arm, seeds) for arm in (control[0], control[2])]
    told = [[run.provenance for arm in arms for run in arm] for arms in (pairs, others)]
    if why := why_crowded(told[0], in_turn=bool(seeds) and are_in_turn(*pairs)):
        return why
    why = why_crowded(told[1])
    return why and f"{why} at the control's other budgets"


def _why_not(runs: Sequence[RunResult], unit: str, crowd: str) -> str:
    """Return why the runs' compute must not be compared."""
    if not runs:
        return "the arms have no seed in common"
    metric = _METRICS[unit]
    unknown = next((run for run in runs if run.metrics.get(metric) is None), None)
    if unknown is not None:
        return f"seed {unknown.spec.seed} of {unknown.spec.variant} at {unknown.spec.budget} has no {metric}"
    if unit == OPERATIONS:
        return ""
    facts = [run.provenance for run in runs]
    longest = max(_value(run, metric) for run in runs)
    if longest < SHORTEST:
        return f"runs of {longest:.2g} s are too short for the clock, which wants {SHORTEST:g} s"
    why = why_machines_differ(facts) or (crowd if unit == GPU else "")
    return why and f"{TIMES}: {why}"


def _value(run: RunResult, metric: str) -> float:
    value = run.metrics.get(metric)
    return math.nan if value is None else value


def _points(arm: Arm, declared: Experiment, unit: str) -> dict[int, Point]:
    """Return seed -> point, the metric turned so that less is better."""
    sign = 1 if declared.lower_is_better else -1
    return {run.spec.seed: Point(sign * _value(run, declared.metric), _value(run, _METRICS[unit])) for run in arm}


def _is_better(declared: Experiment, control: Arm, experiment: Arm, seeds: Sequence[int]) -> bool:
    """Whether the experiment's mean is better at its seeds."""
    before, after = (arm.values(declared.metric) for arm in (control, experiment))
    change = math.fsum(after[seed] - before[seed] for seed in seeds)
    return change < 0 if declared.lower_is_better else change > 0


def _rates(budget: Budget, arms: Sequence[Arm], unit: str) -> tuple[tuple[float, float] | None, str]:
    """Return tokens or steps a second of both arms and the unit's name; None where nobody counted them, or no time is known."""
    clock = GPU if unit == GPU or any(_used_gpu(run) for arm in arms for run in arm) else CPU
    what = "tokens" if budget.unit == "seconds" else budget.unit
    found = []
    for arm in arms:
        done = [_value(run, "train_tokens") if budget.unit == "seconds" else budget.amount for run in arm]
        took = [_value(run, _METRICS[clock]) for run in arm]
        found.append(fmean(done) / fmean(took) if took and math.fsum(took) else math.nan)
    if not all(map(math.isfinite, found)):
        return None, ""
    return (found[0], found[1]), f"{what} per {clock.removesuffix('s')}"
