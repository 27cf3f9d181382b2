"""The script `guard` beside this module, as the process that it watches sees it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path


class Guard:
    """A small process that outlives this one just long enough to kill what this one started, and to say what it was doing.

    Args:
        stderr: a descriptor that reaches the user.
    """

    def __init__(self, stderr: int = subprocess.DEVNULL) -> None:
        script = Path(__file__).with_name("guard.py")
        self._process = subprocess.Popen(  # noqa: S603  # our own script
            [sys.executable, "-I", "-S", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )

    def watch(self, group: int) -> None:
        """Kill this process group when this process is gone."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """The group has ended."""
        self._tell(f"-{group}\n")

    def watch_own(self, after: float) -> None:
        """Kill all processes that come from this one when it is gone, if that is later than `after` seconds from now."""
        self._tell(f"!{after:f}\n")

    def forget_own(self) -> None:
        """This process may end without its children."""
        self._tell("-!\n")

    def last_words(self, line: str) -> None:
        """Say this if this process is gone from now on; nothing takes it back."""
        self._tell(f'"{line}\n')

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # somebody killed the guard: we go on without
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
