"""Locks that keep two sessions from training the same seed twice. They save work; nothing needs them to be correct.

A lock is a POSIX record lock: the kernel drops it when the holder dies, however it dies, and a child process never inherits it, so an
orphaned data-loader worker holds nothing. Where locks do not work the seed may be trained twice, and the store keeps the first record.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pytest_exprun.terms.errors import one_line

POLL_SECONDS = 0.2
REMIND_SECONDS = 30.0
_HELD_ELSEWHERE = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_MAX_NOTE_BYTES = 4096


@dataclass
class _ThreadLock:
    """What a record lock does not do: keep out other threads, and survive a second use of the file by the same one."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    descriptor: int | None = None
    file: tuple[int, int] | None = None

    def open(self, path: Path) -> int | None:
        """Open the lock file for this thread."""
        self.descriptor = _open(path)
        self.file = None if self.descriptor is None else _identity(self.descriptor)
        return self.descriptor

    def close(self) -> None:
        """Close it, which drops the lock. A run may have closed it in C: its number may be another file's by now."""
        descriptor, self.descriptor = self.descriptor, None
        if descriptor is not None and self.file == _identity(descriptor):
            os.close(descriptor)


# Record locks belong to the process: a second thread would be let in, and closing any descriptor of the file would drop the lock.
_in_process: dict[str, _ThreadLock] = {}
_in_process_guard = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_process.clear)  # a child holds none of its parent's locks


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, as it says itself; None where it did not (yet) say."""

    pid: int | None = None
    host: str | None = None
    what: str | None = None
    since: float | None = None

    def __str__(self) -> str:
        who = f"process {self.pid} on {self.host}" if self.pid is not None else "another process"
        held = "" if self.since is None else f", for {max(0.0, time.time() - self.since):.0f} s so far"
        return one_line(f"{who} trains {self.what or 'it'}{held}")


@contextlib.contextmanager
def exclusive(path: Path, what: str, on_wait: Callable[[str], None] | None = None) -> Iterator[bool]:
    """Hold a lock during the block, waiting for whoever has it; yields whether it works here at all.

    Args:
        path: the lock file; its folder is made, the file stays.
        what: what the holder does, for those who wait: `seed 42 of --rope`.
        on_wait: told `waiting for ...` when waiting starts and every 30 s.
    """
    with _in_process_guard:
        thread_lock = _in_process.setdefault(os.path.abspath(path), _ThreadLock())  # noqa: PTH100  # a link must not be resolved
    with thread_lock.lock:
        if thread_lock.descriptor is not None:
            yield True  # this thread has it already
            return
        descriptor = thread_lock.open(path)
        try:
            locked = descriptor is not None and _acquire(descriptor, path, what, on_wait or _ignore)
            if locked and descriptor is not None:
                _sign(descriptor, what)
            yield locked
        finally:
            thread_lock.close()


@contextlib.contextmanager
def claimed(path: Path, what: str) -> Iterator[bool]:
    """Hold a lock during the block if nobody else has it; yields False, at once, if somebody does.

    Where locks do not work nobody is known to hold it: yields True, and the work may be done twice.
    """
    with _in_process_guard:
        thread_lock = _in_process.setdefault(os.path.abspath(path), _ThreadLock())  # noqa: PTH100  # a link must not be resolved
    if not thread_lock.lock.acquire(blocking=False):
        yield False
        return
    try:
        if thread_lock.descriptor is not None:
            yield True  # this thread has it already
            return
        descriptor = thread_lock.open(path)
        try:
            free = descriptor is None or _try(descriptor) is not False
            if free and descriptor is not None:
                _sign(descriptor, what)
            yield free
        finally:
            thread_lock.close()
    finally:
        thread_lock.lock.release()


def _ignore(_text: str) -> None:
    pass


def _open(path: Path) -> int | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    except OSError:
        return None  # the store says what is wrong with the folder, in better words


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Which file a descriptor is of; None if it is closed."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _acquire(descriptor: int, path: Path, what: str, on_wait: Callable[[str], None]) -> bool:
    """Try until the lock is ours; False where there are no locks (another system, a network file system)."""
    told = float("-inf")
    while (locked := _try(descriptor)) is False:
        if time.monotonic() - told >= REMIND_SECONDS:
            told = time.monotonic()
            on_wait(f"waiting for {what}: {holder(descriptor)} (lock {path.name})")
        time.sleep(POLL_SECONDS)
    return locked is True


def _try(descriptor: int) -> bool | None:
    """Try once: whether the lock is ours now, None where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _HELD_ELSEWHERE else None
    return True


def holder(descriptor: int) -> Holder:
    """Read what the holder of a lock wrote into its file."""
    try:
        note = json.loads(os.pread(descriptor, _MAX_NOTE_BYTES, 0))
        return Holder(int(note["pid"]), str(note["host"]), str(note["what"]), float(note["since"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return Holder()


def _sign(descriptor: int, what: str) -> None:
    note = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "what": what, "since": time.time()})
    with contextlib.suppress(OSError):  # the note only serves those who wait
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, note.encode()[:_MAX_NOTE_BYTES], 0)
