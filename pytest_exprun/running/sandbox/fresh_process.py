"""A block is run as in a fresh process, and leaves this one as it found it.

A run starts as it would in a fresh process: libraries set as they were right after their import, generators seeded by the system, then
whatever the trainer's own modules set while they were imported. After it everything is as it was before; what cannot be put back is
reported by name.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import os
import random
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_exprun.running.sandbox.leftovers import Leftovers
from pytest_exprun.running.sandbox.library_state import LIBRARIES, LIBRARY_KINDS
from pytest_exprun.running.sandbox.process_state import PYTHON_KINDS
from pytest_exprun.running.sandbox.saved_state import Snapshot, capture, restore
from pytest_exprun.trust.files.accesses import OPENED
from pytest_exprun.trust.files.audit_hook import code_of
from pytest_exprun.trust.identity.imports import is_first_party

KINDS = (*PYTHON_KINDS, *LIBRARY_KINDS)
_OWN_PACKAGE = str(Path(__file__).parents[2]) + os.sep


@dataclass
class Report:
    """What a run left behind.

    Attributes:
        leaks: what could not be put back: state, open files, child processes, threads; one phrase each.
        children: the child processes among them.
    """

    leaks: list[str] = field(default_factory=list)
    children: list[int] = field(default_factory=list)


# What libraries are right after their import, and what the trainer's own modules did while they were imported. Both last as long as the
# modules do, which is the life of the process.
_pristine: Snapshot = {}
_import_effects: dict[str, dict[str, Any]] = {}


class _WatchedLoader(importlib.abc.Loader):
    """Runs the real loader and notes the state around it."""

    def __init__(self, name: str, loader: Any) -> None:
        self._name, self._loader = name, loader

    def __getattr__(self, name: str) -> Any:
        """Return what only the real one has: `runpy` asks for the code, others for the source or data."""
        return getattr(self._loader, name)

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
            self._loader.exec_module(module)
            _import_effects[self._name] = _effects(_pristine_then(before), capture(_NUMERIC))


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


@contextlib.contextmanager
def _from_source() -> Iterator[None]:
    """Have the user's modules executed from what their files hold now, however they are loaded.

    A compiled file passes for current if its source has the same size and second of change.
    """
    from_file = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> Any:
        own = is_first_party(Path(self.get_filename(fullname)))
        return code_of(self, fullname) if own else from_file(self, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]  # put back below
    try:
        yield
    finally:
        SourceFileLoader.get_code = from_file  # type: ignore[method-assign]


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
    before, leftovers = capture(KINDS), Leftovers()
    watcher = _Watcher()
    _start_like_a_fresh_process()
    sys.meta_path.insert(0, watcher)
    try:
        with OPENED.recording(), _from_source():
            yield report
    finally:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(watcher)
        leaks = restore({**_pristine, **before}, KINDS)
        left, report.children = leftovers.found()
        report.leaks += [*leaks, *left]
