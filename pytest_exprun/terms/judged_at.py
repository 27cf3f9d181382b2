"""Where in its run a metric was reported: a loss from before the end must not pass for the end's. Standard library only.

What a run printed or wrote names its steps. The last step at which each metric was there, and the last step of all, are kept with the run.
Where that is not known (a line without a step, a record of an earlier version) nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.outcome import Arm, RunResult

UNITS = ("step", "global_step", "iteration", "iter", "epoch")
"""Names by which a line or a row may say how far its run is. Of those that both know, the first tells where a metric is from."""
REPORTED_AT = "reported_at"
"""In a run's provenance: metric -> unit, where the metric was last reported, where the run was last heard of."""
ALIKE = 0.01
"""Part of a run by which places may differ: counts that begin at 0 in one line and at 1 in the next, epochs that are rounded."""
ALIKE_IN_TIME = 0.05
"""The same for the arms' means where runs end by the clock, each at a step of its own: docs/decisions/0031."""
REMEDY = (
    "let the script evaluate after its last step (for nanoGPT, --eval_interval a divisor of --max_iters; "
    "for the Trainer of Hugging Face, trainer.evaluate() at the end)"
)


class Heard:
    """What a run's lines or rows say, in their order, of where it is."""

    def __init__(self) -> None:
        self._at: dict[str, Mapping[str, float]] = {}
        self._last: dict[str, float] = {}

    def take(self, names: Iterable[str], counts: Mapping[str, float]) -> None:
        """Take in one line: the metrics it reports, and its counts by their units."""
        self._last.update(counts)
        self._at.update(dict.fromkeys(names, counts))

    def reported_at(self, names: Iterable[str]) -> dict[str, list[Any]]:
        """Return what is known of these metrics, as a run's provenance holds it."""
        found = {}
        for name in names:
            counts = self._at.get(name, {})
            unit = next((unit for unit in UNITS if unit in counts), None)
            if unit is not None:
                found[name] = [unit, counts[unit], self._last[unit]]
        return found


def counts_in(values: Mapping[str, object]) -> dict[str, float]:
    """Return those of a line's values that say how far the run is."""
    found = {unit: values[unit] for unit in UNITS if unit in values}
    return {
        unit: value
        for unit, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


@dataclass(frozen=True)
class Place:
    """Where in its run a metric is from: `at` of `last` steps, or of another unit."""

    unit: str
    at: float
    last: float

    @classmethod
    def of(cls, run: RunResult, metric: str) -> Place | None:
        """Return where a run's metric is from; None where nobody knows, and for one that diverged: it is no number of any step."""
        known = run.provenance.get(REPORTED_AT, {})
        return cls(*known[metric]) if metric in known and run.metrics.get(metric) is not None else None

    @property
    def part(self) -> float:
        """How much of the run lies before it: 1 at the end, to a step and a hundredth of the run."""
        if self.last <= 0 or self.last - self.at <= min(1, ALIKE * self.last):
            return 1.0
        return max(0.0, self.at / self.last)

    def __str__(self) -> str:
        return f"{self.unit} {_count(self.at)} of {_count(self.last)}"


def _count(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.4g}"


def untrained(metric: str, place: Place) -> str | None:
    """Return why a metric from this place is not judged, if it is from before the training: at step 0, and the run went on."""
    if place.part:
        return None
    return f"{metric} was last reported at {place}: the untrained model would be judged; {REMEDY}"


def refuse_untrained(run: RunResult, metric: str) -> None:
    """Refuse a run whose metric is from before its training.

    Raises:
        TrainerError: it was last reported at step 0, and the run went on.
    """
    place = Place.of(run, metric)
    if place is not None and (why := untrained(metric, place)):
        raise TrainerError(f"{_name(run)}: {why}")


def check_places(metric: str, budget_unit: str, baseline: Arm, experiment: Arm) -> None:
    """Refuse to compare runs that were judged at different parts of their own length, whatever the number of their steps.

    Raises:
        TrainerError: they were, or one was judged before its training.
    """
    arms = [_known(arm, metric) for arm in (baseline, experiment)]
    for run, _ in [*arms[0], *arms[1]]:
        refuse_untrained(run, metric)
    found = [*arms[0], *arms[1]]
    if not found:
        return
    (first, early), (other, late) = (choose(found, key=lambda entry: entry[1].part) for choose in (min, max))
    apart, alike = late.part - early.part, ALIKE
    if budget_unit == "seconds":
        apart, alike = _gap(*arms) if all(arms) else 0.0, ALIKE_IN_TIME
    if apart > alike:
        raise TrainerError(
            f"{metric} was judged at different places: at {early} in {_name(first)}, at {late} in {_name(other)}. "
            f"A loss from before the end cannot be compared with the end's; {REMEDY}"
        )


_Places = Sequence[tuple[RunResult, Place]]


def _known(arm: Arm, metric: str) -> _Places:
    return [(run, place) for run in arm if (place := Place.of(run, metric)) is not None]


def _gap(*arms: _Places) -> float:
    """Return how far the arms' mean places are apart."""
    one, other = (math.fsum(place.part for _, place in arm) / len(arm) for arm in arms)
    return abs(one - other)


def _name(run: RunResult) -> str:
    return f"seed {run.spec.seed} of {run.spec.variant}"


def judged_early(metric: str, **arms: Arm) -> str | None:
    """Say where a metric is from if some run's is from before its end: `step 80 of 100`; None if none is, or nobody knows."""
    known = {name: found for name, arm in arms.items() if (found := _known(arm, metric))}
    if all(place.part == 1 for found in known.values() for _, place in found):
        return None
    texts = {name: _earliest([place for _, place in found]) for name, found in known.items()}
    if len(set(texts.values())) == 1 and len(texts) == len(arms):
        return next(iter(texts.values()))
    return ", ".join(f"{text} ({name})" for name, text in texts.items())


def early_note(metric: str, early: str) -> str:
    """Return what `judged_early` found as a sentence without its end."""
    return f"{metric} was judged at {early}, before the end of the run: what the last steps change is not in it"


def _earliest(places: Sequence[Place]) -> str:
    earliest = min(places, key=lambda place: place.part)
    return f"{earliest}{' at the earliest' if len(set(places)) > 1 else ''}"
