"""Finished runs on disk: one immutable, checksummed JSON file a run.

A record is published by temporary file, fsync, no-clobber link (rename where links fail) and fsync of its folder; only then is its seed
done. Nothing here needs a lock to be correct. A record that cannot be believed is set aside, kept, named, and counts as absent.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from pytest_exprun.terms.errors import StoreError, one_line
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.terms.sameness import difference
from pytest_exprun.trust.identity.answers import may_be_harmless
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.store.filesystem import FileSystem, listed, remove_older
from pytest_exprun.trust.store.past import Past
from pytest_exprun.trust.store.records import (
    MAX_RECORD_BYTES,
    STORABLE,
    Attestation,
    DamagedRecord,
    Record,
    check_identity,
    decode,
    decode_attestation,
    encode,
    encode_attestation,
)

QUARANTINE, SUPERSEDED, TEMPORARY, LOCKS = "quarantine", "superseded", "tmp", "locks"
ATTRIBUTES = "*.json -text\nledger.jsonl -text merge=exprun-ledger\n"
"""For git: converted line endings would break the checksums, and a ledger is no text to be merged."""
_ORPHAN_SECONDS = 24 * 3600
_ATTEMPTS = 3
# Slugs end in a letter or digit, so that a trailing dash makes a folder name that no other slug has.
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul"} | {
    f"{device}{number}" for device in ("com", "lpt") for number in range(10)
}
_RESERVED = {QUARANTINE, SUPERSEDED, TEMPORARY, LOCKS, "ledger"} | _WINDOWS_DEVICES


class NotReproducible(StoreError):  # noqa: N818  # read as a fact, like NotComparable
    """Two runs of one key and seed gave different results."""


@dataclass
class Store:
    """The stored runs below one folder.

    Attributes:
        root: the folder; made at the first write.
        read_only: never change anything (modes frozen and plan): a damaged record then raises instead of being set aside.
        content_of: the present digest of a file that a record says its run read (`Fingerprinter.content_of`); None checks none.
        metric: the judged one, which must agree between two runs of one key and seed.
        notices: one plain line for each thing the user should hear of, in order.
    """

    root: Path
    read_only: bool = False
    fs: FileSystem = field(default_factory=FileSystem)
    content_of: Callable[[str], str] | None = None
    metric: str = "val_loss"
    notices: list[str] = field(default_factory=list)
    _swept: bool = False

    def check_writable(self) -> None:
        """Make the folder and try every operation that saving needs, so that a bad folder is found before training and not after.

        Raises:
            StoreError: one line with the folder, the reason and the setting to change.
        """
        temporary = self.root / TEMPORARY
        ignored = "".join(f"/{name}/\n" for name in (LOCKS, QUARANTINE, SUPERSEDED, TEMPORARY))
        probe = temporary / f"probe-{secrets.token_hex(8)}"
        try:
            self.fs.make_folder(temporary)
            self.fs.publish(probe, b"probe\n", temporary)
            self.fs.remove(probe)
            for name, text in ((".gitignore", ignored), (".gitattributes", ATTRIBUTES)):
                if not (self.root / name).exists():
                    self.fs.publish(self.root / name, text.encode(), temporary)
        except OSError as error:
            self._refuse("cannot be written", error)
        if not self._swept:  # asked before every arm, and a lock file stays for every run
            self._swept = True
            for folder in (temporary, self.root / LOCKS):
                remove_older(folder, _ORPHAN_SECONDS)

    def load(self, slug: str, past: Key | Past, seed: int) -> RunResult | None:
        """Return a stored run, of this key or of one attested to stand for it; None if there is none that can be believed.

        With a past state, what stood then.

        Raises:
            StoreError: the record is damaged and the store is read only, or the file cannot be read at all.
        """
        refused: dict[Path, list[str]] = {}
        for standing in self._standing(slug, past):
            record = self._record(slug, standing.key, seed)
            if record is not None and not (changed := self._changed(record.opened, standing.answers)):
                return record.result
            if record is not None:
                refused.setdefault(self.path(slug, standing.key, seed), changed)
        for path, changed in refused.items():
            if not all(
                map(may_be_harmless, changed)
            ):  # else one seed may prove it, and what became of that is said then
                name, what = path.relative_to(self.root), one_line(", ".join(changed))
                self.notices.append(f"stored run {name} does not stand: {what} changed since its run read it")
        return None

    def save(self, result: RunResult, slug: str, key: Key, opened: Mapping[str, str] | None = None) -> Path:
        """Store a run; returns once it would survive a power cut. The first record of a key and seed is kept.

        Args:
            result: a finished or diverged run.
            slug: the arm's folder, `Variant.slug`.
            key: what the run depended on.
            opened: content of further files that the run read, label -> digest (`Fingerprinter.opened`).

        Raises:
            StoreError: it could not be written: the run is not stored.
            NotReproducible: a record of the same key and seed has another result; it is kept.
        """
        assert result.status in STORABLE, f"a {result.status} run is never stored"
        assert not self.read_only, "a read-only store saves nothing"
        seed = result.spec.seed
        path = self.path(slug, key, seed)
        data = encode(Record(key, result, dict(opened or {}), now()))
        try:
            self.fs.make_folder(path.parent)
            self.fs.make_folder(self.root / TEMPORARY)
            for _ in range(_ATTEMPTS):
                if self.fs.publish(path, data, self.root / TEMPORARY):
                    return path
                first = self._record(slug, key, seed)  # sets a damaged one aside: then the next attempt succeeds
                if first is not None and not self._changed(first.opened):
                    self._keep_first(first.result, result, path)
                    return path
                if first is not None:
                    self._move_aside(path, self.root / SUPERSEDED / _unique())
        except OSError as error:
            self._refuse(f"seed {seed} of {slug} not saved", error)
        raise StoreError(f"seed {seed} of {slug} not saved: {path} keeps being replaced by another process")

    def supersede(self, slug: str, key: Key) -> dict[int, RunResult]:
        """Move all records of one arm to `superseded/<time>/`, and return those that could be believed, by seed."""
        folder = self._arm(slug, key)
        old = {seed: run for seed in self.seeds(slug, key) if (run := self.load(slug, key, seed)) is not None}
        if folder.is_dir():
            try:
                self._move_aside(folder, self.root / SUPERSEDED / _unique() / folder.parent.name)
            except OSError as error:
                self._refuse(f"records of {slug} cannot be set aside", error)
        return old

    def neighbours(self, slug: str, key: Key) -> list[Past]:
        """States in which runs were stored for the same flags, common args and budget and that are no more, newest first."""
        standing = list(self._standing(slug, key))
        found: list[tuple[str, Past]] = []
        for folder in listed(self.root / _folder(slug)):
            records = [record for path in listed(folder) if (record := self._peek(path)) is not None]
            same = [record for record in records if record.key.question == key.question]
            if not same:
                continue
            past = self._newest(folder, same)
            of_key = [state for state in standing if state.key == past.key]
            if not of_key or (past.answers and past not in of_key and all(map(may_be_harmless, past.answers))):
                found.append((max(record.stored_at for record in same), past))
        return [past for _, past in sorted(found, key=lambda item: item[0], reverse=True)]

    def _newest(self, folder: Path, records: Sequence[Record]) -> Past:
        """Return the last state in which the runs of a key stood: that of the newest record, or of a proof since."""
        states = [(record.stored_at, record.opened) for record in records]
        for path in listed(folder):
            with contextlib.suppress(DamagedRecord, StoreError):  # looking back changes nothing on disk
                if path.name.startswith("attests-"):
                    proof = decode_attestation(self._read(path) or b"")
                    states.append((proof.attested_at, proof.opened))
        opened = max(states, key=lambda state: state[0])[1]
        return Past(records[0].key, {label: opened[label] for label in self._changed(opened)})

    def seeds(self, slug: str, key: Key) -> tuple[int, ...]:
        """Seeds that have a record file for this key or one attested to stand for it, ascending."""
        folders = [self._arm(slug, standing) for standing in self.standing(slug, key)]
        return tuple(sorted({seed for folder in folders for seed in _seeds(folder)}))

    def used_seeds(self, slug: str) -> set[int]:
        """Seeds of all records by an arm's name (`*`: of all arms), whatever key they have, those that were superseded included."""
        name = slug if slug == "*" else _folder(slug)
        folders = [*self.root.glob(f"{name}/*"), *self.root.glob(f"{SUPERSEDED}/*/{name}")]
        return {seed for folder in folders for seed in _seeds(folder)}

    def path(self, slug: str, key: Key, seed: int) -> Path:
        """Where the record of one run lies."""
        return self.root / f"{_folder(slug)}/{key.short}/seed-{seed:d}.json"

    def lock_path(self, slug: str, key: Key, seed: int) -> Path:
        """The lock file of whoever trains this run (`locks.exclusive`)."""
        return self.root / LOCKS / f"{_folder(slug)}--{key.short}--seed-{seed:d}.lock"

    def attest(
        self, slug: str, key: Key, stands: Key | Past, seed: int, opened: Mapping[str, str] | None = None
    ) -> Path:
        """Write down that `seed` was trained again under `key` and equals its record of `stands`, whose other seeds now stand too.

        Raises:
            StoreError: it could not be written: nothing is attested.
        """
        past = _state(stands)
        path = self._arm(slug, key) / f"attests-{past.key.short}.json"
        data = encode_attestation(Attestation(key, past.key, seed, now(), dict(opened or {}), past.answers))
        try:
            self.fs.make_folder(path.parent)
            self.fs.make_folder(self.root / TEMPORARY)
            if not self.fs.publish(path, data, self.root / TEMPORARY):  # of an earlier state, which may come back
                path = path.with_name(f"attests-{past.key.short}-{secrets.token_hex(4)}.json")
                self.fs.publish(path, data, self.root / TEMPORARY)
        except OSError as error:
            self._refuse(f"attestation for {slug} not saved", error)
        return path

    def standing(self, slug: str, key: Key) -> list[Key]:
        """This key, and all that attestations say stand for it, directly or through another."""
        return list(dict.fromkeys(state.key for state in self._standing(slug, key)))

    def changes(self, slug: str, key: Key, record: Record) -> list[str]:
        """Name what keeps a record from standing for `key` of what its run asked for; nothing if it stands, or is of no key that does."""
        states = [state for state in self._standing(slug, key) if state.key == record.key] or [Past(record.key)]
        return min((self._changed(record.opened, state.answers) for state in states), key=len)

    def _standing(self, slug: str, stands: Key | Past) -> Iterator[Past]:
        """The same, one by one, with the answers that they stand by: attestations are read only where the key's own record is missing."""
        found = [_state(stands)]
        for known in found:
            yield known
            for attestation in self._attestations(self._arm(slug, known.key)):
                same = attestation.key.components == known.key.components
                state = Past(attestation.stands, {**known.answers, **attestation.replaced})
                if same and state not in found and not self._changed(attestation.opened, known.answers):
                    found.append(state)

    def to_verify(self, slug: str, stands: Key | Past) -> RunResult | None:
        """Return the stored run of a state that has gone longest without proof: since it was stored or last trained again."""
        proofs: dict[int, str] = {}
        for folder in listed(self.root / _folder(slug)):
            for attestation in self._attestations(folder):
                proofs[attestation.seed] = max(proofs.get(attestation.seed, ""), attestation.attested_at)
        runs = []
        for standing in self._standing(slug, stands):
            for seed in _seeds(self._arm(slug, standing.key)):
                record = self._record(slug, standing.key, seed)
                if record is not None and not self._changed(record.opened, standing.answers):
                    runs.append((max(record.stored_at, proofs.get(seed, "")), seed, record.result))
        return min(runs, key=lambda run: run[:2])[2] if runs else None

    def _arm(self, slug: str, key: Key) -> Path:
        return self.root / _folder(slug) / key.short

    def _read(self, path: Path) -> bytes | None:
        try:
            return self.fs.read(path, MAX_RECORD_BYTES)
        except OSError as error:
            self._refuse(f"{path.relative_to(self.root)} cannot be read", error)

    def _record(self, slug: str, key: Key, seed: int) -> Record | None:
        """Read one record; a damaged one is set aside."""
        path = self.path(slug, key, seed)
        data = self._read(path)
        if data is None:
            return None
        try:
            record = decode(data)
            check_identity(record, key, seed)
        except DamagedRecord as damage:
            self._set_aside(path, str(damage), "the seed is trained again")
            return None
        return record

    def _peek(self, path: Path) -> Record | None:
        """Read a record of another key without judging it."""
        try:
            data = self._read(path) if _SEED_FILE.fullmatch(path.name) else None
            return None if data is None else decode(data)
        except (DamagedRecord, StoreError):
            return None

    def _attestations(self, folder: Path) -> Iterator[Attestation]:
        for path in listed(folder):
            if path.name.startswith("attests-") and path.suffix == ".json":
                try:
                    yield decode_attestation(self._read(path) or b"")
                except DamagedRecord as damage:
                    self._set_aside(path, str(damage), "it attests nothing any more")

    def _changed(self, opened: Mapping[str, str], answers: Mapping[str, str] = MappingProxyType({})) -> list[str]:
        """Name what was asked for and has another answer: now, or, of what `answers` tells, then."""
        if self.content_of is None:
            return []
        return [label for label, digest in opened.items() if (answers.get(label) or self.content_of(label)) != digest]

    def _keep_first(self, first: RunResult, second: RunResult, path: Path) -> None:
        differs = difference(first, second, self.metric)
        if differs:
            run = one_line(f"{first.spec.variant} with seed {first.spec.seed}")
            raise NotReproducible(
                f"the trainer is not reproducible: two runs of {run} and nothing changed gave {one_line(differs)}; the first is kept "
                f"({path}). Fix the seeding, or delete the record to train again"
            )

    def _set_aside(self, path: Path, reason: str, consequence: str) -> None:
        name, reason = path.relative_to(self.root), one_line(reason)
        if self.read_only:
            raise StoreError(
                f"stored run {name} in {self.root} is damaged: {reason}; nothing is changed in this mode, so restore the file or run once "
                "with --exprun-mode=run, which sets it aside and trains the seed again"
            )
        try:
            aside = self._move_aside(path, self.root / QUARANTINE / _unique())
        except FileNotFoundError:
            return  # another process was faster
        except OSError as error:
            self._refuse(f"damaged record {name} cannot be set aside", error)
        self.notices.append(
            f"stored run {name} is damaged ({reason}): kept as {aside.relative_to(self.root)}, {consequence}"
        )

    def _move_aside(self, path: Path, folder: Path) -> Path:
        self.fs.make_folder(folder)
        name = path.name if path.is_dir() else "--".join(path.relative_to(self.root).parts)
        self.fs.move(path, folder / name)
        return folder / name

    def _refuse(self, what: str, error: OSError) -> NoReturn:
        reason = (error.strerror or str(error)).lower()
        raise StoreError(
            f"store {self.root}: {what}: {reason}; free the space, permit the access, or set exprun_store to another folder"
        ) from error


_SEED_FILE = re.compile(r"seed-(-?[0-9]{1,20})\.json")


def _seeds(folder: Path) -> list[int]:
    return [int(match.group(1)) for path in listed(folder) if (match := _SEED_FILE.fullmatch(path.name))]


def _state(of: Key | Past) -> Past:
    return of if isinstance(of, Past) else Past(of)


def _folder(slug: str) -> str:
    """The folder of a slug.

    Raises:
        StoreError: it is no slug, for instance `../x`.
    """
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", slug):
        raise StoreError(
            f"{slug!r} cannot name a folder of stored runs: allowed is [a-z0-9._-], 1 to 64 characters, as slugify makes it"
        )
    return f"{slug}-" if slug.partition(".")[0] in _RESERVED else slug


def now() -> str:
    """The time in UTC, to the microsecond: attestations are put in order by it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _unique() -> str:
    return f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(3)}"
