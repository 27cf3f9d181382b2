"""What came out of training: runs, arms of runs, what is said of them. Standard library only.

Everything is frozen; runs convert to plain JSON values and back, so that a record, a report and an xdist message are the same data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from pytest_exprun.terms.errors import NotComparable, RefusedError
from pytest_exprun.terms.model import RunSpec, Variant

Status = Literal["finished", "diverged", "crashed", "timeout"]


class Verdict(StrEnum):
    """What the protocol says of an experiment."""

    WINNER = "WINNER"
    NEUTRAL = "NEUTRAL"
    LOSER = "LOSER"


@dataclass(frozen=True)
class CurvePoint:
    """One progress line of a run: `Step <step> | <name>: <value> | ...`. A non-finite value is None."""

    step: int
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class RunResult:
    """What one run gave. A non-finite metric is None and the status says `diverged`: records never hold a bare NaN."""

    spec: RunSpec
    status: Status
    metrics: Mapping[str, float | None]
    notes: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, no NaN among them."""
        return {
            "spec": self.spec.to_json(),
            "status": self.status,
            "metrics": dict(self.metrics),
            "notes": dict(self.notes),
            "curve": [[point.step, dict(point.values)] for point in self.curve],
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunResult:
        """Rebuild what `to_json` wrote; a malformed mapping raises KeyError, TypeError or ValueError."""
        return cls(
            spec=RunSpec.from_json(data["spec"]),
            status=data["status"],
            metrics=data["metrics"],
            notes=data["notes"],
            curve=tuple(CurvePoint(step, values) for step, values in data["curve"]),
            provenance=data["provenance"],
        )


@dataclass(frozen=True)
class Summary:
    """Descriptive statistics of one metric over seeds. `std` has ddof = 1 and is None at n = 1: undefined, not 0."""

    n: int
    mean: float
    std: float | None
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Summarise finite values; the two-pass variance is exact to rounding even at offsets of 1e9.

        Raises:
            RefusedError: no values, or one that is not finite.
        """
        if not values:
            raise RefusedError("no values to describe: at least one is needed")
        if not all(map(math.isfinite, values)):
            raise RefusedError(f"cannot describe {list(values)}: a value is not finite")
        n = len(values)
        # Shifted by the first value, so that a large common offset costs no digits.
        shifted = [value - values[0] for value in values]
        centre = math.fsum(shifted) / n
        std = math.sqrt(math.fsum([(value - centre) ** 2 for value in shifted]) / (n - 1)) if n > 1 else None
        return cls(n, values[0] + centre, std, min(values), max(values))


@dataclass(frozen=True)
class Arm:
    """One variant over several seeds. It has no role: an experiment here may be the control there."""

    variant: Variant
    runs: tuple[RunResult, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds in training order."""
        return tuple(run.spec.seed for run in self.runs)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that every run has, in the first run's order."""
        return tuple(name for name in self.runs[0].metrics if all(name in run.metrics for run in self.runs))

    def values(self, metric: str) -> dict[int, float]:
        """Return seed -> value, a diverged value as NaN.

        Raises:
            RefusedError: a run lacks the metric.
        """
        found = {}
        for run in self.runs:
            if metric not in run.metrics:
                known = ", ".join(run.metrics) or "none"
                raise RefusedError(
                    f"seed {run.spec.seed} of {self.variant} has no metric {metric!r}; it returned: {known}"
                )
            value = run.metrics[metric]
            found[run.spec.seed] = math.nan if value is None else value
        return found

    def __getitem__(self, metric: str) -> Summary:
        """Summarise the finite seeds of one metric."""
        if metric not in self._summaries:
            self._summaries[metric] = Summary.of(
                [value for value in self.values(metric).values() if math.isfinite(value)]
            )
        return self._summaries[metric]

    @cached_property
    def _summaries(self) -> dict[str, Summary]:
        """What was asked for already: reports ask for the same figures many times."""
        return {}

    @cached_property
    def json_lines(self) -> tuple[str, ...]:
        """Each run as one line of JSON. A baseline's stand in the report of every experiment on it."""
        return tuple(json.dumps(run.to_json(), allow_nan=False) for run in self.runs)

    def __iter__(self) -> Iterator[RunResult]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)


@dataclass(frozen=True)
class Effect:
    """One metric compared. A field is None where it is undefined (no variance, one seed, a diverged seed).

    delta, percent, cohens_d, hedges_g and the interval are experiment minus baseline; improvement and sigmas are positive when better.
    """

    metric: str
    delta: float | None = None
    raw_percent: float | None = None
    improvement: float | None = None
    sigmas: float | None = None
    cohens_d: float | None = None
    hedges_g: float | None = None
    effect_class: str | None = None
    p_value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    comparable: bool = True
    why_not: str = ""

    @property
    def percent(self) -> float | None:
        """Change in percent of the baseline's mean.

        Raises:
            NotComparable: the two arms were not measured under like conditions; `raw_percent` has the figure all the same.
        """
        __tracebackhide__ = True  # the test's own line is what its reader must see
        if not self.comparable:
            raise NotComparable(f"{self.metric} of the two arms is not comparable: {self.why_not}")
        return self.raw_percent

    def __repr__(self) -> str:
        """Return what a failed assertion shows: the change with its size and interval, each where it is defined."""
        shown = {
            "": None if self.delta is None else f"{self.delta:+.4g}",
            "percent": None if self.raw_percent is None else f"{self.raw_percent:+.3g}",
            "sigmas": None if self.sigmas is None else f"{self.sigmas:+.3g}",
            "cohens_d": None if self.cohens_d is None else f"{self.cohens_d:+.3g}",
            "p": None if self.p_value is None else f"{self.p_value:.2g}",
            "ci": None if self.ci_low is None else f"({self.ci_low:+.4g}, {self.ci_high:+.4g})",
        }
        figures = ", ".join(f"{name} {text}".strip() for name, text in shown.items() if text is not None)
        return f"<Effect on {self.metric}: {figures or 'undefined'}>"

    @property
    def ci(self) -> tuple[float | None, float | None]:
        """The 95 % interval of delta."""
        return (self.ci_low, self.ci_high)
