"""Finished runs on disk: one immutable, checksummed JSON file a run.

A record is published by temporary file, fsync, no-clobber link (rename where links fail) and fsync of its folder; only then is its seed
done. Nothing here needs a lock to be correct. A record that cannot be believed is set aside, kept, named, and counts as absent.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pytest_exprun.errors import StoreError
from pytest_exprun.fingerprint import Key
from pytest_exprun.model import RunResult

RECORD_SCHEMA = 1
MAX_RECORD_BYTES = 16 << 20
QUARANTINE, SUPERSEDED, TEMPORARY, LOCKS = "quarantine", "superseded", "tmp", "locks"

_HEAD, _MIDDLE, _TAIL = b'{"sha256": "', b'",\n"record": ', b"}\n"
_DIGEST_LENGTH = 64
_STORABLE = ("finished", "diverged")
_ORPHAN_SECONDS = 24 * 3600
# Slugs end in a letter or digit, so that a trailing dash makes a folder name no other slug can have.
_RESERVED = {QUARANTINE, SUPERSEDED, TEMPORARY, LOCKS, "con", "prn", "aux", "nul"} | {
    f"{d}{n}" for d in ("com", "lpt") for n in range(10)
}
_NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NO_DIRECTORY_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}
# What a clock or the machine measured: it differs between two runs of the same computation.
_MEASURED = re.compile(r"time|tok(en)?s?(_per_|/)s|second|throughput|memory|_mb$|_gb$|flops|mfu|eta", re.IGNORECASE)


class NotReproducible(StoreError):  # noqa: N818  # read as a fact, like NotComparable
    """Two runs of one key and seed gave different results."""


class _Damaged(Exception):  # noqa: N818  # private: why a record cannot be believed
    pass


class FileSystem:
    """The operating-system calls that the store makes, so that a test can fail or kill any one of them."""

    open = staticmethod(os.open)
    read = staticmethod(os.read)
    write = staticmethod(os.write)
    fsync = staticmethod(os.fsync)
    close = staticmethod(os.close)
    link = staticmethod(os.link)
    rename = staticmethod(os.rename)
    unlink = staticmethod(os.unlink)
    mkdir = staticmethod(os.mkdir)


def reproducible(result: RunResult) -> dict[str, Any]:
    """Return what must be equal between two runs of one key and seed: status, metrics and curve without what a clock measured."""
    return {
        "status": result.status,
        "metrics": _not_measured(result.metrics),
        "curve": [[point.step, _not_measured(point.values)] for point in result.curve],
    }


def _not_measured(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: value for name, value in values.items() if not _MEASURED.search(name)}


@dataclass
class Store:
    """The stored runs below one folder.

    Attributes:
        root: the folder; made at the first write.
        read_only: never change anything (modes frozen and plan): a damaged record then raises instead of being set aside.
        notices: one plain line for each thing the user should hear of, in order.
    """

    root: Path
    read_only: bool = False
    fs: FileSystem = field(default_factory=FileSystem)
    notices: list[str] = field(default_factory=list)

    def check_writable(self) -> None:
        """Make the folder and try every operation that saving needs, so that a bad folder is found before training and not after.

        Raises:
            StoreError: one line with the folder, the reason and the setting to change.
        """
        probe = self.root / TEMPORARY / f"probe-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            self._make(probe.parent)
            self._write_new(probe, b"probe\n")
            published = self._publish(probe, probe.with_suffix(".linked"))
            assert published  # the name holds random digits
            self.fs.unlink(probe.with_suffix(".linked"))
            self._own_files()
        except OSError as error:
            self._refuse("cannot be written", error)
        self._remove_orphans()

    def load(self, slug: str, key: Key, seed: int) -> RunResult | None:
        """Return a stored run, None if there is none or if it had to be set aside (see `notices`).

        Raises:
            StoreError: the record is damaged and the store is read only, or the file cannot be read at all.
        """
        path = self.path(slug, key, seed)
        data = self._read(path)
        if data is None:
            return None
        try:
            stored, result = decode(data)
            _check_identity(stored, result, key, seed)
        except _Damaged as damage:
            self._set_aside(path, str(damage))
            return None
        return result

    def save(self, result: RunResult, slug: str, key: Key) -> Path:
        """Store a run; returns once it would survive a power cut. The first record of a key and seed is kept.

        Raises:
            StoreError: it could not be written: the run is not stored.
            NotReproducible: a record of the same key and seed has another result; it is kept.
        """
        assert result.status in _STORABLE, f"a {result.status} run is never stored"  # our own invariant
        assert not self.read_only, "a read-only store saves nothing"  # our own invariant
        seed = result.spec.seed
        path = self.path(slug, key, seed)
        data = encode(result, key)
        try:
            self._make(path.parent)
            for _ in range(3):
                temporary = self.root / TEMPORARY / f"{path.parent.name}-{seed}-{os.getpid()}-{secrets.token_hex(4)}"
                self._make(temporary.parent)
                self._write_new(temporary, data)
                if self._publish(temporary, path):
                    return path
                first = self.load(slug, key, seed)  # sets a damaged one aside, then the next attempt succeeds
                if first is not None:
                    _check_equal(first, result, path)
                    return path
        except OSError as error:
            self._refuse(f"seed {seed} of {slug} not saved", error)
        raise StoreError(f"seed {seed} of {slug} not saved: {path} keeps being replaced by another process")

    def supersede(self, slug: str, key: Key) -> dict[int, RunResult]:
        """Move all records of one arm to `superseded/<time>/`, and return those that can be believed, by seed."""
        folder = self._arm(slug, key)
        old = {seed: run for seed in self._seeds(folder) if (run := self.load(slug, key, seed)) is not None}
        if folder.is_dir():
            target = self.root / SUPERSEDED / f"{_timestamp()}-{secrets.token_hex(2)}" / folder.parent.name
            try:
                self._make(target)
                self.fs.rename(folder, target / folder.name)
                self._sync_folder(target)
                self._sync_folder(folder.parent)
            except OSError as error:
                self._refuse(f"records of {slug} cannot be set aside", error)
        return old

    def neighbours(self, slug: str, key: Key) -> list[Key]:
        """Keys stored for the same flags, common args and budget under other conditions, newest first: what has changed since."""
        found: list[tuple[float, Key]] = []
        for folder in _listed(self.root / _folder(slug)):
            if folder.name == key.short:
                continue
            for seed in self._seeds(folder):
                stored = self._key_of(folder / f"seed-{seed}.json")
                if stored is not None and stored.question == key.question:
                    found.append(((folder / f"seed-{seed}.json").stat().st_mtime, stored))
                    break
        return [stored for _, stored in sorted(found, key=lambda item: -item[0])]

    def seeds(self, slug: str, key: Key) -> tuple[int, ...]:
        """Seeds that have a record file for this key, believable or not, in ascending order."""
        return tuple(sorted(self._seeds(self._arm(slug, key))))

    def path(self, slug: str, key: Key, seed: int) -> Path:
        """Where the record of one run lies."""
        return self._arm(slug, key) / f"seed-{seed:d}.json"

    def _arm(self, slug: str, key: Key) -> Path:
        return self.root / _folder(slug) / key.short

    def _seeds(self, folder: Path) -> Iterator[int]:
        for path in _listed(folder):
            match = re.fullmatch(r"seed-(-?[0-9]{1,20})\.json", path.name)
            if match:
                yield int(match.group(1))

    def _key_of(self, path: Path) -> Key | None:
        try:
            data = self._read(path)
            return None if data is None else decode(data)[0]
        except (_Damaged, StoreError):
            return None

    def _read(self, path: Path) -> bytes | None:
        try:
            # O_NONBLOCK: a FIFO put in a record's place must not hang the session.
            descriptor = self.fs.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._refuse(f"{path.name} cannot be read", error)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""
            return self._read_all(descriptor)
        except OSError as error:
            self._refuse(f"{path.name} cannot be read", error)
        finally:
            self.fs.close(descriptor)

    def _read_all(self, descriptor: int) -> bytes:
        chunks: list[bytes] = []
        while sum(map(len, chunks)) <= MAX_RECORD_BYTES and (chunk := self.fs.read(descriptor, 1 << 20)):
            chunks.append(chunk)
        return b"".join(chunks)

    def _set_aside(self, path: Path, reason: str) -> None:
        name = path.relative_to(self.root)
        if self.read_only:
            raise StoreError(
                f"stored run {name} in {self.root} is damaged: {reason}; nothing is changed in this mode, so restore the file or run once "
                "with --exprun-mode=run, which sets it aside and trains the seed again"
            )
        aside = self.root / QUARANTINE / f"{'--'.join(name.parts)}.{_timestamp()}-{secrets.token_hex(2)}"
        try:
            self._make(aside.parent)
            self.fs.rename(path, aside)
            self._sync_folder(path.parent)
        except FileNotFoundError:
            return  # another process was faster
        except OSError as error:
            self._refuse(f"damaged record {name} cannot be set aside", error)
        self.notices.append(
            f"stored run {name} is damaged ({reason}): kept as {QUARANTINE}/{aside.name}, the seed is trained again"
        )

    def _make(self, folder: Path) -> None:
        """Make a folder and its parents, each entry made durable in its parent."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            if folder.parent == folder:
                break
            folder = folder.parent
        for path in reversed(missing):
            try:
                self.fs.mkdir(path)
            except FileExistsError:
                if not path.is_dir():
                    raise NotADirectoryError(errno.ENOTDIR, "a file is in the way", str(path)) from None
            self._sync_folder(path.parent)

    def _write_new(self, path: Path, data: bytes) -> None:
        descriptor = self.fs.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            view = memoryview(data)
            while view:
                view = view[self.fs.write(descriptor, view) :]
            self.fs.fsync(descriptor)
        finally:
            self.fs.close(descriptor)

    def _publish(self, temporary: Path, path: Path) -> bool:
        """Give a finished temporary file its name, never replacing another; False if the name is taken."""
        try:
            self.fs.link(temporary, path)
        except FileExistsError:
            self._discard(temporary)
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if path.exists():
                self._discard(temporary)
                return False
            self.fs.rename(temporary, path)
        else:
            self._discard(temporary)
        self._sync_folder(path.parent)
        return True

    def _discard(self, path: Path) -> None:
        with contextlib.suppress(OSError):  # an orphan, removed by a later session; the record itself is published
            self.fs.unlink(path)

    def _sync_folder(self, folder: Path) -> None:
        try:
            descriptor = self.fs.open(folder, os.O_RDONLY)
        except OSError as error:
            if error.errno in _NO_DIRECTORY_FSYNC:
                return
            raise
        try:
            self.fs.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY_FSYNC:
                raise
        finally:
            self.fs.close(descriptor)

    def _own_files(self) -> None:
        """Keep what is not worth committing out of git, and git's line-ending conversion out of checksummed files."""
        ignored = "".join(f"/{name}/\n" for name in (LOCKS, QUARANTINE, SUPERSEDED, TEMPORARY))
        for name, text in ((".gitignore", ignored), (".gitattributes", "*.json -text\n")):
            if not (self.root / name).exists():
                temporary = self.root / TEMPORARY / f"{name}-{os.getpid()}-{secrets.token_hex(4)}"
                self._write_new(temporary, text.encode())
                self._publish(temporary, self.root / name)

    def _remove_orphans(self) -> None:
        """Remove temporary files that a killed session left a day ago or longer."""
        for path in _listed(self.root / TEMPORARY):
            try:
                if time.time() - path.lstat().st_mtime > _ORPHAN_SECONDS:
                    path.unlink()
            except OSError:
                continue

    def _refuse(self, what: str, error: OSError) -> NoReturn:
        reason = (error.strerror or str(error)).lower()
        raise StoreError(
            f"store {self.root}: {what}: {reason}; free the space, permit the access, or set exprun_store to another folder"
        ) from error


