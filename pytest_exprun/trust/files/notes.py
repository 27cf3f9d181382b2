"""The folder where other processes note what they hear, and where the Pythons among them find what makes them tell."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.trust.files import audit_hook, started_python
from pytest_exprun.trust.files.started_python import END, HOOK_NAME, Notes


class NotesFolder:
    """A new folder among temporary files, which goes with this process.

    Raises:
        TrainerError: there is no place for it.
    """

    def __init__(self) -> None:
        self._taken = 0
        try:
            self.path = tempfile.mkdtemp(prefix="exprun-")
            atexit.register(_remove, self.path, os.getpid())
            shutil.copyfile(started_python.__file__, Path(self.path, "sitecustomize.py"))
            shutil.copyfile(audit_hook.__file__, Path(self.path, f"{HOOK_NAME}.py"))
            for name in (Notes.FILE, Notes.WHOLE):
                Path(self.path, name).touch()
        except OSError as error:
            raise TrainerError(
                f"what runs read cannot be noted among temporary files ({error}): make room there, or set TMPDIR to another folder"
            ) from None

    def take(self) -> Iterator[tuple[str, float, str]]:
        """Yield what was noted since the last time: kind, moment and name."""
        try:
            with Path(self.path, Notes.FILE).open("rb") as file:
                file.seek(self._taken)
                notes = file.read()
        except OSError as error:
            Notes(self.path).lose(error.errno or 0)
            return
        self._taken += len(notes)
        yield from parse(notes)

    def lost(self) -> str:
        """Say why somebody could not note what he heard, empty if all could. It stays: what he read may stand in memory for later runs."""
        if Path(self.path, Notes.WHOLE).exists():
            return ""
        numbers = [int(path.name.removeprefix(Notes.LOST)) for path in Path(self.path).glob(f"{Notes.LOST}*")]
        return f"{self.path}: {os.strerror(numbers[0]) if any(numbers) else 'unknown reason'}"


def parse(notes: bytes) -> Iterator[tuple[str, float, str]]:
    """Yield kind, moment and name of each note; nothing for one that was cut off."""
    for line in notes.split(END):
        moment, _, name = os.fsdecode(line[1:]).partition(" ")
        with contextlib.suppress(ValueError):
            yield line[:1].decode("ascii", "replace"), float(moment), name


def _remove(folder: str, process: int) -> None:
    """Remove the folder; a process that was forked leaves it to the one that made it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
