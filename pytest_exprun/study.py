"""From declared experiments to comparisons: which runs stand, which are trained, when a verdict falls. Knows no pytest.

A study remembers everything for its session: an arm is asked for once however many tests share it, and a run that failed fails the next
test that needs it at once instead of training again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pytest_exprun.comparison import Comparison, compare, decide
from pytest_exprun.errors import ExprunError, MissingRunError, StoreError, TrainerError
from pytest_exprun.executors import Executor
from pytest_exprun.fingerprint import Fingerprinter, Key
from pytest_exprun.model import FIRST_LOOK, Arm, CurvePoint, Experiment, RunResult, RunSpec, Variant, Verdict
from pytest_exprun.rules import Judgement, judge_non_inferior
from pytest_exprun.settings import Settings
from pytest_exprun.store import NotReproducible, Store
from pytest_exprun.trainers import require_metric


class Observer(Protocol):
    """Who is told what happens, while it happens."""

    def arm_incomplete(self, arm: ArmPlan) -> None:
        """Some seeds of an arm must be trained."""

    def run_progressed(self, spec: RunSpec, point: CurvePoint) -> None:
        """A run printed a progress line."""

    def run_finished(self, result: RunResult, role: str, old: RunResult | None) -> None:
        """A run was trained; `old` is the record it replaces in refresh mode."""

    def arm_complete(self, arm: Arm, role: str) -> None:
        """All seeds of a baseline or control arm stand."""

    def compared(self, comparison: Comparison) -> None:
        """A verdict fell."""

    def say(self, text: str) -> None:
        """Something to read while waiting."""

    def notice(self, text: str) -> None:
        """Something the user must know that is no error of a test."""


@dataclass(frozen=True)
class ArmPlan:
    """What an arm needs: `stored` and `missing` seeds, `why` stored runs of another key do not stand, seconds a run took so far."""

    variant: Variant
    role: str
    stored: tuple[int, ...]
    missing: tuple[int, ...]
    why: str = ""
    seconds: float | None = None
    optional: int = 0


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
    """Runs the experiments of one session. `declared` is everything selected, for the check of flags and the outlook."""

    settings: Settings
    store: Store
    fingerprinter: Fingerprinter
    executor: Executor
    observer: Observer
    declared: list[Experiment] = field(default_factory=list)
    unsaved: list[str] = field(default_factory=list)
    _results: dict[tuple[str, int], RunResult | ExprunError] = field(default_factory=dict)
    _comparisons: dict[str, Comparison | ExprunError] = field(default_factory=dict)
    _rejected: dict[str, str] | None = None
    _refreshed: dict[str, dict[int, RunResult]] = field(default_factory=dict)
    _announced: set[str] = field(default_factory=set)
    trained: int = 0

    def compare(self, experiment: Experiment) -> Comparison:
        """Return the comparison, training what is missing.

        Raises:
            ExprunError: a run cannot be trusted, is missing in a mode that never trains, or the numbers allow no verdict.
        """
        known = self._comparisons.get(experiment.comparison_id)
        if known is None:
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

    def _compare(self, experiment: Experiment) -> Comparison:
        if experiment.variant.identity == experiment.control.identity:
            raise TrainerError(
                f"experiment {experiment.name} equals its control ({experiment.control}): there is nothing to compare"
            )
        baseline = self.arm(experiment.control, experiment.baseline_seeds, experiment)
        arm = self._until_decided(experiment, baseline)
        return compare(experiment, baseline.runs, arm.runs)

    def _until_decided(self, experiment: Experiment, baseline: Arm) -> Arm:
        """Train the experiment's seeds until its rule has its verdict."""
        seeds = experiment.seeds[:FIRST_LOOK]
        while True:
            arm = self.arm(experiment.variant, seeds, experiment)
            judgement: Judgement = decide(experiment, baseline, arm)
            if judgement.verdict is not None:
                return arm
            assert judgement.needs, "a rule that has no verdict must say which seeds it needs"
            seeds = (*seeds, *judgement.needs)

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
        """Return an arm with just these seeds, from the store or trained."""
        key = self._key(variant, experiment)
        role = self.role(variant)
        self._load(key, variant, seeds, experiment)
        missing = [seed for seed in seeds if (key.digest, seed) not in self._results]
        if missing:
            self._train(key, variant, missing, experiment)
        runs = []
        for seed in seeds:
            result = self._results[key.digest, seed]
            if isinstance(result, ExprunError):
                raise result
            require_metric(result, experiment.metric, self.settings.trainer)
            runs.append(result)
        arm = Arm(variant, tuple(runs))
        if role != "exp":
            self._check_baseline(arm, experiment)
            if key.digest not in self._announced:
                self._announced.add(key.digest)
                self.observer.arm_complete(arm, role)
        return arm

    def role(self, variant: Variant) -> str:
        """What an arm is in this session; only names and reports depend on it, never a record."""
        if variant.identity == self.settings.default_control.identity:
            return "baseline"
        controls = {experiment.control.identity for experiment in self.declared}
        return "control" if variant.identity in controls else "exp"

    def _check_baseline(self, arm: Arm, experiment: Experiment) -> None:
        """Refuse a baseline that no experiment can be judged against, in words about the trainer."""
        values = arm.values(experiment.metric)
        diverged = [str(seed) for seed, value in values.items() if not math.isfinite(value)]
        if diverged:
            raise TrainerError(
                f"the baseline diverged: {experiment.metric} of {arm.variant} is not finite at seed {', '.join(diverged)}. "
                "Nothing can be judged against it; make the baseline stable first"
            )
        if len(set(values.values())) == 1:
            raise TrainerError(
                f"all {len(values)} seeds of {arm.variant} gave {experiment.metric} = {next(iter(values.values()))!r}: "
                f"the trainer {self.settings.trainer} seems to ignore --seed, so its noise is unknown and no verdict is possible"
            )

    def _key(self, variant: Variant, experiment: Experiment) -> Key:
        return self.fingerprinter.key(variant, experiment.budget, experiment.common_args)

    def _load(self, key: Key, variant: Variant, seeds: Iterable[int], experiment: Experiment) -> None:
        """Take what the store has; in refresh mode an arm's records are first set aside, once."""
        if self.settings.mode == "refresh" and key.digest not in self._refreshed:
            self._check_flags(experiment)
            self._refreshed[key.digest] = self.store.supersede(variant.slug, key)
        for seed in seeds:
            if (key.digest, seed) not in self._results:
                stored = self.store.load(variant.slug, key, seed)
                if stored is not None:
                    self._results[key.digest, seed] = stored
        self._tell_store_notices()

    def _tell_store_notices(self) -> None:
        while self.store.notices:
            self.observer.notice(self.store.notices.pop(0))

    def _train(self, key: Key, variant: Variant, seeds: Sequence[int], experiment: Experiment) -> None:
        """Train the seeds and record each as it finishes."""
        plan = self.plan(variant, (*self._stored_seeds(key), *seeds), experiment)
        if self.settings.mode == "frozen":
            raise MissingRunError(_frozen_message(plan, experiment))
        self._check_flags(experiment)
        self.store.check_writable()
        self.observer.arm_incomplete(plan)
        specs = [RunSpec(variant, seed, experiment.budget, experiment.common_args) for seed in seeds]
        for result in self._performed(key, specs, plan.role):
            self._record(key, result, plan.role)
            require_metric(result, experiment.metric, self.settings.trainer)

    def _performed(self, key: Key, specs: Sequence[RunSpec], role: str) -> Iterator[RunResult]:
        """Yield the results of the runs; what a failed one raises is remembered for its seed."""
        pending = [spec.seed for spec in specs]
        try:
            for result in self.executor.run(specs, role, self.observer.run_progressed):
                pending.remove(result.spec.seed)
                yield result
        except ExprunError as error:
            self._results[key.digest, pending[0]] = error
            raise

    def _stored_seeds(self, key: Key) -> list[int]:
        return [seed for digest, seed in self._results if digest == key.digest]

    def _record(self, key: Key, result: RunResult, role: str) -> None:
        """Store a finished run. A full disk costs the record, never the result."""
        seed = result.spec.seed
        try:
            self._check_sources(result)
            self.store.save(result, result.spec.variant.slug, key)
        except (TrainerError, NotReproducible) as error:
            self._results[key.digest, seed] = error
            raise
        except StoreError as error:
            self.unsaved.append(f"seed {seed} of {result.spec.variant} is not saved: {error}")
            self.observer.notice(self.unsaved[-1])
        self._results[key.digest, seed] = result
        self.trained += 1
        self._tell_store_notices()
        self.observer.run_finished(result, role, self._refreshed.get(key.digest, {}).get(seed))

    def _check_sources(self, result: RunResult) -> None:
        changed = self.fingerprinter.sources_changed()
        if changed:
            raise TrainerError(
                f"{', '.join(changed)} changed while seed {result.spec.seed} of {result.spec.variant} trained: the run is not stored, "
                "because nobody can say which code it ran. Start the session again"
            )

    def _check_flags(self, experiment: Experiment) -> None:
        """Before the first run, ask the trainer about the flags of everything selected; refuse `experiment` if its own are wrong."""
        if self._rejected is None:
            self._rejected = {}
            for declared in self.declared or [experiment]:
                spec = RunSpec(declared.variant, declared.seeds[0], declared.budget, declared.common_args)
                why = self.executor.rejects(spec)
                if why:
                    self._rejected[declared.comparison_id] = f"experiment {declared.name} ({declared.variant}): {why}"
                    self.observer.say(f"error ahead: {self._rejected[declared.comparison_id]}")
        if experiment.comparison_id in self._rejected:
            raise TrainerError(self._rejected[experiment.comparison_id])

    def plan(self, variant: Variant, seeds: Sequence[int], experiment: Experiment, *, optional: int = 0) -> ArmPlan:
        """Say what an arm needs, without training or importing anything."""
        key = self._key(variant, experiment)
        stored = {seed: self.store.load(variant.slug, key, seed) for seed in dict.fromkeys(seeds)}
        times = [
            run.provenance["wall_time"] for run in stored.values() if run is not None and "wall_time" in run.provenance
        ]
        missing = tuple(seed for seed, run in stored.items() if run is None)
        why: str = ""
        if missing and len(missing) == len(stored):
            others = self.store.neighbours(variant.slug, key)
            why = others[0].why(key) if others else ""
        return ArmPlan(
            variant=variant,
            role=self.role(variant),
            stored=tuple(seed for seed, run in stored.items() if run is not None),
            missing=missing,
            why=why,
            seconds=sum(times) / len(times) if times else None,
            optional=optional,
        )

    def plans(self) -> list[ArmPlan]:
        """Return one plan an arm of everything selected, controls first."""
        arms: dict[str, ArmPlan] = {}
        for experiment in self.declared:
            key = self._key(experiment.control, experiment)
            arms.setdefault(key.digest, self.plan(experiment.control, experiment.baseline_seeds, experiment))
        for experiment in self.declared:
            key = self._key(experiment.variant, experiment)
            if key.digest not in arms:
                first = experiment.seeds[:FIRST_LOOK]
                plan = self.plan(
                    experiment.variant, experiment.seeds, experiment, optional=len(experiment.seeds) - len(first)
                )
                arms[key.digest] = plan
        return list(arms.values())


def _frozen_message(plan: ArmPlan, experiment: Experiment) -> str:
    why = f" (stored runs do not stand: {plan.why})" if plan.why else ""
    return (
        f"frozen mode trains nothing, and seed {', '.join(map(str, plan.missing))} of {plan.variant} at {experiment.budget} "
        f"is not in the store{why}. Train it with --exprun-mode=run and commit the records"
    )
