"""Where the runs of an arm come from: this session's memory, the store, one run that proves that the others still stand, or training.

Nothing stands in silently: a record stands only for the key it was made under, or for one that a re-verified seed attests.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pytest_exprun.running.executors.contract import Executor, OnPoint, Task, failure
from pytest_exprun.running.options.seed_use import UNREAD, doubts
from pytest_exprun.running.training.lines import declared_clocks
from pytest_exprun.running.training.trainers import require_metric
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.arms.asked import ArmPlan, Asked, RunObserver
from pytest_exprun.study.arms.stale import StaleRuns
from pytest_exprun.terms.errors import ExprunError, MissingRunError, StoreError, TrainerError
from pytest_exprun.terms.model import RunSpec, Variant
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.terms.sameness import is_one_run, with_clocks
from pytest_exprun.terms.secrets import conceal_all
from pytest_exprun.trust.files.stray_writes import OUTPUTS, changed_while_read
from pytest_exprun.trust.files.unheard import Unheard
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.store.attempts import Attempts
from pytest_exprun.trust.store.locks import claimed, exclusive
from pytest_exprun.trust.store.store import TEMPORARY, NotReproducible, Store
from pytest_exprun.trust.trees.ground import Grounds


@dataclass
class Runs:
    """The runs of one session. `identity` is what its processes have in common, if there are several."""

    settings: Settings
    grounds: Grounds
    executor: Executor
    observer: RunObserver
    identity: str = ""
    _results: dict[tuple[str, int], RunResult | ExprunError] = field(default_factory=dict)
    _superseded: dict[str, dict[int, RunResult]] = field(default_factory=dict)
    _looked_back: set[str] = field(default_factory=set)
    _unfit: set[tuple[str, str]] = field(default_factory=set)
    _one_run: dict[tuple[str, str], TrainerError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._clocks = declared_clocks(self.settings)
        self._stale = StaleRuns(self.settings, self.observer, self._clocks)
        self._unheard = Unheard()
        self._attempts = Attempts(self.grounds.here.store.root / TEMPORARY, self.identity)

    def get(self, asked: Asked, seeds: Sequence[int], check_flags: Callable[[], None]) -> tuple[RunResult, ...]:
        """Return the runs of these seeds, trained where they are missing.

        Raises:
            ExprunError: a run failed (now or earlier in this session), is missing in a mode that never trains, or lacks the metric.
        """
        missing = self.missing(asked, seeds, check_flags)
        self.train([(asked, seed) for seed in missing])
        self._refuse_failed(asked, seeds)
        return tuple(self._known(asked, seed) for seed in seeds)

    def missing(self, asked: Asked, seeds: Sequence[int], check_flags: Callable[[], None]) -> list[int]:
        """Return the seeds that must be trained, after everything that can spare it has been tried; says so to the observer.

        Raises:
            ExprunError: they may not be trained: one of them failed, the mode, wrong flags, a store that cannot be written.
        """
        if self.settings.mode == "refresh" and asked.key.digest not in self._superseded:
            check_flags()
            self._superseded[asked.key.digest] = supersede_once(
                asked.ground.store, asked.variant.slug, asked.key, self.identity
            )
        if self._missing(asked, seeds):
            self._load(asked, seeds)
        self._check_seeds(asked)
        self._refuse_failed(asked, seeds)
        if self._missing(asked, seeds):
            self._look_back(asked, seeds, check_flags)
        missing = self._missing(asked, seeds)
        if missing:
            self._prepare(asked, seeds, check_flags)
            self.observer.arm_incomplete(self.plan(asked, seeds))
        return missing

    def _missing(self, asked: Asked, seeds: Iterable[int]) -> list[int]:
        return [seed for seed in seeds if (asked.key.digest, seed) not in self._results]

    def _refuse_failed(self, asked: Asked, seeds: Iterable[int]) -> None:
        """Raise the error of the first seed that has one: the arm is an error whatever its other seeds give."""
        for seed in seeds:
            if (asked.key.digest, seed) in self._results:
                self._known(asked, seed)

    def _known(self, asked: Asked, seed: int) -> RunResult:
        if self._is_one_run(asked):
            raise self._one_run[asked.key.digest, asked.metric]
        result = self._results[asked.key.digest, seed]
        if isinstance(result, ExprunError):
            raise result
        require_metric(result, asked.metric, self.settings.trained_by)
        return result

    def _load(self, asked: Asked, seeds: Iterable[int]) -> None:
        """Take what the store has, and the errors that other processes of this session met."""
        for seed in self._missing(asked, seeds):
            stored = asked.ground.store.load(asked.variant.slug, asked.key, seed)
            if stored is not None:
                self._results[asked.key.digest, seed] = with_clocks(stored, self._clocks)
            elif error := self._attempts.error(_name(asked, seed)):
                self._results[asked.key.digest, seed] = TrainerError(error)
        self._tell_store_notices(asked.ground.store)

    def _tell_store_notices(self, store: Store) -> None:
        while store.notices:
            self.observer.notice(store.notices.pop(0))

    def _look_back(self, asked: Asked, seeds: Sequence[int], check_flags: Callable[[], None]) -> None:
        """Once an arm, let stand what an earlier state of the code gave, as far as that can be."""
        if asked.key.digest in self._looked_back or self.settings.mode == "refresh" or asked.is_on_trial:
            return
        self._looked_back.add(asked.key.digest)

        def again(seed: int, on_point: OnPoint) -> RunResult:
            check_flags()
            asked.ground.store.check_writable()
            self.train([(asked, seed)], on_point)
            return self._known(asked, seed)

        kept = self._stale.settle(asked, self._missing(asked, seeds), again)
        self._results |= {(asked.key.digest, seed): run for seed, run in kept.items()}
        self._load(asked, seeds)

    # Training.

    def _prepare(self, asked: Asked, seeds: Sequence[int], check_flags: Callable[[], None]) -> None:
        if self.settings.mode == "frozen":
            raise MissingRunError(_frozen_message(self.plan(asked, seeds), asked))
        check_flags()
        asked.ground.store.check_writable()

    def train(self, wanted: Sequence[tuple[Asked, int]], on_point: OnPoint | None = None) -> None:
        """Train these runs and record each at once. One that fails is remembered: `get` raises its error.

        Those that another session trains right now come last: by then most of them only have to be read.
        """
        while left := self._left(wanted):
            self._train_free(left, on_point or self.observer.run_progressed)
            if any(isinstance(self._results.get((asked.key.digest, seed)), ExprunError) for asked, seed in left):
                return
            if held := self._left(left):
                asked, seed = held[0]
                path = asked.ground.store.lock_path(asked.variant.slug, asked.key, seed)
                with exclusive(path, _what(asked, seed), self.observer.say):
                    self._load(asked, [seed])

    def _left(self, wanted: Sequence[tuple[Asked, int]]) -> list[tuple[Asked, int]]:
        by_run = {(asked.key.digest, seed): (asked, seed) for asked, seed in wanted if not self._is_unfit(asked)}
        return [by_run[run] for run in by_run if run not in self._results]

    def _train_free(self, wanted: Sequence[tuple[Asked, int]], on_point: OnPoint) -> None:
        """Train those that nobody else trains. A run is claimed when the executor can start it, and until it is recorded."""
        with contextlib.ExitStack() as rest:
            claims: dict[RunSpec, tuple[Asked, contextlib.ExitStack]] = {}

            def free() -> Iterator[Task]:
                for asked, seed in wanted:
                    if self._is_unfit(asked):
                        continue
                    claim = rest.enter_context(contextlib.ExitStack())
                    path = asked.ground.store.lock_path(asked.variant.slug, asked.key, seed)
                    if claim.enter_context(claimed(path, _what(asked, seed))):
                        self._load(asked, [seed])
                        if self._missing(asked, [seed]) and self._may_try(asked, seed, claim):
                            claims[asked.spec(seed)] = asked, claim
                            yield Task(asked.spec(seed), asked.role, asked.ground)
                            continue
                    claim.close()

            # Closed at once whatever happens here: nothing may go on training that nobody waits for.
            with contextlib.closing(self.executor.run(free(), on_point)) as results:
                for result in results:
                    asked, claim = claims[result.spec]
                    self._settle(asked, result)
                    claim.close()

    def _may_try(self, asked: Asked, seed: int, claim: contextlib.ExitStack) -> bool:
        """Whether a run may be tried; from now on, until its claim is closed, the other processes of the session can see that it is."""
        why = claim.enter_context(self._attempts.trying(_name(asked, seed)))
        if why is not None:
            self._results[asked.key.digest, seed] = TrainerError(f"{_what(asked, seed)}: {why}")
        return why is None

    def _settle(self, asked: Asked, result: RunResult) -> None:
        """Record a run, or remember why there is none."""
        result = replace(result, notes=conceal_all(result.notes), provenance=conceal_all(result.provenance))
        try:
            why = failure(result)
            if why is not None:
                raise TrainerError(why)
            self._record(asked, with_clocks(result, self._clocks))
            self._check_fit(asked, result)
            self._check_seeds(asked)
        except ExprunError as error:
            self._results[asked.key.digest, result.spec.seed] = error
            self._attempts.failed(_name(asked, result.spec.seed), str(error))

    def _check_fit(self, asked: Asked, result: RunResult) -> None:
        """Note an arm one of whose runs cannot be judged by its metric: an error already, it needs no further seeds."""
        try:
            require_metric(result, asked.metric, self.settings.trained_by)
        except TrainerError:
            self._unfit.add((asked.key.digest, asked.metric))

    def _check_seeds(self, asked: Asked) -> None:
        """Refuse a control whose seeds give one and the same run: two of them tell, and the others would only take time."""
        arm = asked.key.digest, asked.metric
        if asked.role == "exp" or arm in self._one_run or self.settings.mode == "plan":
            return
        results = [result for (digest, _), result in self._results.items() if digest == asked.key.digest]
        runs = [run for run in results if isinstance(run, RunResult) and asked.metric in run.metrics]
        if len(runs) < 2 or not is_one_run(runs, asked.metric, enough=1):  # noqa: PLR2004
            return
        found = doubts(self.settings, asked.ground.fingerprinter.sources, asked.ground.fingerprinter.main)
        # Where the sources say that nobody reads the seed, one equal number is no chance either.
        if is_one_run(runs, asked.metric) or any(each.startswith(UNREAD) for each in found):
            seeds, value, why = (
                ", ".join(str(run.spec.seed) for run in runs),
                runs[0].metrics[asked.metric],
                "; ".join(found),
            )
            # What was only edited here is in no state of the code.
            where = ". Is the seam for the seed committed?" if asked.variant.tree else ""
            self._one_run[arm] = TrainerError(
                f"seeds {seeds} of the {asked} gave one and the same run, {asked.metric} = {value!r}: {self.settings.trained_by} "
                f"ignores its seed{f' ({why})' if why else ''}, so its noise is unknown and no verdict is possible{where}"
            )

    def _is_one_run(self, asked: Asked) -> bool:
        return asked.role != "exp" and (asked.key.digest, asked.metric) in self._one_run

    def _is_unfit(self, asked: Asked) -> bool:
        return (asked.key.digest, asked.metric) in self._unfit or self._is_one_run(asked)

    def _record(self, asked: Asked, result: RunResult) -> None:
        """Store a finished run. A full disk costs the record, never the result."""
        seed = result.spec.seed
        ground = asked.ground
        for text in (*ground.outside.notices(result), *self._unheard.notices(result)):
            self.observer.notice(text)
        ground.fingerprinter.learn_outputs(result.provenance.get(OUTPUTS, ()))
        changed = ground.fingerprinter.sources_changed() or changed_while_read(
            result, ground.fingerprinter.root, ground.heard
        )
        if changed:
            raise TrainerError(
                f"{', '.join(changed)} changed while seed {seed} of {asked.variant} trained: the run is not stored, "
                "because nobody can say what it ran with. Start the session again; what the run itself writes belongs below its output_dir"
            )
        try:
            # A record is of flags and content: which tree it was, nobody needs to know.
            spec = replace(result.spec, variant=Variant(asked.variant.flags))
            ground.store.save(replace(result, spec=spec), asked.variant.slug, asked.key, ground.fingerprinter.opened())
        except NotReproducible:
            raise
        except StoreError as error:
            self.observer.not_saved(f"seed {seed} of {asked.variant} is not saved: {error}")
        self._results[asked.key.digest, seed] = result
        self._tell_store_notices(asked.ground.store)
        self.observer.run_finished(result, asked.role, self._superseded.get(asked.key.digest, {}).get(seed))

    # Planning.

    def plan(self, asked: Asked, seeds: Sequence[int], *, optional: int = 0) -> ArmPlan:
        """Say what an arm needs, without training or importing anything."""
        slug = asked.variant.slug
        stored = {seed: asked.ground.store.load(slug, asked.key, seed) for seed in dict.fromkeys(seeds)}
        times = [
            run.provenance["wall_time"] for run in stored.values() if run is not None and "wall_time" in run.provenance
        ]
        missing = tuple(seed for seed, run in stored.items() if run is None)
        nothing_stands = missing and len(missing) == len(stored) and not asked.is_on_trial
        others = asked.ground.store.neighbours(slug, asked.key) if nothing_stands else []
        if self.settings.mode == "plan" and self.settings.stale == "verify":
            provable = any(past.may_equal(asked.key) for past in others)
            optional = len(missing) - 1 if provable else optional
        return ArmPlan(
            variant=asked.variant,
            role=asked.role,
            stored=tuple(seed for seed, run in stored.items() if run is not None),
            missing=missing,
            why=others[0].why(asked.key) if others else "",
            seconds=sum(times) / len(times) if times else None,
            optional=optional,
            budget=asked.budget,
        )


def _what(asked: Asked, seed: int) -> str:
    return f"seed {seed} of {asked.variant}"


def _name(asked: Asked, seed: int) -> str:
    return f"{asked.key.digest[:32]}-seed-{seed}"


def supersede_once(store: Store, slug: str, key: Key, identity: str) -> dict[int, RunResult]:
    """Set an arm's records aside and return them; of a session's processes only the first one does, the others get what it found."""
    if not identity:
        return store.supersede(slug, key)
    note = store.root / TEMPORARY / f"refreshed-{identity}-{key.digest}.json"
    with exclusive(note.with_suffix(".lock"), f"the records of {slug}"):
        if note.exists():
            return {
                run.spec.seed: run for run in map(RunResult.from_json, json.loads(note.read_text(encoding="utf-8")))
            }
        old = store.supersede(slug, key)
        note.write_text(json.dumps([run.to_json() for run in old.values()]), encoding="utf-8")
        return old


def _frozen_message(plan: ArmPlan, asked: Asked) -> str:
    why = f" (stored runs do not stand: {plan.why})" if plan.why else ""
    return (
        f"frozen mode trains nothing, and seed {', '.join(map(str, plan.missing))} of {plan.variant} at {asked.budget} "
        f"is not in the store{why}. Train it with --exprun-mode=run and commit the records"
    )
