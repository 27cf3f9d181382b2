"""What a comparison must be to pass: most gates are decided by its verdict, `non_inferior` in looks of its own."""

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


def _wants(name: str, *allowed: Verdict) -> Callable[[Comparison], GateResult]:
    wanted = " or ".join(allowed)

    def judge(comparison: Comparison) -> GateResult:
        reason = f"the verdict is {comparison.verdict}, the gate wants {wanted}"
        return GateResult(name, comparison.verdict in allowed, reason)

    return judge


def _identical(comparison: Comparison) -> GateResult:
    same = comparison.judgement.kind == "identical"
    reason = "every seed equals the control's" if same else "the change must not matter, yet the seeds differ"
    return GateResult("identical", same, reason)


_BY_VERDICT: Mapping[str, Callable[[Comparison], GateResult]] = {
    "not_loser": _wants("not_loser", Verdict.WINNER, Verdict.NEUTRAL),
    "winner": _wants("winner", Verdict.WINNER),
    "loser": _wants("loser", Verdict.LOSER),
    "identical": _identical,
}


def judge_gate(gate: str, comparison: Comparison, values: Values) -> GateResult:
    """Judge a comparison by a declared gate; `non_inferior` may ask for the seeds of its second look."""
    if gate in _BY_VERDICT:
        return _BY_VERDICT[gate](comparison)
    declared, seeds = comparison.declaration, comparison.declaration.seeds[:FIRST_LOOK]
    baseline = comparison.baseline.values(comparison.metric)
    while True:
        judged = judge_non_inferior(
            baseline, values(seeds), lower_is_better=declared.lower_is_better, plan=declared.seeds
        )
        if judged.passed is not None:
            return GateResult(gate, judged.passed, judged.reason)
        seeds = (*seeds, *judged.needs)
