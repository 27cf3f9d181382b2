"""What a comparison must be to pass: most gates are decided by what it found, `non_inferior` in looks of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pytest_exprun.terms.model import FIRST_LOOK
from pytest_exprun.terms.outcome import Verdict
from pytest_exprun.verdict.comparison import Comparison
from pytest_exprun.verdict.noninferiority import judge_non_inferior

Values = Callable[[Sequence[int]], Mapping[int, float]]
"""Returns the judged metric of the experiment at these seeds, which may have to be trained first."""


@dataclass(frozen=True)
class GateResult:
    """Whether a comparison passes a gate, and why."""

    name: str
    passed: bool
    reason: str


def judge_gate(gate: str, comparison: Comparison, values: Values) -> GateResult:
    """Judge a comparison by a declared gate; `non_inferior` may ask for the seeds of its second look."""
    return GateResult(gate, *_JUDGES[gate](comparison, values))


def needs_all_seeds(gate: str) -> bool:
    """Whether a gate may ask for further seeds after the comparison has its verdict."""
    return _JUDGES[gate] is _non_inferior


Judge = Callable[[Comparison, Values], tuple[bool, str]]


def _wants(*allowed: Verdict) -> Judge:
    wanted = " or ".join(allowed)

    def judge(comparison: Comparison, _: Values) -> tuple[bool, str]:
        return comparison.verdict in allowed, f"the verdict is {comparison.verdict}, the gate wants {wanted}"

    return judge


def _not_loser(comparison: Comparison, _: Values) -> tuple[bool, str]:
    if comparison.was_stopped and comparison.verdict is Verdict.NEUTRAL:
        return (
            False,
            "stopped early, it shows neither harm nor harmlessness: with futility 'never' all seeds are trained",
        )
    return _wants(Verdict.WINNER, Verdict.NEUTRAL)(comparison, _)


def _confirmed(comparison: Comparison, _: Values) -> tuple[bool, str]:
    if (found := comparison.confirmation) is None:
        return False, f"the verdict is {comparison.verdict}, the gate wants a WINNER that fresh seeds confirm"
    return found.confirmed, f"{found.word}: {found.reason}"


def _identical(comparison: Comparison, _: Values) -> tuple[bool, str]:
    same = comparison.judgement.kind == "identical"
    return same, "every seed equals the control's" if same else "the change must not matter, yet the seeds differ"


def _non_inferior(comparison: Comparison, values: Values) -> tuple[bool, str]:
    declared, seeds = comparison.declaration, comparison.declaration.seeds[:FIRST_LOOK]
    baseline = comparison.baseline.values(comparison.metric)
    while True:
        judged = judge_non_inferior(
            baseline, values(seeds), lower_is_better=declared.lower_is_better, plan=declared.seeds
        )
        if judged.passed is not None:
            return judged.passed, judged.reason
        seeds = (*seeds, *judged.needs)


_JUDGES: Mapping[str, Judge] = {
    "not_loser": _not_loser,
    "non_inferior": _non_inferior,
    "winner": _wants(Verdict.WINNER),
    "confirmed": _confirmed,
    "loser": _wants(Verdict.LOSER),
    "identical": _identical,
}
"""Every gate that a declaration may name (`settings.GATES`)."""