def encode(result: RunResult, key: Key) -> bytes:
    """Return the bytes of a record: one JSON object whose `sha256` is over the exact bytes of its `record`.

    Raises:
        StoreError: the result holds something that is no plain JSON, or is too big.
    """
    record = {"schema": RECORD_SCHEMA, "key": dict(key.components), "run": result.to_json()}
    try:
        body = json.dumps(record, allow_nan=False, indent=1).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"seed {result.spec.seed} cannot be stored: {error}; metrics and notes must be plain JSON values"
        ) from None
    if len(body) > MAX_RECORD_BYTES // 2:
        raise StoreError(
            f"seed {result.spec.seed} cannot be stored: its record has {len(body):,} bytes, allowed are {MAX_RECORD_BYTES // 2:,}"
        )
    return _HEAD + hashlib.sha256(body).hexdigest().encode() + _MIDDLE + body + _TAIL


def decode(data: bytes) -> tuple[Key, RunResult]:
    """Return what `encode` wrote. Whatever else the bytes are raises `_Damaged` with the reason in plain words."""
    start = len(_HEAD) + _DIGEST_LENGTH + len(_MIDDLE)
    if len(data) > MAX_RECORD_BYTES:
        raise _Damaged(f"longer than {MAX_RECORD_BYTES:,} bytes")
    if not (
        data.startswith(_HEAD)
        and data[start - len(_MIDDLE) : start] == _MIDDLE
        and data.endswith(_TAIL)
        and len(data) > start
    ):
        raise _Damaged("cut short, or no record of this plugin")
    body = data[start : -len(_TAIL)]
    if hashlib.sha256(body).hexdigest().encode() != data[len(_HEAD) : len(_HEAD) + _DIGEST_LENGTH]:
        raise _Damaged("its checksum does not match its content")
    try:
        record = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _Damaged(f"not JSON: {type(error).__name__}") from None
    return _parse_record(record)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parse_record(record: Any) -> tuple[Key, RunResult]:
    if not isinstance(record, dict) or not isinstance(record.get("schema"), int):
        raise _Damaged("no schema version")
    if record["schema"] != RECORD_SCHEMA:
        raise _Damaged(f"written with record schema {record['schema']}, this version reads {RECORD_SCHEMA}")
    components = record.get("key")
    if not isinstance(components, dict) or not all(isinstance(value, str) for value in components.values()):
        raise _Damaged("its key is no mapping of texts")
    try:
        result = RunResult.from_json(record["run"])
        _check_types(result)
        if json.loads(json.dumps(result.to_json(), allow_nan=False)) != record["run"]:
            raise _Damaged("it does not read back as it was written")
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _Damaged(f"a field is missing or of the wrong kind: {type(error).__name__} {error}") from None
    return Key(components), result


