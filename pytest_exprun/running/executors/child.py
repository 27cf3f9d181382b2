"""A worker process (module `worker` beside this one) as its parent sees it: its job, its events, its output, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_exprun.running.sandbox.supervision import OnBytes, Supervised
from pytest_exprun.running.sandbox.watchdog import Guard
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.secrets import remembered

_DUMP_SECONDS = 1.0
"""How long a run past its time limit has to say where it is, before it is killed."""
_EXIT_SECONDS = 20.0
"""How long a worker may take to end after its result is known."""
_FINAL = {"result", "answers", "error"}
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class Child(Supervised):
    """One worker process; `job` is what `pytest_exprun.running.executors.worker` documents, `on_output` takes in what it prints.

    `options` are the interpreter's.
    """

    def __init__(
        self,
        job: Mapping[str, Any],
        environment: Mapping[str, str],
        guard: Guard,
        *,
        on_output: OnBytes,
        timeout: float,
        options: Sequence[str] = (),
    ) -> None:
        self._final: Mapping[str, Any] | None = None
        self._events: list[Mapping[str, Any]] = []
        self._line, self._oom_kills = b"", oom_kills()
        reading, writing = os.pipe()
        try:
            super().__init__(
                [sys.executable, *options, "-m", "pytest_exprun.running.executors.worker", str(writing)],
                environment,
                Path.cwd(),
                guard,
                outputs=[on_output],
                timeout=timeout,
                when_late=[(signal.SIGUSR1, _DUMP_SECONDS)],  # faulthandler prints the stacks of all threads
                told=json.dumps(job).encode() + b"\n",
                passed=[writing],
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self.listen(os.fdopen(reading, "rb", buffering=0), self._hear)

    def _hear(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for event in map(json.loads, lines):
            if event["event"] in _FINAL:
                self._final = event
                self.must_end_within(_EXIT_SECONDS)
            else:
                self._events.append(event)

    def events(self) -> Sequence[Mapping[str, Any]]:
        """Return what it has said since the last time, its final event left out."""
        self.pump()
        events, self._events = self._events, []
        return events

    @property
    def lingered(self) -> bool:
        """Whether it had to be killed after it had done its job."""
        return self.overdue and self._final is not None

    def last_word(self) -> Mapping[str, Any]:
        """Return its final event; for a process that did not live to send one, `{"event": "ended", "how": ..., "timed_out": ...}`."""
        return self._final or {"event": "ended", "how": self._death(), "timed_out": self.overdue}

    def _death(self) -> str:
        if self.status is None or self.status >= 0:
            return f"its process ended with exit status {self.status} and no result"
        try:
            name = signal.Signals(-self.status).name
        except ValueError:
            name = f"signal {-self.status}"
        kills = oom_kills()
        by_kernel = kills is not None and self._oom_kills is not None and kills > self._oom_kills
        memory = "; the kernel ended processes because memory ran out" if by_kernel and name == "SIGKILL" else ""
        return f"its process was killed by {name}{memory}"


def oom_kills() -> int | None:
    """Return how many processes the kernel has killed for memory since it started; None where it does not tell."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


def job(settings: Settings, path: Sequence[str], do: str, **more: Any) -> dict[str, Any]:
    """Return a worker's job: the session's settings, where modules lie, and what is to be done."""
    return {
        "do": do,
        "settings": settings.to_json(),
        "root": str(settings.root),
        "home": str(settings.home) if settings.home else None,
        "path": [each for each in path if each],
        "secrets": remembered(),
        **more,
    }


def surroundings() -> dict[str, str]:
    """Return the environment of a run: one thread unless the user's own environment says otherwise."""
    return dict.fromkeys(_THREAD_VARIABLES, "1") | dict(os.environ)
