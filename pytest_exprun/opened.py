"""Which files and folders below the root a run reads, heard from the interpreter's audit events.

A static reading of the trainer cannot know them all (a computed path, a plugin folder); what a run really opened is stored with its
record, which stands only while these files are what they were. Reads that bypass Python (a C++ data loader, another process) make no
event: declare those with `exprun_inputs`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

_WRITES = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND


_CHANGES = {"os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1}
# Audit event -> which of its arguments is the path.
_HEARD = {"open": 0, "os.listdir": 0, "os.scandir": 0, **_CHANGES}


class OpenedFiles:
    """Collects what is read while a block of `recording` is open, from all threads, until the end of the process.

    It adds up over runs: a module is read at its first import and stands in memory for all later runs of the process.
    """

    def __init__(self) -> None:
        self._files: dict[str, None] = {}
        self._folders: dict[str, None] = {}
        self._written: set[str] = set()
        self._recording = 0
        self._hooked = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Listen during this block. An audit hook cannot be removed, so it is added at the first use and does nothing outside."""
        with self._lock:
            if not self._hooked:
                sys.addaudithook(self._hear)
                self._hooked = True
            self._recording += 1
        try:
            yield
        finally:
            with self._lock:
                self._recording -= 1

    def files(self, root: Path) -> list[Path]:
        """Existing files below `root` that were only read, without hidden ones; a compiled module as its source.

        A file that runs also write (a table of results, a cache) says nothing about what they depend on.
        """
        chosen = {_source_of(Path(name)) for name in list(self._files) if name not in self._written}
        return sorted(path for path in chosen if _is_visible_below(path, root) and path.is_file())

    def folders(self, root: Path) -> list[Path]:
        """Folders below `root` that were listed, and in which no run made an entry: a new file there may change a run."""
        folders = (path for path in map(Path, list(self._folders)) if _is_visible_below(path / "x", root))
        return sorted(path for path in folders if path.is_dir() and not self.is_written(path))

    def add(self, root: Path, files: Iterable[str], folders: Iterable[str], written: Iterable[str] = ()) -> None:
        """Take in what a run read, listed and wrote in another process, named from the root."""
        base = root.resolve()
        self._written.update(str(base / name) for name in written)
        self._files.update(dict.fromkeys(str(base / name) for name in files))
        self._folders.update(dict.fromkeys(str(base / name) for name in folders))

    def is_written(self, path: Path) -> bool:
        """Whether a run has itself written this file, or an entry of this folder."""
        return any(str(path) in (name, os.path.dirname(name)) for name in list(self._written))  # noqa: PTH120  # texts

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._recording or event not in _HEARD:
            return
        name = _absolute(arguments[_HEARD[event]])
        if name is None:
            return
        if event == "open":
            self._note_file(name, arguments)
        elif event in _CHANGES:
            self._written.add(name)
        elif not sys._getframe(1).f_code.co_filename.startswith("<frozen importlib"):  # noqa: SLF001  # the import system lists every folder
            self._folders[name] = None

    def _note_file(self, name: str, arguments: tuple[object, ...]) -> None:
        mode, flags = arguments[1], arguments[2]
        writes = set(mode) & set("wax+") if isinstance(mode, str) else isinstance(flags, int) and flags & _WRITES
        if writes:
            self._written.add(name)
        else:
            self._files[name] = None


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
