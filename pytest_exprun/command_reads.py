"""What a training command reads below the root directory, heard in its own Pythons, as `pytest_exprun.opened` hears it in this one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_exprun import listener
from pytest_exprun.opened import OPENED, OpenedFiles


@contextlib.contextmanager
def listening(environment: Mapping[str, str], root: Path, heard: OpenedFiles = OPENED) -> Iterator[dict[str, str]]:
    """Give an environment in which Pythons tell what they read; when the block ends, that is taken in.

    A Python started with -I, -E or -S tells nothing, nor does a program that is no Python.
    """
    base = root.resolve()
    with tempfile.TemporaryDirectory(prefix="exprun-") as folder:
        shutil.copyfile(listener.__file__, Path(folder) / "sitecustomize.py")
        notes = Path(folder) / "reads"
        notes.touch()
        path = os.pathsep.join([folder, *filter(None, [environment.get("PYTHONPATH")])])
        own = {"PYTHONPATH": path, "EXPRUN_READS": str(notes), "EXPRUN_ROOT": str(base) + os.sep}
        yield {**environment, **own}
        found: dict[str, list[str]] = {"r": [], "l": [], "w": []}
        for line in notes.read_bytes().decode("utf-8", "surrogateescape").splitlines():
            if line[:1] in found:
                found[line[0]].append(os.path.relpath(line[1:], base))
        heard.add(base, found["r"], found["l"], found["w"])
