"""Which files and folders below the root a run reads, heard from the interpreter's audit events.

A static reading of the trainer cannot know them all (a computed path, a plugin folder); what a run really opened is stored with its
record, which stands only while these files are what they were. Reads that bypass Python (a C++ data loader, another process) make no
event: declare those with `exprun_inputs`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO

from pytest_exprun.trust.files.audit_hook import HEARD, kinds_of_event, note

_LAG_SECONDS = 0.02


@dataclass
class Heard:
    """What one block of `recording` read before it wrote it, and when first, what it wrote, and what it read of that; absolute paths."""

    began: float = field(default_factory=time.time)
    read: dict[str, float] = field(default_factory=dict)
    written: dict[str, None] = field(default_factory=dict)
    reread: dict[str, None] = field(default_factory=dict)

    def note(self, name: str, moment: float, *, written: bool) -> None:
        """Take in one access to a file."""
        if written:
            self.written[name] = None
        elif name in self.written:
            self.reread[name] = None
        else:
            self.read.setdefault(name, moment)


class OpenedFiles:
    """Collects what is read while a block of `recording` is open, from all threads and forked processes, until the end of the process.

    It adds up over runs: a module is read at its first import and stands in memory for all later runs of the process.
    """

    def __init__(self) -> None:
        self._files: dict[str, None] = {}
        self._folders: dict[str, None] = {}
        self._written: dict[str, float] = {}  # when it was first opened for writing; 0.0 if it was surely changed
        self._inherited: dict[str, None] = {}
        self._recordings: tuple[Heard, ...] = ()
        self._lock = threading.Lock()
        self._notes: IO[bytes] | None = None  # what forked processes hear; open from the first use on
        self._taken = 0  # bytes of them
        self._forked: set[tuple[str, str]] | None = None  # in a process forked from a recording: what it has noted

    def listen(self) -> None:
        """Add the hooks, which cannot be removed and do nothing outside a `recording`, once."""
        with self._lock:
            if self._notes is None:
                # Appends of several processes do not mix.
                self._notes = tempfile.TemporaryFile("ab+", buffering=0)  # noqa: SIM115  # open until the end of the process
                sys.addaudithook(self._hear)
                os.register_at_fork(after_in_child=self._after_fork)

    @contextlib.contextmanager
    def recording(self) -> Iterator[Heard]:
        """Listen during this block."""
        self.listen()
        heard = Heard()
        with self._lock:
            self._recordings = (*self._recordings, heard)
        try:
            yield heard
        finally:
            self._take_notes()
            with self._lock:
                self._recordings = tuple(each for each in self._recordings if each is not heard)
                self._inherited.update(dict.fromkeys(heard.read))

    def _after_fork(self) -> None:
        """In the new process: tell what is heard to the one that records, as the data-loader workers of PyTorch have to."""
        self._lock = threading.Lock()
        self._forked, self._recordings = (set() if self._recordings or self._forked is not None else None), ()

    def _take_notes(self) -> None:
        """Hear what forked processes have noted since the last time."""
        notes = b""
        with self._lock, contextlib.suppress(OSError, ValueError):  # closed by the trainer
            descriptor = self._notes.fileno()  # type: ignore[union-attr]  # there since `listen`
            # Not `read`: forked processes share its position, which their appends move.
            notes = os.pread(descriptor, os.fstat(descriptor).st_size - self._taken, self._taken)
            self._taken += len(notes)
        for kind, moment, name in parse(notes):
            self._note(name, kind, moment)

    def files(self, root: Path) -> list[Path]:
        """Existing files below `root` that were only read, without hidden ones; a compiled module as its source.

        A file that runs also write (a table of results, a cache) says nothing about what they depend on. One that was only opened for
        writing, as `numpy.memmap` opens data by default, does.
        """
        chosen = {source_of(Path(name)) for name in list(self._files) if not self._has_changed(name)}
        return sorted(path for path in chosen if is_visible_below(path, root) and path.is_file())

    def _has_changed(self, name: str) -> bool:
        since = self._written.get(name)
        return since is not None and changed_since(name, since)

    def folders(self, root: Path) -> list[Path]:
        """Folders below `root` that were listed, and in which no run made an entry: a new file there may change a run."""
        folders = (path for path in map(Path, list(self._folders)) if is_visible_below(path / "x", root))
        return sorted(path for path in folders if path.is_dir() and not self._has_entries_of_runs(path))

    def _has_entries_of_runs(self, folder: Path) -> bool:
        inside = (name for name in list(self._written) if os.path.dirname(name) == str(folder))  # noqa: PTH120  # texts
        return any(os.path.isdir(name) or self._has_changed(name) for name in inside)  # noqa: PTH112

    def inherited(self, root: Path) -> list[Path]:
        """Existing files below `root`, as `files` has them, that a run read before it wrote them itself, if it ever did."""
        chosen = (path for path in map(Path, list(self._inherited)) if is_visible_below(path, root))
        return sorted(path for path in chosen if path.is_file())

    def add(
        self,
        root: Path,
        files: Mapping[str, float],
        folders: Iterable[str],
        written: Mapping[str, float] = MappingProxyType({}),
        reread: Iterable[str] = (),
    ) -> None:
        """Take in, named from the root, what another process read (before it wrote it), listed, wrote, and read of that.

        With each file goes when it was first read or written; 0.0 if it was surely changed.
        """
        base = root.resolve()
        read = {str(base / name): moment for name, moment in files.items()}
        wrote = {str(base / name): moment for name, moment in written.items()}
        self._written.update(wrote)
        self._files.update(dict.fromkeys(read))
        self._folders.update(dict.fromkeys(str(base / name) for name in folders))
        for heard in self._recordings:
            heard.read.update(read)
            heard.written.update(dict.fromkeys(wrote))
            heard.reread.update(dict.fromkeys(str(base / name) for name in reread))
        if not self._recordings:
            self._inherited.update(dict.fromkeys(read))

    def is_read(self, path: Path) -> bool:
        """Whether a run has read this file before it wrote it, if it ever did."""
        return str(path) in self._inherited

    def is_written(self, path: Path) -> bool:
        """Whether a run has itself written this file, or an entry of this folder that is still there."""
        return str(path) in self._written or self._has_entries_of_runs(path)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in HEARD or not (self._recordings or self._forked is not None):
            return
        name = _absolute(arguments[HEARD[event]])
        if name is not None:
            for kind in kinds_of_event(event, arguments):
                if self._forked is None:
                    self._note(name, kind, time.time())
                elif (kind, name) not in self._forked:
                    self._forked.add((kind, name))
                    with contextlib.suppress(OSError, ValueError):  # closed by the trainer
                        os.write(self._notes.fileno(), note(kind, name))  # type: ignore[union-attr]  # there since `listen`

    def _note(self, name: str, kind: str, moment: float) -> None:
        if kind == "l":
            self._folders[name] = None
            return
        if kind == "w":
            self._written.setdefault(name, moment)
        else:
            self._files[name] = None
        for heard in self._recordings:
            heard.note(name, moment, written=kind == "w")


def parse(notes: bytes) -> Iterator[tuple[str, float, str]]:
    """Yield kind, moment and path of each line that `listener.line` made; nothing for one that was cut off."""
    for line in notes.split(b"\n"):
        moment, _, name = line[1:].decode("utf-8", "surrogateescape").partition(" ")
        with contextlib.suppress(ValueError):
            yield line[:1].decode("ascii", "replace"), float(moment), name


def changed_since(name: str, moment: float) -> bool:
    """Whether a file is there and may have changed since a moment, in seconds of `time.time`."""
    changed = changed_at(name)
    return changed is not None and changed >= moment - _LAG_SECONDS


def changed_at(name: str) -> float | None:
    """When a file last changed, None if there is none: by the file system's clock, which lags some milliseconds behind `time.time`."""
    try:
        found = os.stat(name)  # noqa: PTH116  # a text
    except OSError:
        return None
    return max(found.st_mtime, found.st_ctime) if stat.S_ISREG(found.st_mode) else None


def _absolute(path: object) -> str | None:
    """Return the absolute path as text, None for what is no path. Called for every open in the process: it must be quick."""
    if not isinstance(path, str | bytes | os.PathLike) or not path:
        return None
    try:
        return os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # quick
    except (OSError, TypeError, ValueError):
        return None  # the working directory is gone


def source_of(path: Path) -> Path:
    """Return the source of a compiled module, any other path as it is."""
    if path.suffix == ".pyc":
        with contextlib.suppress(ValueError, NotImplementedError):
            return Path(importlib.util.source_from_cache(str(path)))
    return path


def is_visible_below(path: Path, root: Path) -> bool:
    """Below the root, in no hidden folder, cache or installed package: `.git` changes with every commit and no result.

    A hidden file counts: `.env` is read by trainers.
    """
    if not path.is_relative_to(root):
        return False
    folders = path.relative_to(root).parts[:-1]
    return not any(part.startswith(".") or part in {"__pycache__", "site-packages"} for part in folders)


OPENED = OpenedFiles()
"""What the runs of this process have read."""
