"""The default executor: one run after the other in this process, which is left as it was found."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pytest_exprun.running.executors.contract import OnPoint, Surroundings, Task, described, ended_like_ctrl_c, failed
from pytest_exprun.running.executors.processes import Processes
from pytest_exprun.running.sandbox.escapes import ENDING
from pytest_exprun.running.sandbox.fresh_process import Report, preserved_process_state
from pytest_exprun.running.sandbox.leftovers import children
from pytest_exprun.running.sandbox.watchdog import Guard
from pytest_exprun.running.training import trainers
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import TrainerError, one_line
from pytest_exprun.terms.model import RunSpec
from pytest_exprun.terms.outcome import CurvePoint, RunResult
from pytest_exprun.trust.files.accesses import OPENED
from pytest_exprun.trust.files.run_directory import run_directory
from pytest_exprun.trust.files.stray_writes import with_writes

GRACE_SECONDS = 30.0
"""How long a run past its time limit may go on without a progress line before the session is ended with it."""

_VANISHED = (
    "pytest-exprun: the session ended while {} trained in its process: it was killed, or left from code that Python cannot hold. "
    "Nothing after it was judged. With exprun_executor = processes each run has a process of its own"
)

OnCurve = Callable[[CurvePoint], None]


class TimedOut(BaseException):  # raised in the trainer's own print: no `except Exception` of a trainer may hold it
    """A run is past its time limit."""


class InProcess:
    """Trains the runs in order; ends after one that failed."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._trainer = trainers.from_settings(settings, settings.path("store") / "logs")
        self._checkpoint_dir: Path = settings.path("checkpoint_dir")
        self._settings, self._timeout = settings, settings.timeout
        self._surroundings = surroundings

    def rejects(self, specs: Sequence[RunSpec]) -> list[str | None]:
        """Ask the trainer's own parser."""
        # What the trainer starts while it is imported is heard now or never: its modules stay for all runs.
        with OPENED.recording(self._settings.root), preserved_process_state():
            return [self._trainer.rejects(spec) for spec in specs]

    def run(self, tasks: Iterable[Task], on_point: OnPoint) -> Generator[RunResult]:
        """Train each run in a directory of its own that is removed after its result is recorded."""
        stderr = 2 if self._surroundings.stderr is None else self._surroundings.stderr
        ENDING.stderr = stderr
        with contextlib.closing(Guard(stderr)) as guard:
            for task in tasks:
                if task.ground.is_tree:
                    yield from Processes(self._settings, self._surroundings).run([task], on_point)
                    continue
                with run_directory(self._checkpoint_dir, task.directory) as output_dir:
                    result = self._perform(task, output_dir, partial(on_point, task.spec), guard)
                    # The caller records the result before it asks for the next one: only then does the directory go.
                    yield result
                if result.status in ("crashed", "timeout"):
                    return

    def _perform(self, task: Task, output_dir: Path, on_point: OnCurve, guard: Guard) -> RunResult:
        limit = _Limit(self._timeout, task, self._surroundings, guard)
        on_line = limit.watching(on_point) if self._timeout else on_point
        state = Report()
        try:
            with (
                limit,
                ended_like_ctrl_c(),
                OPENED.recording(self._settings.root) as files,
                preserved_process_state() as state,
            ):
                result = self._trainer.run(task.spec, output_dir, on_line)
            result = with_writes(result, files, self._settings, output_dir)
        except TimedOut as error:
            result = failed(task.spec, "timeout", str(error))
        except TrainerError as error:
            result = failed(task.spec, "crashed", described(error))
        finally:
            _end_with_the_session(state.children)
        for leak in state.leaks:
            self._surroundings.notice(f"{task} left behind {leak}")
        beside = self._surroundings.beside
        return replace(result, provenance={**result.provenance, "concurrency": 1 + beside}) if beside else result


_left: set[int] = set()


def _end_with_the_session(pids: Sequence[int]) -> None:
    """Have child processes that a run left behind asked to end when this process does. Until then a later run may use them: a pool."""
    if pids and not _left:
        atexit.register(_end_left)
    _left.update(pids)


def _end_left() -> None:
    for pid, _ in children():
        if pid in _left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM)


class _Limit:
    """The time limit of one run in this process. It ends at the next progress line; a silent run ends the session, never hangs it."""

    def __init__(self, seconds: float, task: Task, surroundings: Surroundings, guard: Guard) -> None:
        self._seconds, self._surroundings, self._guard = seconds, surroundings, guard
        self._run = str(task)
        self._timer = threading.Timer(seconds, self._warn) if seconds else None
        self._ends = time.monotonic() + seconds

    def __enter__(self) -> None:
        self._guard.last_words(_VANISHED.format(one_line(self._run)))
        if self._timer is None:
            return
        self._timer.daemon = True
        self._timer.start()
        self._guard.watch_own(self._seconds)
        # The interpreter cannot stop C code that never comes back; faulthandler's own thread can at least say where it is and leave.
        with contextlib.suppress(OSError, ValueError, AttributeError):  # no usable standard error
            faulthandler.dump_traceback_later(
                self._seconds + GRACE_SECONDS, exit=True, file=self._surroundings.stderr or sys.__stderr__ or 2
            )

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            faulthandler.cancel_dump_traceback_later()
            self._timer.cancel()
            self._guard.forget_own()
        self._guard.last_words("")

    def _warn(self) -> None:
        self._surroundings.notice(
            f"{self._run} runs longer than exprun_timeout = {self._seconds:g} s: it is stopped at its next progress line; without one "
            f"within {GRACE_SECONDS:g} s the stacks of all threads are shown and the session ends"
        )

    def watching(self, on_point: OnCurve) -> OnCurve:
        """Return a callback that stops the run when its time is over."""
        return partial(self._hear, on_point)

    def _hear(self, on_point: OnCurve, point: CurvePoint) -> None:
        if time.monotonic() > self._ends:
            raise TimedOut(
                f"{self._run} ran longer than exprun_timeout = {self._seconds:g} s and was stopped at step {point.step}; "
                "raise the limit, or set it to 0 for none"
            )
        on_point(point)
