"""What programs read of a comparison: flat properties of a test, for JUnit XML and its readers, and an object with what to do next.

Properties are plain str and float only: anything else crashes xdist.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from pytest_exprun.report.markdown import summary
from pytest_exprun.report.text import plain
from pytest_exprun.terms.model import Experiment, Variant
from pytest_exprun.terms.outcome import Arm, Effect, Verdict
from pytest_exprun.verdict.comparison import Comparison, has_no_effect
from pytest_exprun.verdict.sessions.chance import fingerprints

Property = tuple[str, str | float]
# Property: where it stands in a comparison.
_DECLARED = {
    "verdict": "verdict",
    "verdict_two_sigma": "by_protocol",
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
_CONFIRMATION = ("sigmas", "estimate", "ci_low", "ci_high", "p_value", "alpha")
_SPEEDUP = ("factor", "low", "high", "bound", "unit", "why_not")
_OPEN = frozenset({"suggestive", "inconclusive"})
"""Kinds of NEUTRAL that further seeds may decide."""


def properties(comparison: Comparison) -> list[Property]:
    """Return names and values, `exprun.verdict` first; what is undefined is left out."""
    budget = comparison.declaration.budget
    found: list[tuple[str, object]] = [
        *_at(_DECLARED, comparison),
        ("tokens" if budget.unit == "tokens" else "budget", budget.amount),
        *_at(_JUDGED, comparison),
        *_states(comparison),
        *((f"stale_{arm}", text) for arm, text in comparison.stale.items()),
        *_fresh(comparison),
        *_speed(comparison),
        *((name, getattr(comparison.evidence, name)) for name in _EVIDENCE),
    ]
    for effect in comparison.effects.values():
        found += ((f"{effect.metric}.{name}", value) for name, value in _of_metric(effect, comparison))
    return [(f"exprun.{plain(name)}", _value(value)) for name, value in found if value is not None]


def _states(comparison: Comparison) -> Iterator[tuple[str, object]]:
    """Say which states of the code were compared, if any."""
    declared, diff = comparison.declaration, comparison.declaration.diff
    if diff is not None:
        yield from (("base_commit", diff.base), ("tip_commit", diff.tip), ("uncommitted", diff.uncommitted))
        yield from (("base_tree", _id(declared.control)), ("tip_tree", _id(declared.variant)))
        yield from (("files", tuple(name for name, *_ in diff.files)), ("patch", diff.patch))


def _fresh(comparison: Comparison) -> Iterator[tuple[str, object]]:
    """Say what fresh seeds said, if they were asked."""
    if (found := comparison.confirmation) is not None:
        yield "confirmation", found.word
        yield from ((f"confirmation_{name}", getattr(found, name)) for name in _CONFIRMATION)


def _speed(comparison: Comparison) -> Iterator[tuple[str, object]]:
    """Say how fast it gets to its loss, if that is known."""
    if (found := comparison.speedup) is not None:
        values = ((name, getattr(found, name)) for name in _SPEEDUP)
        yield from ((f"speedup_{name}".removesuffix("_factor"), value) for name, value in values if value != "")


def _id(variant: Variant) -> str | None:
    return variant.tree.id if variant.tree else None


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


def answer(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain JSON values; `answer.schema.json` beside this module says which."""
    declared, judgement, effect, quoted = (
        comparison.declaration,
        comparison.judgement,
        comparison.effect(),
        comparison.quoted,
    )
    return {
        "name": comparison.name,
        "verdict": str(comparison.verdict),
        "kind": judgement.kind,
        "reason": comparison.reason,
        "next": next_step(comparison),
        "metric": declared.metric,
        "lower_is_better": declared.lower_is_better,
        "baseline_mean": _finite_mean(comparison.baseline, declared.metric),
        "experiment_mean": _finite_mean(comparison.experiment, declared.metric),
        "sigmas_better": _finite(quoted.sigmas),
        "p_value": _finite(effect.p_value if comparison.confirmation is None else quoted.p_value),
        "confirmation": comparison.confirmation.to_json() if comparison.confirmation else None,
        **({"speedup": comparison.speedup.to_json()} if comparison.speedup else {}),
        "baseline_seeds": list(comparison.baseline.seeds),
        "experiment_seeds": list(comparison.experiment.seeds),
        "budget": str(declared.budget),
        "compared": compared(declared),
    }


def recorded(comparison: Comparison) -> dict[str, Any]:
    """Return what a ledger keeps of a comparison: the verdict, what it stands on, and which numbers were judged, by their digests."""
    judgement, effect = comparison.judgement, comparison.effect()
    baseline, judged = fingerprints(comparison)
    return {
        "result": "judged",
        "verdict": str(comparison.verdict),
        "verdict_kind": judgement.kind,
        "seeds": list(comparison.experiment.seeds),
        "sigmas": _finite(judgement.sigmas),
        "delta": _finite(effect.delta),
        "interval": [_finite(effect.ci_low), _finite(effect.ci_high)],
        "p_value": _finite(judgement.p_value),
        "stale": bool(comparison.stale),
        "no_effect": has_no_effect(comparison),
        "baseline": baseline,
        "judged": judged,
    }


def _finite_mean(arm: Arm, metric: str) -> float | None:
    found = summary(arm, metric)
    return None if found is None else found.mean


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def compared(declared: Experiment) -> dict[str, Any] | None:
    """Return which states of the code were compared, None where flags were."""
    if declared.diff is None:
        return None
    diff = declared.diff
    return {
        "base": {"commit": diff.base, "tree": _id(declared.control), "name": _name(declared.control)},
        "tip": {
            "commit": diff.tip,
            "tree": _id(declared.variant),
            "name": _name(declared.variant),
            "uncommitted": diff.uncommitted,
        },
        "files": {name: [added, deleted] for name, added, deleted in diff.files},
        "patch": diff.patch,
    }


def _name(variant: Variant) -> str | None:
    return str(variant.tree) if variant.tree else None


def is_open(comparison: Comparison) -> bool:
    """Whether further seeds may decide what these left open."""
    return comparison.judgement.kind in _OPEN


def next_step(comparison: Comparison) -> str:
    """Say what the evidence asks for: `confirm` a winner, `keep` a confirmed one, `discard`, or `train more seeds`."""
    if comparison.verdict is Verdict.WINNER:
        fresh = comparison.confirmation
        return "confirm" if fresh is None else "keep" if fresh.confirmed else "discard"
    return "train more seeds" if is_open(comparison) else "discard"
