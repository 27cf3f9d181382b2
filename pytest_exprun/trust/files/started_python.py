"""What a Python does at its start that a run has started: it tells what it hears, and runs no compiled file of the project.

Copied into a folder as `sitecustomize.py`, with `audit_hook` beside it. Whatever goes wrong here must not touch the program.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from errno import ENOSPC

TYPE_CHECKING = False
HOOK_NAME = "exprun_audit_hook"
"""Under which name `audit_hook` lies beside the copy."""
END = b"\0"
"""Of a note: no name has it."""
# A program may put others in their place.
_open, _write, _close, _rename, _remove, _join = os.open, os.write, os.close, os.rename, os.remove, os.path.join

if TYPE_CHECKING or __name__ != "sitecustomize":
    from typing import Any

    from pytest_exprun.trust.files.audit_hook import Ears, code_of
else:
    from exprun_audit_hook import Ears, code_of


class Notes:
    """What processes tell the one that made the folder: each thing that they hear, once.

    No descriptor is kept: a program may close all that it has, and a file of its own would get the number. A note that cannot be written
    leaves a trace all the same: a file changes its name, which needs no space, no descriptor and no file that may grow.
    """

    FILE, WHOLE, LOST = "notes", "whole", "lost-"

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._file, self._whole, self._lost = (_join(folder, name) for name in (self.FILE, self.WHOLE, self.LOST))
        self._noted: set[tuple[str, str]] = set()

    def note(self, kind: str, name: str) -> None:
        """Say that something was heard now."""
        if (kind, name) in self._noted:
            return
        line = f"{kind}{time.time()} ".encode() + os.fsencode(name) + END
        try:
            descriptor = _open(self._file, os.O_WRONLY | os.O_APPEND)  # appends of several processes do not mix
            try:
                if _write(descriptor, line) < len(line):
                    raise OSError(ENOSPC, "cut off")
            finally:
                _close(descriptor)
            self._noted.add((kind, name))
        except FileNotFoundError:
            pass  # who wants to read the notes misses them too
        except OSError as error:
            self.lose(error.errno or 0)

    def lose(self, number: int) -> None:
        """Leave the trace of an error: from now on nobody can say what the processes of this session read."""
        with contextlib.suppress(OSError):
            try:
                _rename(self._whole, f"{self._lost}{number}")
            except OSError:
                _remove(self._whole)


def run_from_source(root: str) -> None:
    """Have modules below `root` compiled from source, never taken from a compiled file."""
    loader = sys.modules["_frozen_importlib_external"].SourceFileLoader
    from_file = loader.get_code

    def get_code(self: Any, fullname: str) -> Any:  # a method of Python's own class
        path = self.get_filename(fullname)
        here = path.startswith(root) and "site-packages" not in path
        return code_of(self, fullname) if here else from_file(self, fullname)

    loader.get_code = get_code


def listen(notes: Notes, root: str) -> None:
    """Note everything that is heard from now on."""

    def tell(kind: str, name: str) -> None:
        if kind != "a" or name.startswith(root):
            notes.note(kind, name)

    ears = Ears(tell, (notes.folder + os.sep,))
    ears.root = root
    ears.open()


def _give_way(here: str) -> None:
    """Leave the import path as it would be without us, and import the `sitecustomize` that we hide, if there is one."""
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.modules.pop(HOOK_NAME, None)
    own = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401  # the user's, if any
    except ImportError:
        sys.modules["sitecustomize"] = own


def _begin(here: str) -> None:
    root, notes = os.environ.get("EXPRUN_ROOT", os.sep), Notes(here)
    try:
        run_from_source(root)
        listen(notes, root)
    except Exception:  # noqa: BLE001  # of a Python that is too old, for instance
        notes.lose(0)
    _give_way(here)


if __name__ == "sitecustomize":
    _begin(os.path.dirname(__file__))  # noqa: PTH120  # no import that a script would not make itself
