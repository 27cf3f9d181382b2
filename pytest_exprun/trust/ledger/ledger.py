"""The ledger: a file of the store to which a line is added for all that is asked, and for what became of it. No line is ever changed.

Lines are added under a lock, by one write, and are on the disk before the call returns. A line whose writer died is set aside by the next
one. What a ledger says can be read at any time, without the lock.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_exprun.terms.errors import StoreError
from pytest_exprun.trust.ledger import chain
from pytest_exprun.trust.store.filesystem import FileSystem
from pytest_exprun.trust.store.locks import exclusive
from pytest_exprun.trust.store.store import LOCKS, QUARANTINE, TEMPORARY, now

LEDGER = "ledger.jsonl"
_MOST_BYTES = 1 << 30
_OPEN = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)


@dataclass
class Ledger:
    """The ledger of one store.

    Attributes:
        root: the store's folder.
        fs: the way to the disk.
        notices: one plain line for each thing the user should hear of, in order.
    """

    root: Path
    fs: FileSystem = field(default_factory=FileSystem)
    notices: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The file; it need not be there."""
        return self.root / LEDGER

    @property
    def head(self) -> str:
        """The hash of the last whole line, which stands for all lines before it too; empty where there is none.

        Raises:
            StoreError: the file cannot be read.
        """
        if not self.path.is_file():
            return ""
        try:
            with self.path.open("rb") as file:
                last, _ = self._end(file.fileno())
        except OSError as error:
            raise self._error("cannot be read", error) from error
        return chain.digest(last) if last else ""

    def entries(self, containing: str = "") -> list[dict[str, Any]]:
        """Return what the lines say that have a text in them, in order; a line that cannot be believed is left out (`verified` names it).

        Raises:
            StoreError: the file cannot be read.
        """
        data, found = self.read(), []
        for line in _lines_with(containing.encode(), data) if containing else chain.lines_of(data)[0]:
            with contextlib.suppress(chain.BrokenLine):
                found.append(chain.read(line))
        return found

    def read(self) -> bytes:
        """Return the file's bytes, none if there is no file.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            return self.fs.read(self.path, _MOST_BYTES) or b""
        except OSError as error:
            raise self._error("cannot be read", error) from error

    def verified(self) -> chain.Verified:
        """Check every line.

        Raises:
            StoreError: the file cannot be read.
        """
        return chain.verified(self.read())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other writers out during the block, so that what was read is still so when a line is added."""
        with exclusive(self.root / LOCKS / "ledger.lock", "the ledger"):
            yield

    def append(self, kind: str, content: Mapping[str, Any]) -> str:
        """Add a line, and return its hash, the new head, once it would survive a power cut.

        Args:
            kind: what the line tells of.
            content: plain JSON values.

        Raises:
            StoreError: it cannot be written: the ledger is as it was.
        """
        with self.held():
            try:
                self.fs.make_folder(self.root)
                is_new = not self.path.exists()
                descriptor = self.fs.call("open", self.path, _OPEN, 0o644)
                try:
                    line = self._next(descriptor, kind, content)
                    self._write(descriptor, line)
                finally:
                    self.fs.call("close", descriptor)
                if is_new:
                    self.fs.sync_folder(self.root)
            except OSError as error:
                raise self._error("cannot be written", error) from error
        return chain.digest(line)

    def _next(self, descriptor: int, kind: str, content: Mapping[str, Any]) -> bytes:
        """Return the line that follows the last one; what is left of a line behind that is set aside first."""
        last, torn = self._end(descriptor)
        if torn:
            self._set_aside(descriptor, torn)
        elif last and not _ends_in_a_break(descriptor):
            self.fs.call("write", descriptor, b"\n")
        if not last:
            return chain.written(kind, now(), content, chain.FIRST)
        try:
            before = chain.read(last)["time"]
        except chain.BrokenLine as broken:
            before = ""
            self.notices.append(f"the last line of {self.path} cannot be believed: {broken}; see exprun ledger verify")
        return chain.written(kind, chain.later(now(), before), content, chain.digest(last))

    def _end(self, descriptor: int) -> tuple[bytes, bytes]:
        """Return the last whole line, and what stands behind it; nothing before it is read."""
        size, data = os.fstat(descriptor).st_size, b""
        while len(data) < size and data.rpartition(b"\n")[0].count(b"\n") < 1:
            start = max(0, size - len(data) - chain.MOST_BYTES)
            data = os.pread(descriptor, size - len(data) - start, start) + data
        lines, torn = chain.lines_of(data)
        return (lines[-1] if lines else b""), torn

    def _set_aside(self, descriptor: int, torn: bytes) -> None:
        """Keep what a dead writer left of its line, elsewhere."""
        for folder in (QUARANTINE, TEMPORARY):
            self.fs.make_folder(self.root / folder)
        aside = self.root / QUARANTINE / f"{LEDGER}-torn-{secrets.token_hex(4)}"
        self.fs.publish(aside, torn, self.root / TEMPORARY)
        self.fs.call("ftruncate", descriptor, os.fstat(descriptor).st_size - len(torn))
        self.notices.append(
            f"the ledger ended in {len(torn)} bytes of a line whose writer died: kept as {aside.relative_to(self.root)}"
        )

    def _write(self, descriptor: int, line: bytes) -> None:
        """Write a line, or leave nothing of it."""
        size = os.fstat(descriptor).st_size
        try:
            view = memoryview(line)
            while view:
                view = view[self.fs.call("write", descriptor, view) :]
            self.fs.call("fsync", descriptor)
        except OSError:
            with contextlib.suppress(OSError):  # then it is a torn line, which the next one sets aside
                self.fs.call("ftruncate", descriptor, size)
            raise

    def _error(self, what: str, error: OSError) -> StoreError:
        reason = (error.strerror or str(error)).lower()
        return StoreError(
            f"the ledger {self.path} {what}: {reason}; what is asked stands there before it is trained, so free the space, permit the "
            "access, or set exprun_store to another folder"
        )


def _lines_with(text: bytes, data: bytes) -> Iterator[bytes]:
    """Yield the lines that have a text in them, without a look at the others."""
    at = data.find(text)
    while at >= 0:
        end = data.find(b"\n", at)
        yield data[data.rfind(b"\n", 0, at) + 1 : end if end >= 0 else len(data)] + b"\n"
        at = data.find(text, end) if end >= 0 else -1


def _ends_in_a_break(descriptor: int) -> bool:
    return os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1) == b"\n"
