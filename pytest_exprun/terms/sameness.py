"""Whether two runs are the same computation: equal to the last bit in all but clocks, which are declared, never guessed.

The judged metric is always compared, whatever it is called.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_exprun.terms.curves import kept
from pytest_exprun.terms.model import lower_is_better
from pytest_exprun.terms.outcome import CurvePoint, RunResult

CLOCKS = frozenset({"wall_time", "cpu_time", "time", "tok/s"})
"""The clocks of every run: what the plugin measures, and what the protocol's own progress lines say of time."""
DECLARED = "clocks"
"""In a run's provenance: further metrics of its that a clock or the machine measured, by the settings or by the format of its output."""
WITHIN_ARM = ("data_sha256",)
"""Notes that must agree over all runs of an arm."""
EVERYWHERE = ("val_data_sha256", "device", "dtype")
"""Notes that must agree over all runs that are compared."""
_IDENTITIES = (*WITHIN_ARM, *EVERYWHERE)


def with_clocks(run: RunResult, declared: Iterable[str]) -> RunResult:
    """Return a run that says which of its metrics are clocks besides those that it says already."""
    clocks = sorted({*run.provenance.get(DECLARED, ()), *declared})
    return replace(run, provenance={**run.provenance, DECLARED: clocks}) if clocks else run


def clocks_of(metric: str, *runs: RunResult) -> frozenset[str]:
    """Return what is left out of a comparison of runs that are judged by `metric`."""
    return CLOCKS.union(*(run.provenance.get(DECLARED, ()) for run in runs)) - {metric}


def difference(first: RunResult, second: RunResult, metric: str) -> str | None:
    """Say what of the computation differs between two runs, in a phrase; None if nothing does.

    Clocks are left out, and what only the second run reports: a new metric changes no old one.
    """
    if first.status != second.status:
        return f"the status {first.status} and {second.status}"
    clocks = clocks_of(metric, first, second)
    found = _metrics_difference(first, second, clocks) or _curve_difference(first.curve, second.curve, clocks, metric)
    return found and _explained(*found, metric)


NO_CHANCE = 3
_MANY_DIGITS = 10


def is_one_run(runs: Sequence[RunResult], metric: str, enough: int = NO_CHANCE) -> bool:
    """Whether runs of different seeds are one and the same: equal in all but clocks, and in `enough` numbers, so that it is no chance.

    Two accuracies of 360 images are often equal, two losses to the sixteenth digit are not, nor are three losses of four digits.
    """
    first, *others = runs
    if not others or any(
        difference(one, two, metric) for each in others for one, two in ((first, each), (each, first))
    ):
        return False
    learnt = _learnt(first, metric)
    numbers = sum(1 if _is_coarse(*each) else NO_CHANCE for each in learnt)
    return len(others) * numbers >= enough


def says_one_coarse_number(run: RunResult, metric: str) -> bool:
    """Whether a run tells nothing of what was learnt but one metric in few steps: two runs that differ may agree in it."""
    learnt = _learnt(run, metric)
    return {name for name, _ in learnt} == {metric} and all(_is_coarse(*each) for each in learnt)


def _learnt(run: RunResult, metric: str) -> set[tuple[str, float]]:
    """Return the numbers that tell what was learnt, of the result and of the progress lines."""
    clocks = clocks_of(metric, run)
    named = [*run.metrics.items(), *(pair for point in run.curve for pair in point.values.items())]
    return {
        (name, value) for name, value in named if value is not None and name not in clocks and _is_learnt(name, metric)
    }


def _is_coarse(name: str, value: float) -> bool:
    """Whether a number may be equal by chance: any but a loss with all its digits."""
    return "loss" not in name or len(repr(value)) <= _MANY_DIGITS


def _is_learnt(name: str, metric: str) -> bool:
    """Whether a number tells what was learnt, which a count of tokens or parameters does not."""
    return name == metric or lower_is_better(name, {}) is not None


Curve = Sequence[CurvePoint]
Found = tuple[str, str]
"""The name of what differs, and how."""


def _explained(name: str, how: str, metric: str) -> str:
    """Tell what to do about a metric that is not the judged one."""
    judged = name in {metric, *_IDENTITIES, ""}
    return how if judged else f"{how}; if a clock or the machine measured it, name it in exprun_clocks"


def _metrics_difference(first: RunResult, second: RunResult, clocks: Collection[str]) -> Found | None:
    for name, value in first.metrics.items():
        if name in clocks:
            continue
        if name not in second.metrics:
            return name, f"{name} {value!r} and none"
        if not _same_number(second.metrics[name], value):
            return name, f"{name} {value!r} and {second.metrics[name]!r}"
    for name in _IDENTITIES:
        if first.notes.get(name) != second.notes.get(name):
            return name, f"{name} {first.notes.get(name)!r} and {second.notes.get(name)!r}"
    return None


def _curve_difference(first: Curve, second: Curve, clocks: Collection[str], metric: str) -> Found | None:
    if len(first) != len(second):  # one may be of a version that kept more of it
        first, second = kept(first, metric), kept(second, metric)
    if len(first) != len(second):
        return "", f"{len(first)} and {len(second)} progress lines"
    points = zip(first, second, strict=True)
    return next(filter(None, (_point_difference(one, two, clocks) for one, two in points)), None)


def point_difference(first: CurvePoint, second: CurvePoint, clocks: Collection[str], metric: str) -> str | None:
    """Say how two progress lines differ, clocks left out; None if they do not."""
    found = _point_difference(first, second, clocks)
    return found and _explained(*found, metric)


def _point_difference(first: CurvePoint, second: CurvePoint, clocks: Collection[str]) -> Found | None:
    if first.step != second.step:
        return "", f"a progress line of step {first.step} and of step {second.step}"
    values: Mapping[str, float | None] = first.values
    for name, value in values.items():
        if name not in clocks and (name not in second.values or not _same_number(second.values[name], value)):
            return name, f"{name} at step {first.step} {value!r} and {second.values.get(name)!r}"
    return None


def _same_number(one: float | None, two: float | None) -> bool:
    """Equal to the last bit: -0.0 is not 0.0."""
    return one == two and (one is None or two is None or math.copysign(1, one) == math.copysign(1, two))
