"""What a store holds, arm by arm, and whether it stands for a run of now. Reads only; nothing is set aside or repaired."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_exprun.terms.model import Budget, Variant
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.store.filesystem import listed
from pytest_exprun.trust.store.records import MAX_RECORD_BYTES, DamagedRecord, Record, check_identity, decode
from pytest_exprun.trust.store.store import LOCKS, QUARANTINE, SUPERSEDED, TEMPORARY, Store

KeyOf = Callable[[Variant, Budget, tuple[str, ...]], Key]
"""The present key of an arm, `Fingerprinter.key`."""


@dataclass(frozen=True)
class StoredArm:
    """The records of one arm under one key, by seed."""

    key: Key
    records: tuple[Record, ...]

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """The runs in the order of their seeds."""
        return tuple(record.result for record in self.records)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(run.spec.seed for run in self.runs)

    @property
    def slug(self) -> str:
        """The arm's folder in the store."""
        return self.variant.slug

    @property
    def variant(self) -> Variant:
        """What was trained."""
        return self.runs[0].spec.variant

    @property
    def budget(self) -> Budget:
        """How much each run trained."""
        return self.runs[0].spec.budget

    @property
    def common_args(self) -> tuple[str, ...]:
        """Arguments given to every run of both arms."""
        return self.runs[0].spec.common_args

    @property
    def stored_at(self) -> str:
        """When the newest of the records was stored, UTC, ISO 8601."""
        return max(record.stored_at for record in self.records)


def stored_arms(store: Store) -> tuple[list[StoredArm], list[tuple[Path, str]]]:
    """Return every arm below a store's folder, newest first, and the files that cannot be believed with the reason."""
    arms, damaged = [], []
    for folder in listed(store.root):
        if folder.name in (QUARANTINE, SUPERSEDED, TEMPORARY, LOCKS) or not folder.is_dir():
            continue
        for of_key in listed(folder):
            records = []
            for path in listed(of_key):
                if path.name.startswith("seed-"):
                    try:
                        records.append(_record(store, path))
                    except (DamagedRecord, OSError) as error:
                        damaged.append((path, str(error)))
            if records:
                in_order = sorted(records, key=lambda record: record.result.spec.seed)
                arms.append(StoredArm(records[0].key, tuple(in_order)))
    return sorted(arms, key=lambda arm: arm.stored_at, reverse=True), damaged


def _record(store: Store, path: Path) -> Record:
    """Read one record, as strictly as the store does: it must be what its place says.

    Raises:
        DamagedRecord: it cannot be believed.
        OSError: it cannot be read.
    """
    record = decode(store.fs.read(path, MAX_RECORD_BYTES) or b"")
    check_identity(record, record.key, record.result.spec.seed)
    if store.path(record.result.spec.variant.slug, record.key, record.result.spec.seed) != path:
        raise DamagedRecord("it lies in another one's place")
    return record


@dataclass(frozen=True)
class Standing:
    """A stored arm beside the key that the same question has now.

    Attributes:
        arm: the stored arm.
        now: the key of a run of now.
        attested: a re-verified seed, or the very same key, lets the arm stand.
        store: where both are known.
    """

    arm: StoredArm
    now: Key
    attested: bool
    store: Store

    @classmethod
    def of(cls, arm: StoredArm, store: Store, key_of: KeyOf) -> Standing:
        """Compare an arm with the present state of the project."""
        now = key_of(arm.variant, arm.budget, arm.common_args)
        attested = any(known.components == arm.key.components for known in store.standing(arm.slug, now))
        return cls(arm, now, attested, store)

    @cached_property
    def stale_seeds(self) -> dict[int, list[tuple[str, str, str]]]:
        """Seed -> what its run read and what has changed since: (label, digest then, digest now); only seeds with such a change."""
        found = {record.result.spec.seed: self._opened_changes(record) for record in self.arm.records}
        return {seed: changes for seed, changes in found.items() if changes}

    def _opened_changes(self, record: Record) -> list[tuple[str, str, str]]:
        content_of = self.store.content_of
        if content_of is None:
            return []
        changed = self.store.changes(self.arm.slug, self.now, record)
        return [(label, record.opened[label], content_of(label)) for label in changed]

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """The runs that stand for runs of now."""
        return tuple(run for run in self.arm.runs if self.attested and run.spec.seed not in self.stale_seeds)


def standing_runs(standings: Iterable[Standing]) -> dict[str, tuple[RunResult, ...]]:
    """Return the present key's digest -> runs that stand for it, one a seed: an arm may stand under several keys by attestation."""
    found: dict[str, dict[int, RunResult]] = {}
    for standing in standings:
        for run in standing.runs:
            found.setdefault(standing.now.digest, {}).setdefault(run.spec.seed, run)
    return {digest: tuple(runs[seed] for seed in sorted(runs)) for digest, runs in found.items() if runs}