def _is_metric(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value))


def _check_types(result: RunResult) -> None:
    """Refuse values that would only fail later, in a statistic."""
    spec = result.spec
    checks: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: result.status in _STORABLE, "status"),
        (
            lambda: type(spec.seed) is int and type(spec.budget.amount) is int and type(spec.budget.unit) is str,
            "seed or budget",
        ),
        (lambda: all(type(token) is str for token in (*spec.variant.flags, *spec.common_args)), "flags"),
        (lambda: all(type(name) is str and _is_metric(value) for name, value in result.metrics.items()), "metrics"),
        (lambda: isinstance(result.notes, dict) and isinstance(result.provenance, dict), "notes"),
        (lambda: all(type(p.step) is int and all(map(_is_metric, p.values.values())) for p in result.curve), "curve"),
    )
    for holds, name in checks:
        if not holds():
            raise _Damaged(f"{name} of the wrong kind")


def _check_identity(stored: Key, result: RunResult, key: Key, seed: int) -> None:
    if dict(stored.components) != dict(key.components):
        raise _Damaged(f"it belongs to another key: {stored.why(key)}")
    spec = result.spec
    if spec.seed != seed:
        raise _Damaged(f"it is seed {spec.seed}, its name says {seed}")
    flags = json.dumps(list(spec.variant.identity))
    if key.components.get("flags", flags) != flags:
        raise _Damaged(f"its run has the flags {flags}, its key {key.components['flags']}")


def _check_equal(first: RunResult, second: RunResult, path: Path) -> None:
    one, two = reproducible(first), reproducible(second)
    if one == two:
        return
    names = sorted(
        name for name in {*one["metrics"], *two["metrics"]} if one["metrics"].get(name) != two["metrics"].get(name)
    )
    shown = (
        ", ".join(f"{name} {one['metrics'].get(name)!r} and {two['metrics'].get(name)!r}" for name in names[:3])
        or "their loss curves"
    )
    raise NotReproducible(
        f"the trainer is not reproducible: two runs of {first.spec.variant} with seed {first.spec.seed} and nothing changed gave {shown}; "
        f"the first is kept ({path}). Fix the seeding, or delete the record to train again"
    )


def _folder(slug: str) -> str:
    """The folder of a slug.

    Raises:
        StoreError: it is no slug, for instance `../x`.
    """
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9_])?", slug):
        raise StoreError(
            f"{slug!r} cannot name a folder of stored runs: allowed is [a-z0-9._-], 1 to 64 characters, as slugify makes it"
        )
    return f"{slug}-" if slug.partition(".")[0] in _RESERVED else slug


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _timestamp() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
