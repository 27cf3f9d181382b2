"""One arm's values, checked: real finite numbers, enough of them, and their plain moments. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import Summary
from pytest_exprun.terms.real import real

LARGEST = 1e150
"""Squares of larger values would overflow."""


def real_number(value: object, where: str) -> float:
    """Return a real number as float, NaN and infinities included; an array of exactly one element counts as its element.

    Raises:
        RefusedError: it is none; `where` names the place.
    """
    try:
        return real(value)
    except ValueError as error:
        problem = str(error) or f"{value!r} ({type(value).__name__}): allowed is one real number"
        raise RefusedError(f"{where} is {problem}") from None


def sample_of(values: Iterable[object], name: str, least: int = 2) -> list[float]:
    """Check one arm's values.

    Raises:
        RefusedError: too few of them, or one that is no finite real number.
    """
    # A mapping would iterate over its seeds: wrong numbers, silently.
    if type(values) is not list and (isinstance(values, Mapping | str) or not isinstance(values, Iterable)):
        raise RefusedError(
            f"{name} is a {type(values).__name__}: allowed is a sequence of numbers, for a mapping its values()"
        )
    sample = [
        value if type(value) is float else real_number(value, f"value {index} of {name}")
        for index, value in enumerate(values, 1)
    ]
    if len(sample) < least:
        why = ": one seed has no standard deviation" if len(sample) == 1 else ""
        raise RefusedError(f"{name} has {len(sample)} values, at least {least} are needed{why}")
    for index, value in enumerate(sample, 1):
        if not -LARGEST <= value <= LARGEST:
            raise RefusedError(f"value {index} of {name} is {value}: allowed are finite numbers up to {LARGEST:g}")
    return sample


def std_of(sample: Sequence[float]) -> float:
    """Standard deviation (ddof = 1) of at least two checked values."""
    std = Summary.of(sample).std
    assert std is not None  # sample_of made sure of two values
    return std


def difference(baseline: Sequence[float], experiment: Sequence[float]) -> float:
    """Difference of means. Both arms are shifted by one common value first, so that a large offset costs no digits."""
    origin = baseline[0]
    of_baseline = math.fsum(value - origin for value in baseline) / len(baseline)
    return math.fsum(value - origin for value in experiment) / len(experiment) - of_baseline


def both_arms(baseline: Iterable[object], experiment: Iterable[object]) -> tuple[list[float], list[float]]:
    """Check both arms, at least two values each."""
    return sample_of(baseline, "baseline"), sample_of(experiment, "experiment")


def pooled_std(b: Sequence[float], e: Sequence[float]) -> float:
    """Pool both arms' standard deviations, weighted by their degrees of freedom."""
    weighted = math.hypot(math.sqrt(len(b) - 1) * std_of(b), math.sqrt(len(e) - 1) * std_of(e))
    return weighted / math.sqrt(len(b) + len(e) - 2)


def divide(numerator: float, scale: float, what: str) -> float:
    """Express a difference in units of `scale`.

    Raises:
        RefusedError: the scale is 0.
    """
    if scale == 0:
        raise RefusedError(f"{what} is 0: a difference of {numerator:g} has no size in units of it")
    return numerator / scale
