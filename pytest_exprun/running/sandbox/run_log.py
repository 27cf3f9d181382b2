"""What a run printed, in a file of bounded size that is kept if the run failed."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pytest_exprun.terms.errors import one_line
from pytest_exprun.terms.secrets import Stream

LIMIT = 8 * 1024 * 1024
"""Bytes of a log that are kept from its beginning; of what comes after them only the end is."""
TAIL = 64 * 1024
LONGEST = 300
PLACE = "all of it: "
"""What stands before the path of a log in a message."""


class RunLog:
    """Written as the run prints, so that it is there whatever ends the session. A log that cannot be written is no error of the run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size, self._tail = 0, bytearray()
        self._stream = Stream()
        self._file = None
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / ".gitignore").write_text("*\n", encoding="ascii")
            self._file = path.open("wb", buffering=0)

    def write(self, data: bytes) -> None:
        """Take in some output."""
        self._put(self._stream.take(data))

    def _put(self, data: bytes) -> None:
        self._tail += data[-TAIL:]
        if len(self._tail) > 2 * TAIL:  # now and then only: output may come in very small pieces
            del self._tail[:-TAIL]
        room = max(0, LIMIT - self._size)
        self._size += len(data)
        if self._file is not None and room:
            with contextlib.suppress(OSError):
                self._file.write(data[:room])

    def close(self, *, keep: bool) -> None:
        """Finish the file, or remove it."""
        self._put(self._stream.rest())
        if self._file is None:
            return
        left_out = self._size - LIMIT
        with contextlib.suppress(OSError):
            if keep and left_out > 0:
                self._file.write(
                    b"\n[%d bytes left out]\n" % max(0, left_out - TAIL) + self._tail[-min(TAIL, left_out) :]
                )
            self._file.close()
            if not (keep and self._size):
                self.path.unlink()
        self._file = None

    def told(self, why: str) -> str:
        """Return the message of a failed run, one line: with the last line of its output and where all of it is, unless it has that."""
        if PLACE in why:
            return why
        self._put(self._stream.rest())
        lines = self._tail[-TAIL:].decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
        last = one_line(next((line.rpartition("\r")[2][:LONGEST] for line in reversed(lines) if line.strip()), ""))
        if not last:
            return f"{why}; it printed nothing"
        return f"{why}; {'' if last in why else f'its output ended: {last}; '}{PLACE}{self.path}"
