"""A comparison as flat properties of a test, for JUnit XML and its readers. Plain str and float only: anything else crashes xdist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter

from pytest_exprun.report.markdown import summary
from pytest_exprun.report.text import plain
from pytest_exprun.terms.outcome import Effect
from pytest_exprun.verdict.comparison import Comparison

Property = tuple[str, str | float]
# Property: where it stands in a comparison.
_DECLARED = {
    "verdict": "verdict",
    "verdict_two_sigma": "two_sigma.verdict",
    "reason": "reason",
    "judged_early": "judged_early",
    "name": "name",
    "metric": "metric",
    "flags": "declaration.variant.flags",
    "control": "declaration.control.flags",
}
_JUDGED = {
    "rule": "judgement.rule",
    "kind": "judgement.kind",
    "look": "judgement.look",
    "sigmas": "judgement.sigmas",
    "p_value_one_sided": "judgement.p_value",
    "alpha": "judgement.alpha",
    "confirmed": "judgement.confirmed",
}
_EVIDENCE = ("n_baseline", "n_experiment", "s_b", "s_b_low", "s_b_high", "rho", "mde_sigmas")
_EFFECT = (
    "delta",
    "raw_percent",
    "improvement",
    "sigmas",
    "cohens_d",
    "hedges_g",
    "effect_class",
    "p_value",
    "ci_low",
    "ci_high",
)


def properties(comparison: Comparison) -> list[Property]:
    """Return names and values, `exprun.verdict` first; what is undefined is left out."""
    budget = comparison.declaration.budget
    found: list[tuple[str, object]] = [
        *_at(_DECLARED, comparison),
        ("tokens" if budget.unit == "tokens" else "budget", budget.amount),
        *_at(_JUDGED, comparison),
        *((f"stale_{arm}", text) for arm, text in comparison.stale.items()),
        *((name, getattr(comparison.evidence, name)) for name in _EVIDENCE),
    ]
    for effect in comparison.effects.values():
        found += ((f"{effect.metric}.{name}", value) for name, value in _of_metric(effect, comparison))
    return [(f"exprun.{plain(name)}", _value(value)) for name, value in found if value is not None]


def _at(places: Mapping[str, str], comparison: Comparison) -> Iterator[tuple[str, object]]:
    return ((name, attrgetter(place)(comparison)) for name, place in places.items())


def _value(value: object) -> str | float:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return plain(" ".join(value))
    return float(value) if isinstance(value, int | float) else plain(value)


def _of_metric(effect: Effect, comparison: Comparison) -> Iterator[tuple[str, object]]:
    for name, arm in (("baseline", comparison.baseline), ("experiment", comparison.experiment)):
        if found := summary(arm, effect.metric):
            yield f"{name}_mean", found.mean
            yield f"{name}_std", found.std
    yield from ((name.removeprefix("raw_"), getattr(effect, name)) for name in _EFFECT)
    if not effect.comparable:
        yield "not_comparable", effect.why_not
