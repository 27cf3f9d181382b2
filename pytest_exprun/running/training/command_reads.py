"""What a training command reads below the root and what it writes, heard in its own Pythons as `trust.files.accesses` hears this one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_exprun.trust.files import audit_hook
from pytest_exprun.trust.files.accesses import OPENED, OpenedFiles, parse


@contextlib.contextmanager
def listening(environment: Mapping[str, str], root: Path, heard: OpenedFiles = OPENED) -> Iterator[dict[str, str]]:
    """Give an environment in which Pythons tell what they read and write; when the block ends, that is taken in.

    A Python started with -I, -E or -S tells nothing, nor does a program that is no Python.
    """
    base = root.resolve()
    with tempfile.TemporaryDirectory(prefix="exprun-") as folder:
        shutil.copyfile(audit_hook.__file__, Path(folder) / "sitecustomize.py")
        notes = Path(folder) / "reads"
        notes.touch()
        path = os.pathsep.join([folder, *filter(None, [environment.get("PYTHONPATH")])])
        own = {"PYTHONPATH": path, "EXPRUN_READS": str(notes), "EXPRUN_ROOT": str(base) + os.sep}
        yield {**environment, **own}
        found = _sorted_out(notes.read_bytes())
        heard.add(base, found["r"], found["l"], found["w"], found["again"])


def _sorted_out(notes: bytes) -> dict[str, dict[str, float]]:
    """Return what was read (r) before it was written, if it was, listed (l), written (w), and read after that (again), and when first."""
    found: dict[str, dict[str, float]] = {"r": {}, "l": {}, "w": {}, "again": {}}
    for kind, moment, name in parse(notes):
        if kind in found:
            found["again" if kind == "r" and name in found["w"] else kind].setdefault(name, moment)
    return found
