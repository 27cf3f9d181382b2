"""A comparison as flat properties of a test, for JUnit XML and its readers. Plain str and float only: anything else crashes xdist."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_exprun.report.markdown import summary
from pytest_exprun.report.text import plain
from pytest_exprun.terms.model import Arm, Effect
from pytest_exprun.verdict.comparison import Comparison

Property = tuple[str, str | float]
_FIELDS = (
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
    found: list[tuple[str, object]] = [*_judgement(comparison), *_evidence(comparison)]
    for effect in comparison.effects.values():
        found += _metric(effect, comparison)
    return [(f"exprun.{plain(name)}", _value(value)) for name, value in found if value is not None]


def _value(value: object) -> str | float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else plain(value)


def _judgement(comparison: Comparison) -> Iterator[tuple[str, object]]:
    judgement = comparison.judgement
    yield "verdict", comparison.verdict
    yield "verdict_two_sigma", comparison.two_sigma.verdict
    yield "reason", comparison.reason
    yield "judged_early", comparison.judged_early
    yield "name", comparison.name
    yield "metric", comparison.metric
    yield "flags", " ".join(comparison.declaration.variant.flags)
    yield "control", " ".join(comparison.declaration.control.flags)
    yield "tokens" if comparison.declaration.budget.unit == "tokens" else "budget", comparison.declaration.budget.amount
    yield "rule", judgement.rule
    yield "kind", judgement.kind
    yield "look", judgement.look
    yield "sigmas", judgement.sigmas
    yield "p_value_one_sided", judgement.p_value
    yield "alpha", judgement.alpha
    yield "confirmed", None if judgement.confirmed is None else str(judgement.confirmed).lower()
    for arm, text in comparison.stale.items():
        yield f"stale_{arm}", text


def _evidence(comparison: Comparison) -> Iterator[tuple[str, object]]:
    evidence = comparison.evidence
    for name in ("n_baseline", "n_experiment", "s_b", "s_b_low", "s_b_high", "rho", "mde_sigmas"):
        yield name, getattr(evidence, name)


def _metric(effect: Effect, comparison: Comparison) -> Iterator[tuple[str, object]]:
    for arm_name, arm in (("baseline", comparison.baseline), ("experiment", comparison.experiment)):
        yield from ((f"{effect.metric}.{arm_name}_{name}", value) for name, value in _summary(arm, effect.metric))
    for field in _FIELDS:
        yield f"{effect.metric}.{field.removeprefix('raw_')}", getattr(effect, field)
    if not effect.comparable:
        yield f"{effect.metric}.not_comparable", effect.why_not


def _summary(arm: Arm, metric: str) -> Iterator[tuple[str, float | None]]:
    found = summary(arm, metric)
    if found is not None:
        yield "mean", found.mean
        yield "std", found.std
