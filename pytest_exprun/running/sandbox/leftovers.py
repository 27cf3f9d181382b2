"""What a block leaves behind that nobody can put back: descriptors, threads, child processes. What it closed is opened again."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import stat
import sys
import threading
from collections.abc import Iterator, Mapping
from os import close, dup2, fstat, listdir, readlink  # a run may replace the module's
from pathlib import Path


class Leftovers:
    """What was open before a block, to name afterwards what is new."""

    def __init__(self) -> None:
        self._before = _resources()

    def found(self) -> tuple[list[str], list[int]]:
        """Return what has come since, one phrase each, and which child processes are among it."""
        if self._new():
            gc.collect()  # what only a reference cycle keeps open is about to close
        new = self._new()
        return sorted(new.values()), [number for kind, number in new if kind == _CHILD]

    def _new(self) -> Mapping[tuple[str, int], str]:
        return {each: text for each, text in _resources().items() if not self._was_there(each, text)}

    def _was_there(self, each: tuple[str, int], text: str) -> bool:
        # A process that has just been started may still have its parent's name: the guard's is told apart by its number.
        return each in self._before and (each[0] == _CHILD or self._before[each] == text)


_CHILD = "child"


def _resources() -> dict[tuple[str, int], str]:
    """Open descriptors, threads and child processes: kind and number -> what to call it."""
    found = {("descriptor", number): f"open {target} (descriptor {number})" for number, target in descriptors()}
    found |= {("thread", each.ident or 0): f"the running thread {each.name!r}" for each in threading.enumerate()}
    return found | {(_CHILD, pid): f"the running child process {pid} ({name})" for pid, name in children()}


def descriptors() -> Iterator[tuple[int, str]]:
    """Yield the open descriptors of this process with what to call each."""
    for number in _numbers():
        with contextlib.suppress(OSError):
            yield number, readlink(f"{_OPEN}/{number}") if _OPEN.startswith("/proc") else _kind_of(number)  # noqa: PTH115  # quick


_OPEN = "/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd"


def _numbers() -> list[int]:
    """Return the open descriptors; one of them was open to list them, and is closed by now."""
    try:
        return [int(name) for name in listdir(_OPEN)]  # noqa: PTH208  # iterdir holds its own descriptor open
    except FileNotFoundError:  # a system that does not tell
        return []


def _kind_of(descriptor: int) -> str:
    return "file" if stat.S_ISREG(fstat(descriptor).st_mode) else "device, pipe or socket"


Identity = tuple[int, int]
_STANDARD_ERROR = 2
_OUT_OF_THE_WAY = 300  # above what a loop over descriptors usually reaches, below the usual limit
_left: dict[int, Identity] = {}  # what earlier blocks left open: a later one may close it


class Descriptors:
    """The descriptors that were open before a block, and are not the block's to close.

    Attributes:
        closed: those that it closed all the same.
    """

    def __init__(self) -> None:
        self.closed: list[int] = []
        self._ours = {number: what for number, what in open_files().items() if _left.get(number) != what}

    @contextlib.contextmanager
    def spared(self) -> Iterator[None]:
        """Open again what the block closes, or puts something else in the place of."""
        copies = {}
        # Whoever closes any descriptor of a file drops the locks that the process has on it (fcntl's, as POSIX has it): the store's too.
        locked = {what for number, what in self._ours.items() if _may_be_locked(number)}
        for number in [number for number, what in self._ours.items() if what not in locked]:
            with contextlib.suppress(OSError):
                copies[number] = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
                self._ours[copies[number]] = self._ours[number]
        try:
            yield
        finally:
            for number, copy in copies.items():
                self._mend(number, copy)
            with contextlib.suppress(OSError):  # a run may leave too few descriptors to ask
                _left.update((number, what) for number, what in open_files().items() if number not in self._ours)

    def _mend(self, number: int, copy: int) -> None:
        """Put one back. A number that is in use again is left, as what was there may have closed itself; never so the first three."""
        now = _identity(number)
        if now is None and number <= _STANDARD_ERROR:
            self.closed.append(number)
        if _identity(copy) == self._ours[number]:
            if now is None or (now != self._ours[number] and number <= _STANDARD_ERROR):
                dup2(copy, number, inheritable=number <= _STANDARD_ERROR)
            close(copy)

    def are_ours(self, number: object) -> bool:
        """Whether a descriptor is what it was before the block."""
        return isinstance(number, int) and number in self._ours and _identity(number) == self._ours[number]


def _may_be_locked(number: int) -> bool:
    """Whether this process has locked the file; any file but the first three where nobody tells."""
    try:
        return "lock:" in Path(f"/proc/self/fdinfo/{number}").read_text(encoding="ascii")
    except OSError:
        return number > _STANDARD_ERROR and stat.S_ISREG(fstat(number).st_mode)


def open_files() -> dict[int, Identity]:
    """Return the open descriptors, each with which file, pipe or socket it is."""
    found = {number: _identity(number) for number in _numbers()}
    return {number: what for number, what in found.items() if what is not None}


def _identity(number: int) -> Identity | None:
    with contextlib.suppress(OSError):
        found = fstat(number)
        return found.st_dev, found.st_ino
    return None


@contextlib.contextmanager
def own_streams() -> Iterator[None]:
    """Give a run objects of its own for the process's first streams: those that it closes stay closed for good."""
    before = {name: getattr(sys, name) for name in ("__stdin__", "__stdout__", "__stderr__")}
    for number, (name, stream) in enumerate(before.items()):
        with contextlib.suppress(OSError):
            mode = "w" if number else "r"
            setattr(sys, name, stream and open(number, mode, encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115
    try:
        yield
    finally:
        for name, stream in before.items():
            setattr(sys, name, stream)


def children() -> Iterator[tuple[int, str]]:
    """Yield the living child processes with their names, Python's own helper left out. Linux tells; elsewhere none is found."""
    for listing in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for pid in listing.read_text().split():
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                # It watches over shared memory, and ends by itself when this process does.
                is_helper = b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
                if state != "Z" and not is_helper:
                    yield int(pid), name
