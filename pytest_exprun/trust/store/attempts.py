"""What the processes of one session (workers of pytest-xdist) tell each other of runs that gave no result, so that none is tried by all.

A small file a run, beside the store's other temporary files. It saves work and is never needed for correctness, like a lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_exprun.terms.whole_file import replace_file

MOST = 2
"""How many processes of a session may die of the same run: it is tried once more, as executors do."""


@dataclass(frozen=True)
class Attempts:
    """The notes of one session.

    Attributes:
        folder: where they lie.
        identity: what the session's processes have in common; empty if there is only one, which needs no notes.
    """

    folder: Path
    identity: str

    def error(self, run: str) -> str | None:
        """Return why a run of this name failed in another process, None if none has said so."""
        error = self._read(run).get("error") if self.identity else None
        return error if isinstance(error, str) else None

    @contextlib.contextmanager
    def trying(self, run: str) -> Iterator[str | None]:
        """Note during the block that this process performs a run, unless it has failed by then; the run's lock must be held.

        Yields why it must not be tried: as many processes as may have died of it.
        """
        if not self.identity:
            yield None
            return
        noted = self._read(run).get("by")
        tried = [attempt for attempt in noted if _has_died(attempt)] if isinstance(noted, list) else []
        if len(tried) >= MOST:
            yield f"the process that performed it died, {len(tried)} times in this session"
            return
        self._write(run, {"by": [*tried, [os.getpid(), socket.gethostname()]]})
        try:
            yield None
        finally:
            if self.error(run) is None:
                with contextlib.suppress(OSError):
                    self._path(run).unlink()

    def failed(self, run: str, error: str) -> None:
        """Tell the others."""
        if self.identity:
            self._write(run, {"error": error})

    def _path(self, run: str) -> Path:
        return self.folder / f"attempt-{self.identity}-{run}.json"

    def _read(self, run: str) -> dict[str, Any]:
        try:
            note = json.loads(self._path(run).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _write(self, run: str, note: dict[str, Any]) -> None:
        """Replace the note in one step: another process reads it at any time."""
        with contextlib.suppress(OSError):
            replace_file(self._path(run), json.dumps(note))


def _has_died(attempt: Any) -> bool:
    """Whether the process of an attempt is gone, or ended and not yet waited for. On another host nobody knows."""
    try:
        pid, host = attempt
        if host != socket.gethostname():
            return False
        os.kill(int(pid), 0)
        return (
            Path(f"/proc/{int(pid)}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
            == "Z"
        )
    except ProcessLookupError:
        return True
    except (OSError, TypeError, ValueError, IndexError):
        return False
