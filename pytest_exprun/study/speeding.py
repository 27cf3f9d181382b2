"""How fast an experiment gets to its loss: the control at half and twice the budget, trained once and stored like any run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pytest_exprun.study.arms.asked import ArmPlan, Asked
from pytest_exprun.study.arms.runs import Runs
from pytest_exprun.terms.errors import ExprunError
from pytest_exprun.terms.judged_at import check_places
from pytest_exprun.terms.model import Experiment, Variant
from pytest_exprun.terms.outcome import Arm
from pytest_exprun.verdict.comparison import Comparison, check_same_measurement
from pytest_exprun.verdict.compute.costs import scaled, speedup_of


@dataclass(frozen=True)
class Speeding:
    """What a study needs to tell a speedup.

    Attributes:
        runs: where runs come from.
        asked: an arm as a comparison asks for it.
        check: looks at an experiment's flags before anything is trained for it.
        announce: told what is about to be trained.
    """

    runs: Runs
    asked: Callable[[Variant, Experiment], Asked]
    check: Callable[[Experiment], Callable[[], None]]
    announce: Callable[[Sequence[ArmPlan]], None]

    def known(self, found: Comparison) -> Comparison:
        """Return a comparison with its speedup where the control's runs are stored already; nothing is trained."""
        if self.runs.settings.mode != "refresh" and all(map(self._is_stored, controls(found.declaration))):
            with contextlib.suppress(ExprunError):  # nobody asked, and the verdict stands without
                return self._told(found)
        return found

    def measured(self, found: Comparison) -> Comparison:
        """Return a comparison with its speedup, after what is missing of the control is trained.

        Raises:
            ExprunError: a run cannot be trusted, or is missing in a mode that never trains.
        """
        wanted = [(self.asked(each.control, each), each) for each in controls(found.declaration)]
        together = []
        for asked, each in wanted:
            missing = self.runs.missing(asked, each.baseline_seeds, self.check(each))
            if missing:
                self.announce([self.runs.plan(asked, each.baseline_seeds)])
            together += [(asked, seed) for seed in missing]
        self.runs.train(together)
        return self._told(found)

    def _is_stored(self, control: Experiment) -> bool:
        asked, seeds = self.asked(control.control, control), control.baseline_seeds
        there = asked.ground.store.seeds(
            asked.variant.slug, asked.key
        )  # of most sessions none are, and a plan would look further
        return set(seeds) <= set(there) and not self.runs.plan(asked, seeds).missing

    def _told(self, found: Comparison) -> Comparison:
        declared = found.declaration
        half, double = (self._arm(each) for each in controls(declared))
        check_same_measurement(half.runs, found.baseline.runs, double.runs, found.experiment.runs)
        check_places(declared.metric, declared.budget.unit, half, double)
        return replace(found, speedup=speedup_of(declared, (half, found.baseline, double), found.experiment))

    def _arm(self, control: Experiment) -> Arm:
        asked = self.asked(control.control, control)
        return Arm(control.control, self.runs.get(asked, control.baseline_seeds, self.check(control)))


def controls(declared: Experiment) -> list[Experiment]:
    """Return the control at half and at twice the budget, each as an experiment that equals its control: it asks no question."""
    half, _, double = scaled(declared.budget)
    return [replace(declared, variant=declared.control, diff=None, budget=budget) for budget in (half, double)]
