"""Runs that an earlier state of the code gave: judged all the same, refused, or let stand by one of them that is trained again.

Re-verification: one stored seed is trained under the new key, and its progress lines are compared as they come: a prefix may reject, never
accept. Only equality to the last bit of the last metric lets the arm's other stored seeds stand, and only for this arm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_exprun.running.executors.contract import OnPoint
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.arms.asked import Asked, RunObserver
from pytest_exprun.terms.curves import Room, kept
from pytest_exprun.terms.errors import MissingRunError, StoreError
from pytest_exprun.terms.kept import marked, staleness
from pytest_exprun.terms.model import RunSpec
from pytest_exprun.terms.outcome import Arm, CurvePoint, RunResult
from pytest_exprun.terms.sameness import clocks_of, difference, point_difference, with_clocks
from pytest_exprun.trust.identity.answers import unproven
from pytest_exprun.trust.store.past import Past

MOST_COMPARED = 50
"""Of how many earlier states one run is compared with."""
Again = Callable[[int, OnPoint], RunResult]
"""Trains one seed of the arm in question and returns its run."""


class Differs(BaseException):  # stops a run from its progress callback; no `except Exception` of a trainer may hold it
    """The run being verified departs from the stored one; the message says where."""


class Verification:
    """Compares one run with its stored twin, while it trains.

    Args:
        stored: the twin.
        metric: what the experiment is judged by.
        trained_by: the metric of the settings, which says how much of a curve is kept; None if it is the same.
    """

    def __init__(self, stored: RunResult, metric: str, trained_by: str | None = None) -> None:
        self.stored, self._metric = stored, metric
        self._clocks = clocks_of(metric, stored)
        self._curve, self._room = kept(stored.curve, trained_by or metric), Room(trained_by or metric)
        self._seen = 0

    def hear(self, point: CurvePoint) -> None:
        """Compare the next progress line.

        Raises:
            Differs: it is not the stored one. Training on is of no use.
        """
        if not self._room.admits(point):
            return
        number, self._seen = self._seen, self._seen + 1
        if number >= len(self._curve):
            raise Differs(f"progress line {number + 1}, the stored run printed {len(self._curve)}")
        differs = point_difference(self._curve[number], point, self._clocks, self._metric)
        if differs:
            raise Differs(differs)

    def outcome(self, result: RunResult) -> str | None:
        """Return what differs in the finished run, None if it equals the stored one bit for bit."""
        return difference(self.stored, result, self._metric)


class Comparing:
    """Compares one run with its twins of several states while it trains: where ideas come and go, any of them may be the one before.

    Attributes:
        left: those that it does not differ from yet, newest first.
        differs: where it departs from the newest.
    """

    def __init__(self, twins: Sequence[tuple[Past, Verification]]) -> None:
        self.left = list(twins)
        self.differs = ""
        self._newest = twins[0][0]

    def hear(self, point: CurvePoint) -> None:
        """Compare the next progress line.

        Raises:
            Differs: it departs from all of them.
        """
        for past, each in list(self.left):
            try:
                each.hear(point)
            except Differs as difference:
                self._departs(past, each, str(difference))
        if not self.left:
            raise Differs(self.differs)

    def equal(self, result: RunResult) -> Past | None:
        """Return the newest state whose run the finished one equals bit for bit."""
        for past, each in list(self.left):
            if differs := each.outcome(result):
                self._departs(past, each, differs)
        return self.left[0][0] if self.left else None

    def _departs(self, past: Past, each: Verification, where: str) -> None:
        self.left.remove((past, each))
        if past is self._newest:
            self.differs = where


@dataclass(frozen=True)
class StaleRuns:
    """Decides as `exprun_stale` has it."""

    settings: Settings
    observer: RunObserver
    clocks: tuple[str, ...] = ()

    def settle(self, asked: Asked, seeds: Sequence[int], again: Again) -> dict[int, RunResult]:
        """Return the stale runs of these seeds that are judged all the same; those that are proven to stand are in the store afterwards.

        Raises:
            ExprunError: `exprun_stale = error`, or what `again` raises.
        """
        stale = asked.ground.store.neighbours(asked.variant.slug, asked.key)
        if not stale:
            return {}
        if self.settings.stale == "error":
            raise MissingRunError(
                f"{asked}: stored runs do not stand ({stale[0].why(asked.key)}) and exprun_stale = error; "
                "train again with --exprun-stale=retrain or let one seed prove them with --exprun-stale=verify"
            )
        if self.settings.stale == "keep":
            return self._kept(asked, seeds, stale[0])
        candidates = [past for past in stale if past.may_equal(asked.key) and self._has_any(asked, past, seeds)]
        candidates = candidates[:MOST_COMPARED]
        if candidates and self.settings.stale == "verify" and self.settings.mode == "run":
            self._verify(asked, candidates, again)
        return {}

    @staticmethod
    def _has_any(asked: Asked, past: Past, seeds: Sequence[int]) -> bool:
        """Whether a state has a run of any of these seeds: of fresh ones none has, and a proof would be for nothing."""
        return not set(seeds).isdisjoint(asked.ground.store.seeds(asked.variant.slug, past.key))

    def _kept(self, asked: Asked, seeds: Sequence[int], stale: Past) -> dict[int, RunResult]:
        """Return historical records, marked as such."""
        stored = {seed: asked.ground.store.load(asked.variant.slug, stale, seed) for seed in seeds}
        kept = {
            seed: marked(with_clocks(run, self.clocks), stale.why(asked.key))
            for seed, run in stored.items()
            if run is not None
        }
        if kept:
            origin = staleness(Arm(asked.variant, tuple(kept.values())))
            self.observer.notice(f"{asked}: judged from stale runs: {origin}")
        return kept

    def _verify(self, asked: Asked, candidates: Sequence[Past], again: Again) -> None:
        """Train one stored seed again; equality to the last bit with one of these states lets the other seeds of that one stand."""
        store, slug = asked.ground.store, asked.variant.slug
        stored = store.to_verify(slug, candidates[0])
        if stored is None:
            return
        seed = stored.spec.seed
        self.observer.say(
            f"{asked}: {candidates[0].why(asked.key)}; training seed {seed} again to see whether its result is still the same"
        )
        twins = [(candidates[0], stored), *((past, store.load(slug, past, seed)) for past in candidates[1:])]
        comparing = Comparing(
            [
                (past, Verification(with_clocks(twin, self.clocks), asked.metric, self.settings.metric))
                for past, twin in twins
                if twin is not None
            ]
        )

        def hear(spec: RunSpec, point: CurvePoint) -> None:
            self.observer.run_progressed(spec, point)
            comparing.hear(point)

        try:
            stale = comparing.equal(again(seed, hear))
        except Differs:
            stale = None
        if stale is None:
            self.observer.notice(f"{asked}: the change matters ({comparing.differs}): all its seeds are trained anew")
            return
        opened = asked.ground.fingerprinter.opened()
        if data := unproven(stale.answers, opened, asked.key):
            self.observer.notice(f"{asked}: {', '.join(data)} changed, which is data: all its seeds are trained anew")
            return
        try:
            asked.ground.store.attest(asked.variant.slug, asked.key, stale, seed, opened)
        except StoreError as error:
            self.observer.notice(str(error))
            return
        # A record of a command holds what was printed, and nobody knows the digits behind it.
        same = "as far as it prints" if self.settings.command else "to the last bit"
        self.observer.say(f"{asked}: seed {seed} is the same {same}, so the other stored seeds stand")
