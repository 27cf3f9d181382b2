"""Process state saved before a run and restored after it, and the directory that a run may write in.

A run starts as it would in a fresh process: libraries set as they were right after their import, generators seeded by the system, then
whatever the trainer's own modules set while they were imported. After it everything is as it was before; what cannot be put back is
reported by name.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import os
import random
import secrets
import shutil
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_exprun.running.sandbox.library_state import LIBRARIES, LIBRARY_KINDS
from pytest_exprun.running.sandbox.process_state import PYTHON_KINDS, Kind
from pytest_exprun.terms.errors import StoreError
from pytest_exprun.trust.files.accesses import OPENED
from pytest_exprun.trust.identity.imports import is_first_party

KINDS = (*PYTHON_KINDS, *LIBRARY_KINDS)
TOKEN_FILE = ".exprun-owner"  # noqa: S105  # of ownership; no secret
_OWN_PACKAGE = str(Path(__file__).parents[2]) + os.sep

_RACES = 100

Snapshot = dict[str, Any]


@dataclass
class Report:
    """What a run left behind.

    Attributes:
        restored: kinds of state that the run changed and that are as before again.
        leaks: what could not be put back: open files, child processes, threads; one phrase each.
        children: the child processes among them.
    """

    restored: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    children: list[int] = field(default_factory=list)


def capture(kinds: Sequence[Kind] = KINDS) -> Snapshot:
    """Read all state there is now."""
    return {kind.name: kind.get() for kind in kinds if kind.loaded}


def restore(before: Snapshot, kinds: Sequence[Kind] = KINDS) -> Report:
    """Put back what differs from a snapshot."""
    report = Report()
    for kind in kinds:
        if kind.name not in before:
            continue
        try:
            if not kind.same(before[kind.name], kind.get()):
                kind.put(before[kind.name])
                report.restored.append(kind.name)
                if not kind.same(before[kind.name], kind.get()):
                    report.leaks.append(f"a changed {kind.name}")
        except Exception as error:  # noqa: BLE001  # one state that cannot be read must not keep the others from being restored
            report.leaks.append(f"a changed {kind.name} ({type(error).__name__}: {error})")
    return report


# What libraries are right after their import, and what the trainer's own modules did while they were imported. Both last as long as the
# modules do, which is the life of the process.
_pristine: Snapshot = {}
_import_effects: dict[str, dict[str, Any]] = {}


class _WatchedLoader(importlib.abc.Loader):
    """Runs the real loader and notes the state around it."""

    def __init__(self, name: str, loader: Any) -> None:
        self._name, self._loader = name, loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        if self._name in LIBRARIES:
            self._loader.exec_module(module)
            _pristine.update(capture([kind for kind in LIBRARY_KINDS if kind.module == self._name]))
        else:
            before = capture(_NUMERIC)
            self._execute_source(module)
            _import_effects[self._name] = _effects(_pristine_then(before), capture(_NUMERIC))

    def _execute_source(self, module: ModuleType) -> None:
        """Execute what the file holds now. A compiled file passes for current if its source has the same size and second of change."""
        if type(self._loader) is SourceFileLoader:
            code = self._loader.source_to_code(self._loader.get_data(self._loader.path), self._loader.path)
            exec(code, vars(module))  # noqa: S102  # what the import system does
        else:
            self._loader.exec_module(module)


_NUMERIC = [kind for kind in KINDS if kind.numeric]


def _pristine_then(before: Snapshot) -> Snapshot:
    """A library that came in meanwhile was pristine when it did."""
    return {**{name: value for name, value in _pristine.items() if name not in before}, **before}


def _effects(before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """What changed, in the form that `_start_like_a_fresh_process` applies."""
    changed = {}
    for kind in _NUMERIC:
        if kind.name in before and kind.name in after and not kind.same(before[kind.name], after[kind.name]):
            change = kind.delta(before[kind.name], after[kind.name]) if kind.delta else after[kind.name]
            if change is not None or kind.delta is None:
                changed[kind.name] = change
    return changed


class _Watcher(importlib.abc.MetaPathFinder):
    """Sees the imports of libraries with state and of first-party modules while a run is on."""

    def __init__(self) -> None:
        self._busy = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if getattr(self._busy, "name", None) == fullname:
            return None
        self._busy.name = fullname
        try:
            spec = _ask_others(self, fullname, path, target)
        finally:
            self._busy.name = None
        if (
            spec is None
            or spec.loader is None
            or not hasattr(spec.loader, "exec_module")
            or not _is_watched(fullname, spec)
        ):
            return spec
        spec.loader = _WatchedLoader(fullname, spec.loader)
        return spec


def _ask_others(
    watcher: _Watcher, name: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is not watcher and hasattr(finder, "find_spec"):
            spec: ModuleSpec | None = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


def _is_watched(name: str, spec: ModuleSpec) -> bool:
    if name in LIBRARIES:
        return True
    origin = spec.origin if spec.has_location else None
    return bool(origin) and is_first_party(Path(str(origin))) and not str(origin).startswith(_OWN_PACKAGE)


def _start_like_a_fresh_process() -> None:
    """Set libraries to what they are after import, apply the trainer's import-time settings, and draw new entropy where Python does."""
    restore(_pristine, _NUMERIC)
    # These generators are seeded by the system in a fresh process. Were they the same at the start of every run, a trainer that forgets to
    # seed one would look reproducible, and its spread between seeds would come out too small.
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()
    kinds = {kind.name: kind for kind in _NUMERIC}
    for effects in _import_effects.values():
        for name, change in effects.items():
            kind = kinds[name]
            (kind.apply or kind.put)(change)


