"""What a run printed, in a file of bounded size that is kept if the run failed."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pytest_exprun.terms.secrets import Stream

LIMIT = 8 * 1024 * 1024
"""Bytes of a log that are kept from its beginning; of what comes after them only the end is."""
TAIL = 64 * 1024
SHOWN_LINES = 15
_PLACE = "all of it: "


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

    def ending(self) -> str:
        """Return the last lines and where the whole log is, for the message of a failed run."""
        self._put(self._stream.rest())
        lines = self._tail[-TAIL:].decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
        last = [line.rpartition("\r")[2][:500] for line in lines if line.strip()][-SHOWN_LINES:]
        if not last:
            return "it printed nothing"
        return "\n".join(["its output ended:", *(f"  {line}" for line in last), f"{_PLACE}{self.path}"])

    def told(self, why: str) -> str:
        """Return the message of a failed run with the end of its output, unless it has one: a training command keeps a log of its own."""
        return why if _PLACE in why else f"{why}\n{self.ending()}"
