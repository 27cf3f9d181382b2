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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pytest_exprun.listener import kinds_of_open

_LAG_SECONDS = 0.02
_CHANGES = {"os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1}
# Audit event -> which of its arguments is the path.
_HEARD = {"open": 0, "os.listdir": 0, "os.scandir": 0, **_CHANGES}


@dataclass
class Heard:
    """What one block of `recording` read before it wrote it, what it wrote, and what it read of that; absolute paths as text."""

    began: float = field(default_factory=time.time)
    read: dict[str, None] = field(default_factory=dict)
    written: dict[str, None] = field(default_factory=dict)
    reread: dict[str, None] = field(default_factory=dict)

    def note(self, name: str, *, written: bool) -> None:
        """Take in one access to a file."""
        if written:
            self.written[name] = None
        else:
            (self.reread if name in self.written else self.read)[name] = None


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
                self._inherited.update(heard.read)

    def files(self, root: Path) -> list[Path]:
        """Existing files below `root` that were only read, without hidden ones; a compiled module as its source.

        A file that runs also write (a table of results, a cache) says nothing about what they depend on. One that was only opened for
        writing, as `numpy.memmap` opens data by default, does.
        """
        chosen = {_source_of(Path(name)) for name in list(self._files) if not self._has_changed(name)}
        return sorted(path for path in chosen if _is_visible_below(path, root) and path.is_file())

    def _has_changed(self, name: str) -> bool:
        since = self._written.get(name)
        return since is not None and changed_since(name, since)

    def folders(self, root: Path) -> list[Path]:
        """Folders below `root` that were listed, and in which no run made an entry: a new file there may change a run."""
        folders = (path for path in map(Path, list(self._folders)) if _is_visible_below(path / "x", root))
        return sorted(path for path in folders if path.is_dir() and not self.is_written(path))

    def inherited(self, root: Path) -> list[Path]:
        """Existing files below `root`, as `files` has them, that a run read before it wrote them itself, if it ever did."""
        chosen = (path for path in map(Path, list(self._inherited)) if _is_visible_below(path, root))
        return sorted(path for path in chosen if path.is_file())

    def add(
        self,
        root: Path,
        files: Iterable[str],
        folders: Iterable[str],
        written: Iterable[str] = (),
        reread: Iterable[str] = (),
    ) -> None:
        """Take in what a run read (before it wrote it), listed, wrote, and read of that, in another process, named from the root."""
        base = root.resolve()
        read = dict.fromkeys(str(base / name) for name in files)
        wrote = [str(base / name) for name in written]
        self._written.update(dict.fromkeys(wrote, 0.0))
        self._files.update(read)
        self._folders.update(dict.fromkeys(str(base / name) for name in folders))
        for heard in self._recordings:
            heard.read.update(read)
            heard.written.update(dict.fromkeys(wrote))
            heard.reread.update(dict.fromkeys(str(base / name) for name in reread))
        if not self._recordings:
            self._inherited.update(read)

    def is_read(self, path: Path) -> bool:
        """Whether a run has read this file before it wrote it, if it ever did."""
        return str(path) in self._inherited

    def is_written(self, path: Path) -> bool:
        """Whether a run has itself written this file, or an entry of this folder."""
        return any(str(path) in (name, os.path.dirname(name)) for name in list(self._written))  # noqa: PTH120  # texts

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._recordings or event not in _HEARD:
            return
        name = _absolute(arguments[_HEARD[event]])
        if name is None:
            return
        if event == "open":
            self._note_file(name, arguments)
        elif event in _CHANGES:
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
    """Whether a file is there and has changed since a moment, in seconds of `time.time`."""
    try:
        found = os.stat(name)  # noqa: PTH116  # a text
    except OSError:
        return False
    # File systems stamp by a clock that lags some milliseconds behind.
    return stat.S_ISREG(found.st_mode) and max(found.st_mtime, found.st_ctime) >= moment - _LAG_SECONDS


def _absolute(path: object) -> str | None:
    """Return the absolute path as text, None for what is no path. Called for every open in the process: it must be quick."""
    if not isinstance(path, str | bytes | os.PathLike) or not path:
        return None
    try:
        return os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # quick
    except (OSError, TypeError, ValueError):
        return None  # the working directory is gone


def _source_of(path: Path) -> Path:
    if path.suffix == ".pyc":
        with contextlib.suppress(ValueError, NotImplementedError):
            return Path(importlib.util.source_from_cache(str(path)))
    return path


def _is_visible_below(path: Path, root: Path) -> bool:
    """Below the root, in no hidden folder, cache or installed package: `.git` changes with every commit and no result.

    A hidden file counts: `.env` is read by trainers.
    """
    if not path.is_relative_to(root):
        return False
    folders = path.relative_to(root).parts[:-1]
    return not any(part.startswith(".") or part in {"__pycache__", "site-packages"} for part in folders)


OPENED = OpenedFiles()
"""What the runs of this process have read."""
