"""Notes which files the Pythons of a training command read and write.

Copied into a folder as `sitecustomize.py`, which Python imports at its start. It stands alone: the command's Python may be another
one, without this package. Whatever goes wrong here must not touch the script.
"""

import contextlib
import os
import sys
import time

# Audit event -> which of its arguments is the path.
CHANGES = {"os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1}
HEARD = {"open": 0, "os.listdir": 0, "os.scandir": 0, "sqlite3.connect": 0, **CHANGES}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def kinds_of_open(mode: object, flags: object) -> str:
    """Return what the arguments of an audit event `open` mean: r, w, or rw where what was there can be read and changed (`r+`)."""
    if isinstance(mode, str):
        writes, keeps = set(mode) & set("wax+"), not set(mode) & set("wx")
        return "r" if not writes else "rw" if "+" in mode and keeps else "w"
    if not isinstance(flags, int) or not flags & _WRITES:
        return "r"
    return "rw" if flags & os.O_RDWR and not flags & (os.O_TRUNC | os.O_EXCL) else "w"


def kinds_of_event(event: str, arguments: tuple) -> str:  # type: ignore[type-arg]  # old Pythons know no `tuple[...]`
    """Return what an event means for its path: read (r), written (w), both, or listed (l); nothing if the import system lists it."""
    if event == "open":
        return kinds_of_open(arguments[1], arguments[2])
    if event == "sqlite3.connect":
        return "rw"
    if event in CHANGES:
        return "w"
    # Above this function and the hook that called it. The import system lists every folder.
    return "" if sys._getframe(2).f_code.co_filename.startswith("<frozen importlib") else "l"  # noqa: SLF001


def note(kind: str, name: str) -> bytes:
    """Return a line for the notes: a path was read, written or listed now. Names with a line end are left out."""
    return b"" if "\n" in name else f"{kind}{time.time()} {name}\n".encode("utf-8", "surrogateescape")


def _listen(notes: str, root: str) -> None:
    """Append a line to the file `notes` for every path that is written (w), or below `root` read (r) or listed (l): when it first was."""
    descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND)
    seen = set()

    def hear(event: str, arguments: tuple) -> None:  # type: ignore[type-arg]  # old Pythons know no `tuple[...]`
        if event not in HEARD:
            return
        with contextlib.suppress(Exception):
            name = os.path.abspath(os.fsdecode(arguments[HEARD[event]]))  # noqa: PTH100  # called for every open: it must be quick
            for kind in kinds_of_event(event, arguments):
                if (kind == "w" or name.startswith(root)) and (kind, name) not in seen:
                    seen.add((kind, name))
                    os.write(descriptor, note(kind, name))

    sys.addaudithook(hear)


def run_from_source(root: str) -> None:
    """Have modules below `root` compiled from source: a compiled file passes for current after an edit of the same second and size."""
    loader = sys.modules["_frozen_importlib_external"].SourceFileLoader
    from_file = loader.get_code

    def get_code(self, fullname):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # a method of Python's own class
        path = self.get_filename(fullname)
        if path.startswith(root) and "site-packages" not in path:
            return self.source_to_code(self.get_data(path), path)
        return from_file(self, fullname)

    loader.get_code = get_code


def _give_way(here: str) -> None:
    """Leave the import path as it would be without us, and import the `sitecustomize` that we hide, if there is one."""
    sys.path[:] = [entry for entry in sys.path if entry != here]
    own = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401  # the user's, if any
    except ImportError:
        sys.modules["sitecustomize"] = own


if __name__ == "sitecustomize":
    with contextlib.suppress(Exception):
        _listen(os.environ["EXPRUN_READS"], os.environ["EXPRUN_ROOT"])
    with contextlib.suppress(Exception):
        run_from_source(os.environ["EXPRUN_ROOT"])
    _give_way(os.path.dirname(__file__))  # noqa: PTH120  # no import that a script would not make itself
