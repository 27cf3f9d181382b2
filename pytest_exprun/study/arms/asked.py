"""What an arm is asked for, what it needs, and who is told of it: the words between the study, its runs and the session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.terms.outcome import CurvePoint, RunResult
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.trees.ground import Ground


@dataclass(frozen=True)
class Asked:
    """One arm as a comparison asks for it. `role` (baseline, control, exp) names directories and lines, never a record.

    Where its files are what is judged (`is_on_trial`) they are expected to differ, so stored runs of other files prove nothing about it.
    """

    ground: Ground
    key: Key
    variant: Variant
    common_args: tuple[str, ...]
    budget: Budget
    metric: str
    role: str
    is_on_trial: bool = False

    def spec(self, seed: int) -> RunSpec:
        """Return the run of one seed."""
        return RunSpec(self.variant, seed, self.budget, self.common_args)

    def __str__(self) -> str:
        return f"{self.role} ({self.variant})"


@dataclass(frozen=True)
class ArmPlan:
    """What an arm needs: `stored` and `missing` seeds, why stored runs of another key do not stand, seconds a run took so far.

    `budget` is None where it is the session's.

    `optional` of the missing seeds are trained only if the rule asks for them, or if the first one shows that a change of the code matters.
    """

    variant: Variant
    role: str
    stored: tuple[int, ...]
    missing: tuple[int, ...]
    why: str = ""
    seconds: float | None = None
    optional: int = 0
    budget: Budget | None = None

    def __str__(self) -> str:
        return f"{self.role} ({self.variant})"


class RunObserver(Protocol):
    """Who is told what happens to runs, while it happens."""

    def arm_incomplete(self, plan: ArmPlan) -> None:
        """Some seeds of an arm must be trained."""

    def run_progressed(self, spec: RunSpec, point: CurvePoint) -> None:
        """A run printed a progress line."""

    def run_finished(self, result: RunResult, role: str, old: RunResult | None) -> None:
        """A run was trained; `old` is the record it replaces in refresh mode."""

    def say(self, text: str) -> None:
        """Something to read while waiting."""

    def notice(self, text: str) -> None:
        """Something the user must know that is no error of a test."""

    def not_saved(self, text: str) -> None:
        """A result counts but could not be kept, for instance on a full disk."""
