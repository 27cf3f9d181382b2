"""From declared experiments to comparisons: which runs stand, which are trained, when a verdict falls. Knows no pytest.

A study remembers everything for its session: an arm is asked for once however many tests share it, and a run that failed fails the next
test that needs it at once instead of training again.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from pytest_exprun.report.values import recorded
from pytest_exprun.running.executors.contract import Executor
from pytest_exprun.running.options.seed_use import doubts
from pytest_exprun.settings.settings import IN_TURN, Settings
from pytest_exprun.study.arms.asked import ArmPlan, Asked, RunObserver
from pytest_exprun.study.arms.runs import Runs
from pytest_exprun.study.confirming import Confirming
from pytest_exprun.study.flags import Flags
from pytest_exprun.study.gates import GateResult, judge_gate, needs_all_seeds
from pytest_exprun.study.speeding import Speeding, controls
from pytest_exprun.terms.errors import ExprunError, StoreError, TrainerError
from pytest_exprun.terms.model import FIRST_LOOK, Budget, Experiment, Variant, shortens
from pytest_exprun.terms.outcome import Arm, Verdict
from pytest_exprun.terms.sameness import difference
from pytest_exprun.trust.identity.fingerprint import Fingerprinter
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.ledger.confirmations import Confirmations
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.ledger.questions import Question, Questions
from pytest_exprun.trust.store.store import Store
from pytest_exprun.trust.trees.ground import Grounds
from pytest_exprun.verdict.comparison import Comparison, compare, decide
from pytest_exprun.verdict.confirmation import Confirmation
from pytest_exprun.verdict.rules import Judgement

MOST_NAMED = 3


class Observer(RunObserver, Protocol):
    """Who is told what happens, while it happens."""

    def arm_complete(self, arm: Arm, role: str) -> None:
        """All seeds of a baseline or control arm stand."""

    def compared(self, comparison: Comparison) -> None:
        """A verdict fell, or fresh seeds were asked about it."""

    def more_to_train(self, plans: Sequence[ArmPlan]) -> None:
        """Fresh seeds are about to be trained, which nobody counted."""


@dataclass
class Study:
    """Runs the experiments of one session.

    Attributes:
        declared: everything selected, for the check of flags and the outlook.
        beside: other processes of this session that train for the same store.
        identity: what these processes have in common, if there are any.
    """

    settings: Settings
    grounds: Grounds
    executor: Executor
    observer: Observer
    declared: list[Experiment] = field(default_factory=list)
    beside: int = 0
    identity: str = ""
    _comparisons: dict[str, Comparison | ExprunError] = field(default_factory=dict)
    _looked_ahead: bool = False
    _announced: set[str] = field(default_factory=set)
    _arms: dict[tuple[object, ...], Arm] = field(default_factory=dict)
    _judged: dict[tuple[str, tuple[int, ...]], Judgement] = field(default_factory=dict)
    _keys: dict[tuple[Variant, Budget, tuple[str, ...]], Key] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._flags = Flags(self.executor, self.grounds, self.observer, self.settings.default_control)
        self.runs = Runs(
            self.settings,
            self.grounds,
            self.executor,
            self.observer,
            self.identity if self.beside else "",
        )
        ledger = Ledger(self.store.root, self.store.fs)
        self._questions = Questions(ledger, self.settings)
        self._confirming = Confirming(
            Confirmations(ledger),
            self.runs,
            self.settings.mode,
            self._asked,
            self.question,
            self._flag_check,
            self.observer.more_to_train,
        )
        self._speeding = Speeding(self.runs, self._asked, self._flag_check, self.observer.more_to_train)

    @property
    def store(self) -> Store:
        """The store, as the session's own files see it."""
        return self.grounds.here.store

    @property
    def fingerprinter(self) -> Fingerprinter:
        """What makes the keys of the session's own files."""
        return self.grounds.here.fingerprinter

    def compare(self, experiment: Experiment) -> Comparison:
        """Return the comparison, training what is missing.

        Raises:
            ExprunError: a run cannot be trusted, is missing in a mode that never trains, or the numbers allow no verdict.
        """
        known = self._comparisons.get(experiment.comparison_id)
        if known is None:
            with self._questions.interruptible():
                self._look_ahead(experiment)
                try:
                    known = self._compare(experiment)
                except ExprunError as error:
                    known = error
            self._comparisons[experiment.comparison_id] = known
            self._note(experiment, known)
            if isinstance(known, Comparison):
                known = self._comparisons[experiment.comparison_id] = self._known(known)
                self.observer.compared(known)
        if isinstance(known, ExprunError):
            raise known
        if experiment.speedup:
            known = self.speedup(known)
        if experiment.confirm and known.verdict is Verdict.WINNER:
            return self.confirm(known)
        return known

    def _known(self, found: Comparison) -> Comparison:
        """Return a comparison with what else was asked of it before. What keeps that from being known costs no verdict."""
        try:
            return self._speeding.known(self._confirming.known(found))
        except ExprunError as error:
            self.observer.notice(f"what else was asked of {found.name} is not known: {error}")
            return found

    def confirm(self, found: Comparison) -> Comparison:
        """Return a WINNER with what fresh seeds say of it, training what is missing; the second answer is the first.

        Raises:
            ExprunError: it is no WINNER, a run cannot be trusted, or is missing in a mode that never trains.
        """
        if found.confirmation is None:
            found = self._comparisons[found.declaration.comparison_id] = self._confirming.confirm(found)
            self.observer.compared(found)
        return found

    def measure(self, ends: Experiment, content: Mapping[str, Any], count: int) -> Confirmation:
        """Return how much better one state is than another on fresh seeds, training what is missing; the second answer is the first.

        Raises:
            ExprunError: a run cannot be trusted, or the ledger cannot be written.
        """
        return self._confirming.measure(ends, content, count)

    def speedup(self, found: Comparison) -> Comparison:
        """Return a comparison with how fast it gets to its loss, training the control at half and twice the budget once.

        Raises:
            ExprunError: a run cannot be trusted, or is missing in a mode that never trains.
        """
        if found.speedup is None:
            found = self._comparisons[found.declaration.comparison_id] = self._speeding.measured(found)
            self.observer.compared(found)
        return found

    def _before_training(self, experiment: Experiment) -> None:
        """Check an experiment's flags, and note that it is asked: from here on runs are trained for it.

        Raises:
            ExprunError: it must not be trained, or the ledger cannot be written.
        """
        self._flags.check(experiment, self.declared)
        if experiment.variant.identity != experiment.control.identity:  # else it is a baseline alone, and no question
            self._questions.ask(self.question(experiment))

    def _note(self, experiment: Experiment, found: Comparison | ExprunError) -> None:
        """Note what became of an experiment. A full disk costs the line, never the verdict."""
        try:
            question = self.question(experiment)
            if isinstance(found, Comparison):
                self._questions.answer(question, recorded(found))
            elif not isinstance(found, StoreError):  # the ledger lies in the store that failed
                self._questions.fail(question, found)
        except StoreError as error:
            self.observer.not_saved(f"what became of {experiment.name} is not in the ledger: {error}")
        for text in self._questions.notices():
            self.observer.notice(text)

    def question(self, experiment: Experiment) -> Question:
        """Return what the ledger knows an experiment by."""
        keys: list[Key | None] = [None, None]
        for place, arm in enumerate((experiment.control, experiment.variant)):
            with contextlib.suppress(ExprunError):
                keys[place] = self._asked(arm, experiment).key
        return Question(experiment, (keys[0], keys[1]))

    def differs_in_nothing(self, experiment: Experiment) -> str:
        """Say why two states of the code need not be compared: nothing that a run depends on differs. Empty if they must be.

        Raises:
            ExprunError: what one of them depends on cannot be told.
        """
        if experiment.diff is None or experiment.diff.refused:
            return ""
        keys = [self._asked(arm, experiment).key for arm in (experiment.control, experiment.variant)]
        files = [name for name, *_ in experiment.diff.files]
        named = ", ".join(files[:MOST_NAMED]) + (", ..." if files[MOST_NAMED:] else "")
        is_code = any(keys[0].has_source(name) for name in files)
        changed = f"no run depends on what changed ({named}{'; comments and layout do not count' if is_code else ''})"
        return "" if keys[0] != keys[1] else changed if files else "no file differs"

    def _look_ahead(self, experiment: Experiment) -> None:
        """Give an executor that performs several runs at once everything selected, and a process beside others what it may need next.

        One test after the other would keep a cluster waiting: an arm has three seeds. Verdicts do not change by it, and an error is raised
        by the test that needs the run, as always.
        """
        if self.settings.mode not in {"run", "refresh"}:
            return
        if self.settings.several_at_once and not self._looked_ahead:
            self._looked_ahead = True
            self._train_ahead(self.declared)
        elif self.beside or self.settings.order == IN_TURN:
            # Rather than wait for a baseline seed that another process trains, it goes on with the experiment's.
            self._train_ahead([experiment])

    def _train_ahead(self, experiments: Sequence[Experiment]) -> None:
        """Train the runs that nothing can be decided without, then round by round those that the undecided experiments need besides."""
        experiments = [each for each in experiments if self._may_be_judged(each)]
        first = [(each.control, each.baseline_seeds, each) for each in experiments]
        # In turn with the control's, not where each may be the last.
        in_turn = self.settings.order == IN_TURN
        waiting = [
            (each.variant, each.seeds[:FIRST_LOOK] if in_turn else each.first_seeds, each) for each in experiments
        ]
        self._train_together([*first, *waiting])
        while waiting:
            waiting = [
                (arm, (*seeds, *more), each) for arm, seeds, each in waiting if (more := self._needs(each, seeds))
            ]
            self._train_together(waiting)

    def _needs(self, experiment: Experiment, seeds: tuple[int, ...]) -> tuple[int, ...]:
        """Return the seeds that an experiment needs besides these; none of one that failed, whose test raises the error."""
        with contextlib.suppress(ExprunError):
            baseline = self.arm(experiment.control, experiment.baseline_seeds, experiment)
            return self._decide(experiment, baseline, seeds).needs
        return ()

    def _may_be_judged(self, experiment: Experiment) -> bool:
        if experiment.diff is None:
            return experiment.variant.identity != experiment.control.identity
        with contextlib.suppress(ExprunError):
            return not experiment.diff.refused and not self.differs_in_nothing(experiment)
        return False  # its error is raised by its own test

    def _train_together(self, wanted: Sequence[tuple[Variant, Sequence[int], Experiment]]) -> None:
        """Train what is missing of these arms, in one go."""
        together: list[tuple[Asked, int]] = []
        known: dict[object, set[int]] = {}
        broken: set[str] = set()
        for variant, seeds, experiment in wanted:
            arm = known.setdefault((variant.identity, experiment.common_args, experiment.budget), set())
            if experiment.comparison_id in broken or arm.issuperset(seeds):
                continue
            try:
                asked = self._asked(variant, experiment)
                missing = self.runs.missing(asked, seeds, partial(self._before_training, experiment))
            except ExprunError:
                # Controls come first: without one nothing else of the comparison need be trained.
                broken.add(experiment.comparison_id)
                continue
            together += [(asked, seed) for seed in missing]
            arm.update(seeds)
        if (
            self.settings.order == IN_TURN
        ):  # seed by seed, the control first; what else a seed is trained for stays together
            turns = list(dict.fromkeys(seed for _, seeds, _ in wanted for seed in seeds))
            together.sort(key=lambda one: turns.index(one[1]))
        self.runs.train(together)

    def _flag_check(self, experiment: Experiment) -> Callable[[], None]:
        return partial(self._flags.check, experiment, self.declared)

    def _compare(self, experiment: Experiment) -> Comparison:
        self._check_allowed(experiment)
        if experiment.variant.identity == experiment.control.identity:
            raise TrainerError(
                f"experiment {experiment.name} equals its control ({experiment.control}): there is nothing to compare"
            )
        baseline = self.arm(experiment.control, experiment.baseline_seeds, experiment)
        arm = self._until_decided(experiment, baseline)
        found = compare(experiment, baseline, arm)
        if found.verdict is not Verdict.NEUTRAL:
            self._refuse_one_draw(found)
        return found

    def _refuse_one_draw(self, found: Comparison) -> None:
        """Refuse a finding on seeds that all gave one and the same run: a single draw, whose luck is no effect of the change."""
        first, *others = found.experiment
        values = found.experiment.values(found.metric)
        if (
            others
            and math.isfinite(values[first.spec.seed])
            and not any(difference(first, run, found.metric) for run in others)
        ):
            raise TrainerError(
                f"all {len(values)} seeds of {found.name} gave one and the same run, {found.metric} = {values[first.spec.seed]!r}: with "
                f"this change {self.settings.trained_by} seems to ignore its seed, so its noise is unknown and no verdict is possible"
            )

    def _check_allowed(self, experiment: Experiment) -> None:
        if experiment.diff is not None and experiment.diff.refused:
            raise TrainerError(experiment.diff.refused)

    def _until_decided(self, experiment: Experiment, baseline: Arm) -> Arm:
        """Train the experiment's seeds until its rule has its verdict."""
        seeds = experiment.first_seeds
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
        declared = comparison.declaration
        try:
            return judge_gate(
                gate, comparison, lambda seeds: self.arm(declared.variant, seeds, declared).values(declared.metric)
            )
        finally:
            if self._questions.waits(self.question(declared)):  # seeds of the gate alone were trained for it
                self._note(declared, comparison)

    def arm(self, variant: Variant, seeds: Sequence[int], experiment: Experiment) -> Arm:
        """Return an arm with just these seeds, from the store or trained.

        Raises:
            ExprunError: as `Runs.get`; for the experiment's own control also one that nothing can be judged against.
        """
        reserved = self.settings.reserved
        if any(shortens(token, reserved) for token in (*experiment.common_args, *experiment.variant.flags)):
            # Also where all runs are stored: an arm that trained longer must not be judged.
            self._flag_check(experiment)()
        asked = self._asked(variant, experiment)
        known = variant, asked.key.digest, tuple(seeds), experiment.metric, asked.role
        if known not in self._arms:
            runs = self.runs.get(asked, seeds, partial(self._before_training, experiment))
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
        ground = self.grounds.of(variant)
        key = self._keys.get(arm) or self._keys.setdefault(arm, ground.fingerprinter.key(*arm))
        role = self.role(variant, experiment.control)
        on_trial = role == "exp" and variant.tree != experiment.control.tree
        return Asked(ground, key, variant, experiment.common_args, experiment.budget, experiment.metric, role, on_trial)

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
                else "seems to ignore its seed, or the metric is too coarse to show it"
            )
            raise TrainerError(
                f"all {len(values)} seeds of the {asked} gave {asked.metric} = {next(iter(values.values()))!r}: "
                f"{self.settings.trained_by} {cause}, so its noise is unknown and no verdict is possible"
            )

    def plan(self, variant: Variant, seeds: Sequence[int], experiment: Experiment, *, optional: int = 0) -> ArmPlan:
        """Say what an arm needs, without training or importing anything."""
        return self.runs.plan(self._asked(variant, experiment), seeds, optional=optional)

    def refusals(self) -> list[str]:
        """Take out the experiments that a session would refuse, as far as their sources tell, and return why."""
        found: dict[str, None] = {}
        for experiment in list(self.declared):
            try:
                self._check_state(experiment)
                self._flag_check(experiment)()
            except ExprunError as error:
                found[str(error)] = None
                self.declared.remove(experiment)
        return list(found)

    def _check_state(self, experiment: Experiment) -> None:
        """Refuse a state of the code that may not be judged, or that no run could be told of: there is no trainer in it.

        Raises:
            ExprunError: it says so to the observer too.
        """
        if experiment.diff is None:
            return
        try:
            self._check_allowed(experiment)
            self.differs_in_nothing(experiment)
        except ExprunError as error:
            self.observer.say(f"error ahead: {error}")
            raise

    def seed_doubts(self) -> list[str]:
        """Return what the sources say against the seeds: that of a run may not matter."""
        found: dict[str, None] = {}
        for ground in {id(each): each for each in (self.grounds.of(one.control) for one in self.declared)}.values():
            with contextlib.suppress(ExprunError):
                found |= dict.fromkeys(doubts(self.settings, ground.fingerprinter.sources, ground.fingerprinter.main))
        return list(found)

    def plans(self, *, of_broken: bool = True) -> list[ArmPlan]:
        """Return one plan an arm of everything selected, controls first; of diffs that change nothing none.

        Raises:
            ExprunError: what an arm depends on cannot be told; without `of_broken` that arm is left out.
        """
        arms: dict[str, ArmPlan] = {}
        for plan in (self._plan_control, self._plan_variant):
            for each in self.declared:
                with contextlib.suppress(*[ExprunError] * (not of_broken)):
                    if each.diff is None or not self.differs_in_nothing(each):
                        plan(each, arms)
        for each in (
            self.declared if self.settings.mode == "plan" else ()
        ):  # a session counts them when it comes to them
            for control in controls(each) if each.speedup else ():
                with contextlib.suppress(*[ExprunError] * (not of_broken)):
                    self._plan_control(control, arms)
        return list(arms.values())

    def _plan_control(self, experiment: Experiment, arms: dict[str, ArmPlan]) -> None:
        key = self._asked(experiment.control, experiment).key
        if key.digest not in arms:
            arms[key.digest] = self.plan(experiment.control, experiment.baseline_seeds, experiment)

    def _plan_variant(self, experiment: Experiment, arms: dict[str, ArmPlan]) -> None:
        key = self._asked(experiment.variant, experiment).key
        if key.digest not in arms:
            seeds, sure = self._seeds_in_view(experiment)
            arms[key.digest] = self.plan(experiment.variant, seeds, experiment, optional=len(seeds[sure:]))

    def differing_in_nothing(self) -> list[str]:
        """Return one line for each of what was selected that needs no run of its own, as its control stands for it."""
        said = {experiment.name: self.differs_in_nothing(experiment) for experiment in self.declared}
        return [f"{name}: nothing to compare: {why}" for name, why in said.items() if why]

    def _seeds_in_view(self, experiment: Experiment) -> tuple[tuple[int, ...], int]:
        """Return the seeds that an experiment may come to need, and how many of them it needs for certain.

        All of them, unless a plan finds that what is stored has decided it.
        """
        if self.settings.mode != "plan" or needs_all_seeds(experiment.gate):
            return experiment.seeds, len(experiment.first_seeds)
        control, seeds = (experiment.control, experiment.baseline_seeds), experiment.first_seeds
        with contextlib.suppress(ExprunError):
            while not any(self.plan(*arm, experiment).missing for arm in (control, (experiment.variant, seeds))):
                judgement = self._decide(experiment, self.arm(*control, experiment), seeds)
                if judgement.verdict is not None:
                    return seeds, len(seeds)
                seeds = (*seeds, *judgement.needs)
        return experiment.seeds, len(seeds)
