"""Where runs are performed. One contract: `run(specs, role, on_point)` yields results in any order; a failed run raises."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

from pytest_exprun.isolation import preserved_process_state, run_directory
from pytest_exprun.model import CurvePoint, RunResult, RunSpec
from pytest_exprun.opened import OPENED
from pytest_exprun.trainers import CallableTrainer

OnPoint = Callable[[RunSpec, CurvePoint], None]


@contextlib.contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a run as Ctrl-C does, so that finished seeds stay stored and the session reports what it has."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    # A signal that the session ignores on purpose (nohup) stays ignored.
    ours = [number for number, handler in before.items() if handler == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Executor(Protocol):
    """Performs runs. `role` names the run's directory: baseline, control or exp."""

    def rejects(self, spec: RunSpec) -> str | None:
        """Return why a run's flags cannot work, or None; asked for every experiment before the first run."""

    def run(self, specs: Sequence[RunSpec], role: str, on_point: OnPoint) -> Iterator[RunResult]:
        """Perform the runs; raise TrainerError for one that cannot be trusted."""


class InProcess:
    """One run after the other in this process, which is left as it was found."""

    def __init__(self, trainer: CallableTrainer, checkpoint_dir: Path, on_leak: Callable[[str], None]) -> None:
        self._trainer, self._checkpoint_dir, self._on_leak = trainer, checkpoint_dir, on_leak

    def rejects(self, spec: RunSpec) -> str | None:
        """Ask the trainer's own parser."""
        with preserved_process_state():
            return self._trainer.rejects(spec)

    def run(self, specs: Sequence[RunSpec], role: str, on_point: OnPoint) -> Iterator[RunResult]:
        """Train the specs in order, each in a directory of its own that is removed after the result is known."""
        for spec in specs:
            name = f"{role}_{spec.budget.suffix}_seed{spec.seed}"
            with run_directory(self._checkpoint_dir, name) as output_dir:
                with ended_like_ctrl_c(), OPENED.recording(), preserved_process_state() as state:
                    result = self._trainer.run(spec, output_dir, partial(on_point, spec))
                for leak in state.leaks:
                    self._on_leak(f"seed {spec.seed} of {spec.variant} left behind {leak}")
                # The caller records the result before it asks for the next one: only then does the directory go.
                yield result
