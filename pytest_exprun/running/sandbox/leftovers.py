"""What a block leaves behind that nobody can put back: open descriptors, running threads, child processes."""

from __future__ import annotations

import contextlib
import gc
import os
import stat
import threading
from collections.abc import Iterator, Mapping
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
        return {each: text for each, text in _resources().items() if self._before.get(each) != text}


_CHILD = "child"


def _resources() -> dict[tuple[str, int], str]:
    """Open descriptors, threads and child processes: kind and number -> what to call it."""
    found = {("descriptor", number): f"open {target} (descriptor {number})" for number, target in _descriptors()}
    found |= {("thread", each.ident or 0): f"the running thread {each.name!r}" for each in threading.enumerate()}
    return found | {(_CHILD, pid): f"the running child process {pid} ({name})" for pid, name in children()}


def _descriptors() -> Iterator[tuple[int, str]]:
    for listing in (Path("/proc/self/fd"), Path("/dev/fd")):
        if listing.is_dir():
            for name in os.listdir(listing):  # noqa: PTH208  # iterdir holds its own descriptor open
                with contextlib.suppress(OSError):
                    yield (
                        int(name),
                        str((listing / name).readlink()) if listing.parts[1] == "proc" else _kind_of(int(name)),
                    )
            return


def _kind_of(descriptor: int) -> str:
    return "file" if stat.S_ISREG(os.fstat(descriptor).st_mode) else "device, pipe or socket"


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
