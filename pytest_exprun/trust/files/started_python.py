"""What a Python does at its start that a run has started: it tells what it hears, and runs no compiled file of the project.

Copied into a folder as `sitecustomize.py`, with `audit_hook` beside it. Whatever goes wrong here must not touch the program.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

TYPE_CHECKING = False
HOOK_NAME = "exprun_audit_hook"
"""Under which name `audit_hook` lies beside the copy."""

if TYPE_CHECKING or __name__ != "sitecustomize":
    from typing import Any

    from pytest_exprun.trust.files.audit_hook import Ears, code_of
else:
    from exprun_audit_hook import Ears, code_of


def note(kind: str, name: str) -> bytes:
    """Return a line for the notes: something was heard now. Names with a line end are left out."""
    return b"" if "\n" in name else f"{kind}{time.time()} {name}\n".encode("utf-8", "surrogateescape")


def run_from_source(root: str) -> None:
    """Have modules below `root` compiled from source, never taken from a compiled file."""
    loader = sys.modules["_frozen_importlib_external"].SourceFileLoader
    from_file = loader.get_code

    def get_code(self: Any, fullname: str) -> Any:  # a method of Python's own class
        path = self.get_filename(fullname)
        here = path.startswith(root) and "site-packages" not in path
        return code_of(self, fullname) if here else from_file(self, fullname)

    loader.get_code = get_code


def listen(notes: str, root: str) -> None:
    """Append a line to the file `notes` for everything that is heard, once."""
    descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND)
    seen: set[tuple[str, str]] = set()

    def tell(kind: str, name: str) -> None:
        if (kind, name) not in seen and (kind != "a" or name.startswith(root)):
            seen.add((kind, name))
            os.write(descriptor, note(kind, name))

    ears = Ears(tell, (os.path.dirname(notes) + os.sep,))  # noqa: PTH120  # no import that a script would not make itself
    sys.addaudithook(ears.hear)
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


if __name__ == "sitecustomize":
    with contextlib.suppress(Exception):
        run_from_source(os.environ["EXPRUN_ROOT"])
    with contextlib.suppress(Exception):
        listen(os.environ["EXPRUN_NOTES"], os.environ["EXPRUN_ROOT"])
    _give_way(os.path.dirname(__file__))  # noqa: PTH120  # see `listen`