@contextlib.contextmanager
def preserved_process_state() -> Iterator[Report]:
    """Run a block as in a fresh process and leave this one as it was found. The report is complete when the block has ended."""
    report = Report()
    OPENED.listen()  # what it needs is no resource of the block
    before = capture()
    resources = _resources()
    watcher = _Watcher()
    _start_like_a_fresh_process()
    sys.meta_path.insert(0, watcher)
    try:
        with OPENED.recording():
            yield report
    finally:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(watcher)
        found = restore({**_pristine, **before})
        report.restored.extend(found.restored)
        left = _left_open(resources)
        report.leaks.extend([*found.leaks, *sorted(left.values())])
        report.children.extend(int(name.removeprefix(_PROCESS)) for name in left if name.startswith(_PROCESS))


def _resources() -> dict[str, str]:
    """Open descriptors, threads and child processes, by a name that tells each from all others."""
    found = {f"descriptor {number}": f"open {target} (descriptor {number})" for number, target in _descriptors()}
    found |= {f"thread {thread.ident}": f"the running thread {thread.name!r}" for thread in threading.enumerate()}
    return found | {f"{_PROCESS}{pid}": f"the running child process {pid} ({name})" for pid, name in children()}


_PROCESS = "process "


def _left_open(before: dict[str, str]) -> dict[str, str]:
    left = {name: text for name, text in _resources().items() if before.get(name) != text}
    if left:
        gc.collect()  # what only a reference cycle keeps open is about to close
        left = {name: text for name, text in _resources().items() if before.get(name) != text}
    return left


def _descriptors() -> Iterator[tuple[str, str]]:
    for listing in (Path("/proc/self/fd"), Path("/dev/fd")):
        if listing.is_dir():
            for name in os.listdir(listing):  # noqa: PTH208  # iterdir holds its own descriptor open
                with contextlib.suppress(OSError):
                    yield name, str((listing / name).readlink()) if listing.parts[1] == "proc" else _kind_of(int(name))
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


@contextlib.contextmanager
def run_directory(root: Path, name: str) -> Iterator[Path]:
    """Make `<root>/<name>-<8 hex>` for one run and remove it afterwards, if it is still the directory that was made here.

    Raises:
        StoreError: it cannot be made; the message says where and what to change.
    """
    token = secrets.token_hex(16)
    path = root / f"{name}-{secrets.token_hex(4)}"
    made_root = not root.exists()
    try:
        _make_below(root, path)
        (path / TOKEN_FILE).write_text(token)
    except OSError as error:
        raise StoreError(
            f"checkpoint folder {root} cannot be written: {(error.strerror or str(error)).lower()}; "
            "set exprun_checkpoint_dir to a folder that can"
        ) from error
    try:
        yield path
    finally:
        remove_owned(path, token)
        if made_root:
            with contextlib.suppress(OSError):
                root.rmdir()


def _make_below(root: Path, path: Path) -> None:
    """Make a folder and its root. Another session may remove the root, empty for it, between the two: then once more."""
    for _ in range(_RACES):
        root.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.mkdir()
            return
    path.mkdir()


def remove_owned(path: Path, token: str) -> bool:
    """Delete a directory that holds our token, following no link and crossing into no other file system; tell whether it is gone."""
    try:
        place = path.lstat()
        token_file = path / TOKEN_FILE
        owned = stat.S_ISDIR(place.st_mode) and not token_file.is_symlink() and token_file.read_text() == token
        if owned and not _crosses_mounts(path, place.st_dev):
            shutil.rmtree(path)
    except (OSError, ValueError):
        return not path.exists()
    return not path.exists()


def _crosses_mounts(path: Path, device: int) -> bool:
    """Whether something below is mounted: `shutil.rmtree` would delete the content of that file system."""
    if os.path.ismount(path):
        return True
    for folder, names, _ in os.walk(path):
        for name in names:
            below = Path(folder, name)
            if not below.is_symlink() and (below.lstat().st_dev != device or os.path.ismount(below)):
                return True
    return False
