"""What a trainer gave, sorted: metrics (real numbers) and notes (everything else). A result that cannot be judged is refused here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pytest_exprun.terms.errors import TrainerError, visible
from pytest_exprun.terms.judged_at import refuse_untrained
from pytest_exprun.terms.outcome import RunResult, Status
from pytest_exprun.terms.real import real

Metrics = dict[str, float | None]
Notes = dict[str, Any]


def sort_returned(returned: Mapping[Any, object]) -> tuple[Metrics, Notes]:
    """Split a mapping into metrics, non-finite ones as None, and notes.

    Raises:
        TrainerError: a key is no text.
    """
    metrics: Metrics = {}
    notes: Notes = {}
    for name, value in returned.items():
        if not isinstance(name, str):
            raise TrainerError(f"returned the key {name!r:.80}; keys are names of metrics, text")
        number = real_number(value)
        if number is None:
            notes[name] = _jsonable(value)
        else:
            metrics[name] = number if math.isfinite(number) else None
    return metrics, notes


def status_of(metrics: Mapping[str, float | None]) -> Status:
    """Return `diverged` if any metric is not finite."""
    return "diverged" if any(value is None for value in metrics.values()) else "finished"


def check_tokens(metrics: Mapping[str, float | None], asked: int) -> None:
    """Refuse a run that says itself that it kept to another budget.

    Raises:
        TrainerError: `train_tokens` is there and not what was asked for.
    """
    reported = metrics.get("train_tokens")
    if reported is not None and reported != asked and status_of(metrics) == "finished":
        raise TrainerError(f"reports train_tokens = {reported:.0f}, asked for {asked}: budgets must be kept exactly")


def require_metric(result: RunResult, metric: str, trained_by: str) -> None:
    """Refuse a run that cannot be judged by `metric`. `trained_by` names the trainer, as `Settings.trained_by` does.

    Raises:
        TrainerError: the metric is missing, no real number, or from before the training.
    """
    if metric in result.metrics:
        refuse_untrained(result, metric)
        return
    where = f"{trained_by}: seed {result.spec.seed} of {result.spec.variant}"
    if metric in result.notes:
        raise TrainerError(f"{where}: {metric} is {result.notes[metric]!r:.80}, no real number; return a float")
    known = ", ".join([*result.metrics, *result.notes]) or "nothing"
    raise TrainerError(
        f"{where}: returned no {visible(metric)}; it returned: {known}. Return it, or name another metric (exprun_metric)"
    )


def real_number(value: object) -> float | None:
    """Return an int, float or one-element array as float; None for anything else."""
    try:
        return real(value)
    except ValueError:
        return None


def _jsonable(value: object) -> Any:
    """Return a note as JSON can hold it, anything else as its text."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)[:200]
    return value
