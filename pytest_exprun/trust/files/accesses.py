"""What runs ask of their surroundings, heard in this process and in those that it forks or starts.

A static reading of the trainer cannot know it all (a computed path, a plugin folder, a name of a variable that is put together); what a run
really asked for is stored with its record, which stands only while the answers are what they were. Reads that bypass Python (a C++ data
loader, a program that is no Python) make no event: declare those with `exprun_inputs`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_exprun.trust.files.audit_hook import Ears, checksum
from pytest_exprun.trust.files.notes import NotesFolder
from pytest_exprun.trust.files.places import counts, is_below
from pytest_exprun.trust.files.started_python import Notes

_LAG_SECONDS = 0.02
_OWN_VARIABLES = ("PYTHONPATH", "EXPRUN_ROOT")
KINDS = "rslawbptkme"
_NAMES = "me"
"""What is heard, by the letters of `audit_hook`; of some of it no path."""


@dataclass
class Heard:
    """What one block of `recording` read before it wrote it, and when first, what it wrote, and what it read of that; absolute paths.

    And what is known not to be heard: `asked` are hosts, `silent` scripts of Pythons that tell nothing; `lost` says why a process could not
    tell what it read, if one could not.
    """

    began: float = field(default_factory=time.time)
    read: dict[str, float] = field(default_factory=dict)
    written: dict[str, None] = field(default_factory=dict)
    reread: dict[str, None] = field(default_factory=dict)
    asked: dict[str, None] = field(default_factory=dict)
    silent: dict[str, None] = field(default_factory=dict)
    lost: str = ""

    def note(self, name: str, moment: float, *, written: bool) -> None:
        """Take in one access to a file."""
        if written:
            self.written[name] = None
        elif name in self.written:
            self.reread[name] = None
        else:
            self.read.setdefault(name, moment)


class OpenedFiles:
    """Collects what is heard while a block of `recording` is open, from all threads and processes, until the end of the process.

    It adds up over runs: a module is read at its first import and stands in memory for all later runs of the process.
    """

    def __init__(self) -> None:
        # Of each kind: name -> when it was first heard; of writing 0.0 if the file was surely changed.
        self._heard: dict[str, dict[str, float]] = {kind: {} for kind in KINDS}
        self._inherited: dict[str, None] = {}
        self._recordings: tuple[Heard, ...] = ()
        self._given: Mapping[str, str] = {}  # the variables that runs were given
        self._lock = threading.Lock()
        self._folder: NotesFolder | None = None  # where other processes tell what they hear
        self._forked: Notes | None = None  # in a process forked from a recording

    def listen(self) -> None:
        """Make what a `recording` needs, once.

        Raises:
            TrainerError: there is no place for temporary files.
        """
        with self._lock:
            if self._folder is None:
                self._folder = NotesFolder()
                self._ears = Ears(self._tell, (self._folder.path, str(Path(__file__).parents[2]) + os.sep))
                os.register_at_fork(after_in_child=self._after_fork)

    @contextlib.contextmanager
    def recording(self, root: Path | None = None) -> Iterator[Heard]:
        """Listen during this block; with a root directory, also to the Pythons that are started."""
        self.listen()
        heard = Heard()
        with self._lock:
            self._recordings = (*self._recordings, heard)
            if len(self._recordings) == 1:
                self._given = dict(os.environ)
                self._ears.root = ""
                self._ears.open()
            if root is not None:
                self._ears.root = str(root.resolve()) + os.sep
        try:
            with self._in_started_pythons(root) if root else contextlib.nullcontext():
                yield heard
        finally:
            heard.lost = self._take_notes()
            with self._lock:
                self._recordings = tuple(each for each in self._recordings if each is not heard)
                if not self._recordings:
                    self._ears.close()
                self._inherited.update(dict.fromkeys(heard.read))

    @contextlib.contextmanager
    def _in_started_pythons(self, root: Path) -> Iterator[None]:
        """Have Pythons import our `sitecustomize`. One that is started with -I, -E or -S, or with other variables, tells nothing."""
        before = {name: os.environ.get(name) for name in _OWN_VARIABLES}
        path = self.import_path(before["PYTHONPATH"] or "")
        values = (path, str(root.resolve()) + os.sep)
        os.environ.update(zip(_OWN_VARIABLES, values, strict=True))
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    def import_path(self, entries: str) -> str:
        """Return a PYTHONPATH for a process that is given one of its own: with what makes it tell what it hears, while somebody records."""
        ours = [self._folder.path] if self._recordings and self._folder else []
        return os.pathsep.join([*ours, *filter(None, [entries])])

    def _after_fork(self) -> None:
        """In the new process: tell what is heard to the one that records, as the data-loader workers of PyTorch have to."""
        self._lock = threading.Lock()
        if self._recordings and self._folder:
            self._forked, self._recordings = Notes(self._folder.path), ()

    def _take_notes(self) -> str:
        """Hear what other processes have noted since the last time; say why one could not, if so."""
        assert self._folder is not None
        with self._lock:
            notes = list(self._folder.take())
        for kind, moment, name in notes:
            self._note(name, kind, moment)
        return self._folder.lost()

    def _tell(self, kind: str, name: str) -> None:
        """Take in what this process hears."""
        if self._forked is None:
            self._note(name, kind, time.time())
        else:
            self._forked.note(kind, name)

    def _note(self, name: str, kind: str, moment: float) -> None:
        if kind == "e":
            name, _, value = name.rpartition(" ")
            if value != checksum(self._given.get(name)):
                return  # the program set it itself
        if kind in "nu":
            for heard in self._recordings:
                (heard.asked if kind == "n" else heard.silent)[name] = None
            return
        self._heard.setdefault(kind, {}).setdefault(name, moment)
        if kind in "rsw":
            for heard in self._recordings:
                heard.note(name, moment, written=kind == "w")

    # What was heard.

    def files(self, root: Path) -> list[Path]:
        """Existing files that were only read as data, or asked for by the project's own code.

        A file that runs also write (a table of results, a cache) says nothing about what they depend on. One that was only opened for
        writing, as `numpy.memmap` opens data by default, does.
        """
        return self._existing("rt", root, lambda name: os.path.isfile(name) and not self._has_changed(name))  # noqa: PTH113

    def sources(self, root: Path) -> list[Path]:
        """Existing files that were executed as Python; a compiled module as its source."""
        found = {str(source_of(Path(name))) for name in list(self._heard["s"])}
        return sorted(Path(name) for name in found if counts(name, str(root)) and os.path.isfile(name))  # noqa: PTH113

    def libraries(self, root: Path) -> list[Path]:
        """Existing files that were loaded as machine code."""
        return self._existing("b", root, os.path.isfile)

    def programs(self, root: Path) -> list[Path]:
        """Existing files that the words of started programs name, and that did not change since: those are their outputs."""
        since = self._heard["p"]
        return self._existing("p", root, lambda name: not changed_since(name, since[name]) and os.path.isfile(name))  # noqa: PTH113

    def folders(self, root: Path) -> list[Path]:
        """Folders that were listed, and in which no run made an entry: a new file there may change a run. None that holds the root."""
        base = str(root)
        return self._existing(
            "l",
            root,
            lambda name: os.path.isdir(name) and not is_below(base, name) and not self._has_entries_of_runs(name),  # noqa: PTH112
        )

    def absent(self, root: Path) -> list[Path]:
        """Paths below `root` that were asked for and were not there, nor are they now; what runs make and remove does not count."""
        base, written = str(root), self._heard["w"]
        names = {name for kind in "arl" for name in list(self._heard[kind]) if is_below(name, base)}
        chosen = (name for name in names if name not in written and "<" not in name and not os.path.lexists(name))
        return sorted(Path(name) for name in chosen if counts(name, base))

    def links(self, root: Path) -> list[Path]:
        """Links that were followed by reading where they lead, but for those on the way to the root or the home folder."""
        ways, written = (str(root), os.path.realpath(os.path.expanduser("~"))), self._heard["w"]  # noqa: PTH111  # texts
        return self._existing(
            "k",
            root,
            lambda name: name not in written and not any(is_below(way, os.path.realpath(name)) for way in ways),
        )

    def modules(self) -> list[str]:
        """Modules that the project's own code imports and that are installed, or not there, by their first names."""
        return sorted(self._heard["m"])

    def variables(self) -> list[str]:
        """Environment variables that were asked for, as they were given."""
        return sorted(self._heard["e"])

    def _existing(self, kinds: str, root: Path, chosen: Callable[[str], bool]) -> list[Path]:
        names = {name for kind in kinds for name in list(self._heard[kind])}
        return sorted(Path(name) for name in names if counts(name, str(root)) and chosen(name))

    def _has_changed(self, name: str) -> bool:
        since = self._heard["w"].get(name)
        return since is not None and changed_since(name, since)

    def _has_entries_of_runs(self, folder: str) -> bool:
        inside = (name for name in list(self._heard["w"]) if os.path.dirname(name) == folder)  # noqa: PTH120  # texts
        inside = (name for name in inside if not os.path.basename(name).startswith((".", "__pycache__")))  # noqa: PTH119
        return any(os.path.isdir(name) or self._has_changed(name) for name in inside)  # noqa: PTH112

    def inherited(self, root: Path) -> list[Path]:
        """Existing files that a run read before it wrote them itself, if it ever did."""
        chosen = (name for name in list(self._inherited) if counts(name, str(root)))
        return sorted(path for path in map(Path, chosen) if path.is_file())

    def is_read(self, path: Path) -> bool:
        """Whether a run has read this file before it wrote it, if it ever did."""
        return str(path) in self._inherited

    def is_written(self, path: Path) -> bool:
        """Whether a run has itself written this file, or an entry of this folder that is still there."""
        return str(path) in self._heard["w"] or self._has_entries_of_runs(str(path))

    # From one process to another.

    def told(self, root: Path, named: Callable[[str], str] = str) -> dict[str, dict[str, float]]:
        """Return all that was heard and counts, for `add` in another process: kind -> name, from the root where it lies below -> moment.

        `named` says by which path it is told of.
        """
        base = str(root.resolve())
        found: dict[str, dict[str, float]] = {kind: dict(self._heard[kind]) for kind in _NAMES}
        for kind in set(KINDS) - set(_NAMES):
            moments = {named(str(source_of(Path(name)))): moment for name, moment in self._heard[kind].items()}
            chosen = {name: moment for name, moment in moments.items() if counts(name, base)}
            found[kind] = {
                os.path.relpath(name, base) if is_below(name, base) else name: moment for name, moment in chosen.items()
            }
        return found

    def add(self, root: Path, told: Mapping[str, Mapping[str, float]]) -> None:
        """Take in what another process has heard."""
        base = root.resolve()
        for kind, moments in told.items():
            known = self._heard.setdefault(kind, {})
            for name, moment in moments.items():
                full = name if kind in _NAMES else str(base / name)
                known[full] = min(moment, known.get(full, moment))
                if kind in "rs" and full not in self._heard["w"]:
                    self._inherited[full] = None


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


def source_of(path: Path) -> Path:
    """Return the source of a compiled module, any other path as it is."""
    if path.suffix == ".pyc":
        with contextlib.suppress(ValueError, NotImplementedError):
            return Path(importlib.util.source_from_cache(str(path)))
    return path


OPENED = OpenedFiles()
"""What the runs of this process have read."""
