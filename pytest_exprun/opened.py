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
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_exprun.listener import CHANGES, HEARD, kinds_of_open

_LAG_SECONDS = 0.02


@dataclass
class Heard:
    """What one block of `recording` read before it wrote it, and when first, what it wrote, and what it read of that; absolute paths."""

    began: float = field(default_factory=time.time)
    read: dict[str, float] = field(default_factory=dict)
    written: dict[str, None] = field(default_factory=dict)
    reread: dict[str, None] = field(default_factory=dict)

    def note(self, name: str, *, written: bool) -> None:
        """Take in one access to a file."""
        if written:
            self.written[name] = None
        elif name in self.written:
            self.reread[name] = None
        else:
            self.read.setdefault(name, time.time())


class OpenedFiles:
    """Collects what is read while a block of `recording` is open, from all threads, until the end of the process.

    It adds up over runs: a module is read at its first import and stands in memory for all later runs of the process.
    """

    def __init__(self) -> None:
        self._files: dict[str, None] = {}
        self._folders: dict[str, None] = {}
        self._written: dict[str, float] = {}  # when it was first opened for writing; 0.0 if it was surely changed
        self._inherited: dict[str, None] = {}
        self._recordings: tuple[Heard, ...] = ()
        self._hooked = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def recording(self) -> Iterator[Heard]:
        """Listen during this block. An audit hook cannot be removed, so it is added at the first use and does nothing outside."""
        heard = Heard()
        with self._lock:
            if not self._hooked:
                sys.addaudithook(self._hear)
                self._hooked = True
            self._recordings = (*self._recordings, heard)
        try:
            yield heard
        finally:
            with self._lock:
                self._recordings = tuple(each for each in self._recordings if each is not heard)
                self._inherited.update(dict.fromkeys(heard.read))

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
        return sorted(path for path in folders if path.is_dir() and not self.is_written(path))

    def inherited(self, root: Path) -> list[Path]:
        """Existing files below `root`, as `files` has them, that a run read before it wrote them itself, if it ever did."""
        chosen = (path for path in map(Path, list(self._inherited)) if is_visible_below(path, root))
        return sorted(path for path in chosen if path.is_file())

    def add(
        self,
        root: Path,
        files: Mapping[str, float],
        folders: Iterable[str],
        written: Iterable[str] = (),
        reread: Iterable[str] = (),
    ) -> None:
        """Take in, named from the root, what another process read (before it wrote it) and when first, listed, wrote, and read of that."""
        base = root.resolve()
        read = {str(base / name): moment for name, moment in files.items()}
        wrote = [str(base / name) for name in written]
        self._written.update(dict.fromkeys(wrote, 0.0))
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
        """Whether a run has itself written this file, or an entry of this folder."""
        return any(str(path) in (name, os.path.dirname(name)) for name in list(self._written))  # noqa: PTH120  # texts

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._recordings or event not in HEARD:
            return
        name = _absolute(arguments[HEARD[event]])
        if name is None:
            return
        if event == "open":
            self._note_file(name, arguments)
        elif event in CHANGES:
            self._note(name, written=True)
        elif not sys._getframe(1).f_code.co_filename.startswith("<frozen importlib"):  # noqa: SLF001  # the import system lists every folder
            self._folders[name] = None

    def _note_file(self, name: str, arguments: tuple[object, ...]) -> None:
        for kind in kinds_of_open(arguments[1], arguments[2]):
            self._note(name, written=kind == "w")

    def _note(self, name: str, *, written: bool) -> None:
        if written:
            self._written.setdefault(name, time.time())
        else:
            self._files[name] = None
        for heard in self._recordings:
            heard.note(name, written=written)


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
