"""From declared experiments to comparisons: which runs stand, which are trained, when a verdict falls. Knows no pytest.

A study remembers everything for its session: an arm is asked for once however many tests share it, and a run that failed fails the next
test that needs it at once instead of training again.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pytest_exprun.running.executors.contract import Executor
from pytest_exprun.study.ahead import train_ahead
from pytest_exprun.study.runs import ArmPlan, Asked, RunObserver, Runs
from pytest_exprun.terms.errors import ExprunError, TrainerError
from pytest_exprun.terms.model import FIRST_LOOK, Arm, Budget, Experiment, RunSpec, Variant, Verdict
from pytest_exprun.terms.settings import Settings
from pytest_exprun.trust.identity.fingerprint import Fingerprinter
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.store.store import Store
from pytest_exprun.verdict.comparison import Comparison, compare, decide
from pytest_exprun.verdict.rules import Judgement, judge_non_inferior


class Observer(RunObserver, Protocol):
    """Who is told what happens, while it happens."""

    def arm_complete(self, arm: Arm, role: str) -> None:
        """All seeds of a baseline or control arm stand."""

    def compared(self, comparison: Comparison) -> None:
        """A verdict fell."""


@dataclass(frozen=True)
class GateResult:
    """Whether a comparison passes a gate, and why."""

    name: str
    passed: bool
    reason: str


_VERDICT_GATES = {
    "not_loser": (Verdict.WINNER, Verdict.NEUTRAL),
    "winner": (Verdict.WINNER,),
    "loser": (Verdict.LOSER,),
}


@dataclass
class Study:
    """Runs the experiments of one session.

    Attributes:
        declared: everything selected, for the check of flags and the outlook.
        beside: other processes of this session that train for the same store.
        identity: what these processes have in common, if there are any.
    """

    settings: Settings
    store: Store
    fingerprinter: Fingerprinter
    executor: Executor
    observer: Observer
    declared: list[Experiment] = field(default_factory=list)
    beside: int = 0
    identity: str = ""
    _comparisons: dict[str, Comparison | ExprunError] = field(default_factory=dict)
    _rejected: dict[str, str] | ExprunError | None = None
    _looked_ahead: bool = False
    _announced: set[str] = field(default_factory=set)
    _arms: dict[tuple[object, ...], Arm] = field(default_factory=dict)
    _judged: dict[tuple[str, tuple[int, ...]], Judgement] = field(default_factory=dict)
    _keys: dict[tuple[Variant, Budget, tuple[str, ...]], Key] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.runs = Runs(
            self.settings,
            self.store,
            self.fingerprinter,
            self.executor,
            self.observer,
            self.identity if self.beside else "",
        )

    def compare(self, experiment: Experiment) -> Comparison:
        """Return the comparison, training what is missing.

        Raises:
            ExprunError: a run cannot be trusted, is missing in a mode that never trains, or the numbers allow no verdict.
        """
        known = self._comparisons.get(experiment.comparison_id)
        if known is None:
            self._look_ahead(experiment)
            try:
                known = self._compare(experiment)
            except ExprunError as error:
                known = error
            self._comparisons[experiment.comparison_id] = known
            if isinstance(known, Comparison):
                self.observer.compared(known)
        if isinstance(known, ExprunError):
            raise known
        return known

    def _look_ahead(self, experiment: Experiment) -> None:
        """Give an executor that performs several runs at once everything selected, and a process beside others what it may need next."""
        if self.settings.mode not in {"run", "refresh"}:
            return
        several = self.settings.jobs > 1 or self.settings.executor not in {"inprocess", "processes"}
        if several and not self._looked_ahead:
            self._looked_ahead = True
            train_ahead(self, self.declared)
        elif self.beside:
            # Rather than wait for a baseline seed that another process trains, it goes on with the experiment's.
            train_ahead(self, [experiment])

    def missing(self, variant: Variant, seeds: Sequence[int], experiment: Experiment) -> tuple[Asked, list[int]]:
        """Return what an arm needs to be trained, for `Runs.train`; the errors are those of `arm`."""
        asked = self._asked(variant, experiment)
        return asked, self.runs.missing(asked, seeds, lambda: self._check_flags(experiment))

    def needs(self, experiment: Experiment) -> tuple[int, ...]:
        """Return the seeds that an experiment needs after its first look; the errors are those of `compare`."""
        baseline = self.arm(experiment.control, experiment.baseline_seeds, experiment)
        return self._decide(experiment, baseline, experiment.seeds[:FIRST_LOOK]).needs

    def _compare(self, experiment: Experiment) -> Comparison:
        if experiment.variant.identity == experiment.control.identity:
            raise TrainerError(
                f"experiment {experiment.name} equals its control ({experiment.control}): there is nothing to compare"
            )
        baseline = self.arm(experiment.control, experiment.baseline_seeds, experiment)
        arm = self._until_decided(experiment, baseline)
        return compare(experiment, baseline, arm)

    def _until_decided(self, experiment: Experiment, baseline: Arm) -> Arm:
        """Train the experiment's seeds until its rule has its verdict."""
        seeds = experiment.seeds[:FIRST_LOOK]
        while True:
            judgement = self._decide(experiment, baseline, seeds)
            if judgement.verdict is not None:
                return self.arm(experiment.variant, seeds, experiment)
            assert judgement.needs, "a rule that has no verdict must say which seeds it needs"
            seeds = (*seeds, *judgement.needs)

    def _decide(self, experiment: Experiment, baseline: Arm, seeds: tuple[int, ...]) -> Judgement:
        asked = experiment.comparison_id, seeds
        if asked not in self._judged:
            self._judged[asked] = decide(experiment, baseline, self.arm(experiment.variant, seeds, experiment))
        return self._judged[asked]

    def gate(self, comparison: Comparison, gate: str) -> GateResult:
        """Judge a comparison by a declared gate; `non_inferior` may train the seeds of its own second look."""
        if gate in _VERDICT_GATES:
            allowed = _VERDICT_GATES[gate]
            wanted = " or ".join(map(str, allowed))
            passed = comparison.verdict in allowed
            return GateResult(gate, passed, f"the verdict is {comparison.verdict}, the gate wants {wanted}")
        if gate == "identical":
            same = comparison.judgement.kind == "identical"
            return GateResult(
                gate,
                same,
                "every seed equals the control's" if same else "the change must not matter, yet the seeds differ",
            )
        return self._non_inferior_gate(comparison.declaration)

    def _non_inferior_gate(self, experiment: Experiment) -> GateResult:
        metric = experiment.metric
        baseline = self.arm(experiment.control, experiment.baseline_seeds, experiment)
        seeds = experiment.seeds[:FIRST_LOOK]
        while True:
            judged = judge_non_inferior(
                baseline.values(metric),
                self.arm(experiment.variant, seeds, experiment).values(metric),
                lower_is_better=experiment.lower_is_better,
                plan=experiment.seeds,
            )
            if judged.passed is not None:
                return GateResult("non_inferior", judged.passed, judged.reason)
            seeds = (*seeds, *judged.needs)

    def arm(self, variant: Variant, seeds: Sequence[int], experiment: Experiment) -> Arm:
        """Return an arm with just these seeds, from the store or trained.

        Raises:
            ExprunError: as `Runs.get`; for the experiment's own control also one that nothing can be judged against.
        """
        asked = self._asked(variant, experiment)
        known = variant, asked.key.digest, tuple(seeds), experiment.metric, asked.role
        if known not in self._arms:
            runs = self.runs.get(asked, seeds, lambda: self._check_flags(experiment))
            self._arms[known] = self._checked(Arm(variant, runs), asked)
        return self._arms[known]

    def _checked(self, arm: Arm, asked: Asked) -> Arm:
        if asked.role != "exp":
            self._check_control(arm, asked)
            if asked.key.digest not in self._announced:
                self._announced.add(asked.key.digest)
                self.observer.arm_complete(arm, asked.role)
        return arm

    def _asked(self, variant: Variant, experiment: Experiment) -> Asked:
        arm = variant, experiment.budget, experiment.common_args
        key = self._keys.get(arm) or self._keys.setdefault(arm, self.fingerprinter.key(*arm))
        role = self.role(variant, experiment.control)
        return Asked(key, variant, experiment.common_args, experiment.budget, experiment.metric, role)

    def role(self, variant: Variant, control: Variant) -> str:
        """What an arm is in a comparison with this control; in another it may be something else, so no record depends on it."""
        if variant.identity != control.identity:
            return "exp"
        return "baseline" if variant.identity == self.settings.default_control.identity else "control"

    def _check_control(self, arm: Arm, asked: Asked) -> None:
        """Refuse a control that no experiment can be judged against, in words about the trainer."""
        values = arm.values(asked.metric)
        diverged = [str(seed) for seed, value in values.items() if not math.isfinite(value)]
        if diverged:
            raise TrainerError(
                f"the {asked.role} diverged: {asked.metric} of {arm.variant} is not finite at seed {', '.join(diverged)}. "
                f"Nothing can be judged against it; make the {asked.role} stable first"
            )
        if len(set(values.values())) == 1:
            cause = (
                "seems to ignore its seed, or prints too few digits"
                if self.settings.command
                else "seems to ignore --seed"
            )
            raise TrainerError(
                f"all {len(values)} seeds of the {asked} gave {asked.metric} = {next(iter(values.values()))!r}: "
                f"{self.settings.trained_by} {cause}, so its noise is unknown and no verdict is possible"
            )

    def _check_flags(self, experiment: Experiment) -> None:
        """Before the first run, ask the trainer about the flags of everything selected; refuse `experiment` if its own are wrong."""
        if self._rejected is None:
            try:
                self._rejected = self._ask_trainer(self.declared or [experiment])
            except ExprunError as error:
                self._rejected = error
        if isinstance(self._rejected, ExprunError):
            raise self._rejected
        if experiment.comparison_id in self._rejected:
            raise TrainerError(self._rejected[experiment.comparison_id])

    def _ask_trainer(self, declared: Sequence[Experiment]) -> dict[str, str]:
        """Return why experiments cannot run, by comparison; says so at once."""
        specs = [RunSpec(each.variant, each.seeds[0], each.budget, each.common_args) for each in declared]
        answers = zip(declared, self.executor.rejects(specs), strict=True)
        rejected = {
            each.comparison_id: f"experiment {each.name} ({each.variant}): {why}" for each, why in answers if why
        }
        for text in rejected.values():
            self.observer.say(f"error ahead: {text}")
        return rejected

    def plan(self, variant: Variant, seeds: Sequence[int], experiment: Experiment, *, optional: int = 0) -> ArmPlan:
        """Say what an arm needs, without training or importing anything."""
        return self.runs.plan(self._asked(variant, experiment), seeds, optional=optional)

    def plans(self) -> list[ArmPlan]:
        """Return one plan an arm of everything selected, controls first."""
        arms: dict[str, ArmPlan] = {}
        for experiment in self.declared:
            key = self._asked(experiment.control, experiment).key
            if key.digest not in arms:
                arms[key.digest] = self.plan(experiment.control, experiment.baseline_seeds, experiment)
        for experiment in self.declared:
            key = self._asked(experiment.variant, experiment).key
            if key.digest not in arms:
                seeds = self._seeds_in_view(experiment)
                optional = len(seeds[FIRST_LOOK:])
                arms[key.digest] = self.plan(experiment.variant, seeds, experiment, optional=optional)
        return list(arms.values())

    def _seeds_in_view(self, experiment: Experiment) -> tuple[int, ...]:
        """Return the seeds that an experiment may come to need: all of them, unless a plan finds that what is stored has decided it."""
        if self.settings.mode != "plan" or experiment.gate == "non_inferior":
            return experiment.seeds
        control, seeds = (experiment.control, experiment.baseline_seeds), experiment.seeds[:FIRST_LOOK]
        with contextlib.suppress(ExprunError):
            while not any(self.plan(*arm, experiment).missing for arm in (control, (experiment.variant, seeds))):
                judgement = self._decide(experiment, self.arm(*control, experiment), seeds)
                if judgement.verdict is not None:
                    return seeds
                seeds = (*seeds, *judgement.needs)
        return experiment.seeds
