"""What a session still has to train: counted off while it goes on, and listed by arm in plan mode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.arms.asked import ArmPlan
from pytest_exprun.terms.model import Variant
from pytest_exprun.terms.outcome import RunResult


@dataclass
class Outlook:
    """How many runs the session still has to train: at least, and at most."""

    missing: dict[str, tuple[int, int]]
    seconds: float = 0.0
    timed: int = 0
    jobs: int = 1
    done: int = 0

    def __post_init__(self) -> None:
        # Told after every run: sums over all arms would grow with their square.
        needed, optional = (sum(counts) for counts in zip((0, 0), *self.missing.values(), strict=True))
        self.left = needed, needed + optional

    @classmethod
    def of(cls, plans: Iterable[ArmPlan], jobs: int) -> Outlook:
        """Count what is missing now."""
        missing = {}
        known = []
        for plan in plans:
            optional = min(plan.optional, len(plan.missing))
            missing[repr(plan.variant.identity)] = (len(plan.missing) - optional, optional)
            if plan.seconds is not None:
                known.append(plan.seconds)
        return cls(missing, sum(known[:1]), len(known[:1]), jobs)

    def finished(self, result: RunResult) -> None:
        """Count a run off."""
        identity = repr(result.spec.variant.identity)
        needed, optional = self.missing.get(identity, (0, 0))
        self._set(identity, (needed - 1, optional) if needed else (0, max(0, optional - 1)))
        self.done += 1
        self.seconds += float(result.provenance.get("wall_time", 0.0))
        self.timed += 1

    def expect(self, plans: Iterable[ArmPlan]) -> None:
        """More is to be trained than was counted: fresh seeds."""
        for plan in plans:
            needed, optional = self.missing.get(identity := repr(plan.variant.identity), (0, 0))
            self._set(identity, (needed + len(plan.missing), optional))

    def decided(self, variant: Variant) -> None:
        """A verdict fell: the experiment's arm needs no further seeds of its own."""
        self._set(repr(variant.identity), (0, 0))

    def _set(self, identity: str, missing: tuple[int, int]) -> None:
        """Change what an arm is missing, and with it `left`: runs still to train, at least and at most."""
        fewer = [before - now for before, now in zip(self.missing.get(identity, (0, 0)), missing, strict=True)]
        self.missing[identity] = missing
        self.left = self.left[0] - fewer[0], self.left[1] - sum(fewer)

    @property
    def seconds_a_run(self) -> float | None:
        """Mean wall seconds of the runs so far, divided by how many are performed at once."""
        return self.seconds / self.timed / self.jobs if self.timed else None


def plan_lines(plans: Sequence[ArmPlan], settings: Settings) -> list[str]:
    """Return one line an arm: seeds stored, seeds missing, the time they will take."""
    lines = []
    known = [plan.seconds for plan in plans if plan.seconds is not None]
    for plan in plans:
        needed = len(plan.missing)
        count = f"{needed - min(plan.optional, needed)} to {needed}" if needed and plan.optional else str(needed)
        seconds = plan.seconds or (sum(known) / len(known) if known else None)
        took = "" if not needed else ", time unknown" if seconds is None else f", about {needed * seconds / 60:.1f} min"
        stored = ", ".join(map(str, plan.stored)) or "none"
        missing = ", ".join(map(str, plan.missing)) or "none"
        why = f" ({plan.why})" if plan.why else ""
        lines.append(
            f"{plan} at {plan.budget or settings.budget}: stored {stored}; missing {missing}{why}; to train {count}{took}"
        )
    return lines
