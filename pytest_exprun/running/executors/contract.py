"""Where runs are performed: the contract of all executors, and how one is found by its name.

An executor is made from plain data (`Settings`) and its surroundings, and performs runs given as plain data (`RunSpec`). One that
trains elsewhere sends no code: it starts `python -m pytest_exprun.running.executors.worker` there.
"""

from __future__ import annotations

import contextlib
import importlib
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol

from pytest_exprun.running.training.trainers import at_root
from pytest_exprun.settings.executors import EXECUTORS, executor_kind
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError, describe
from pytest_exprun.terms.model import RunSpec
from pytest_exprun.terms.outcome import CurvePoint, RunResult

if TYPE_CHECKING:
    from pytest_exprun.trust.trees.ground import Ground

OnPoint = Callable[[RunSpec, CurvePoint], None]


@dataclass(frozen=True)
class Task:
    """A run to perform, as what, and where: `role` (baseline, control, exp) is for names only.

    An executor performs it from `ground.settings.root`, and lets `ground.heard` know what it asked for. A tree's runs need a process each.
    """

    spec: RunSpec
    role: str
    ground: Ground

    @property
    def directory(self) -> str:
        """The name of the run's directory as the protocol has it, without the random part."""
        return f"{self.role}_{self.spec.budget.suffix}_seed{self.spec.seed}"

    def __str__(self) -> str:
        return f"seed {self.spec.seed} of {self.spec.variant}"


class Executor(Protocol):
    """Performs runs. Constructed as `Class(settings, surroundings)`."""

    def rejects(self, specs: Sequence[RunSpec]) -> list[str | None]:
        """Return for each run why its flags cannot work, or None; asked once, for every experiment, before the first run.

        Raises:
            TrainerError: the trainer cannot be asked at all.
        """

    def run(self, tasks: Iterable[Task], on_point: OnPoint) -> Generator[RunResult]:
        """Perform runs and yield their results in any order. Closing the generator ends what still runs.

        A run that cannot be trusted is yielded too, as `failed` makes it; the executor may end after it or go on with the others.
        `tasks` is asked for the next one only when that can start at once: from then on nobody else may train it.

        Args:
            tasks: what to perform.
            on_point: hears each progress line. What it raises ends all runs and is passed on.

        Raises:
            ExprunError: nothing can be performed here.
        """


@dataclass(frozen=True)
class Surroundings:
    """What an executor should know of the session it works for.

    Attributes:
        notice: tells the user something that is no error of a run.
        beside: how many other processes of this session may train at the same time (the other workers of pytest-xdist).
        stderr: a descriptor that reaches the user past pytest's capture, if there is one.
    """

    notice: Callable[[str], None]
    beside: int = 0
    stderr: int | None = None


@dataclass
class Deferred:
    """The executor that the settings name, made at its first use.

    A session that trains nothing needs none, and what is wrong with it is the error of the test that needs it.
    """

    settings: Settings
    surroundings: Surroundings

    @cached_property
    def _executor(self) -> Executor:
        return from_settings(self.settings, self.surroundings)

    def rejects(self, specs: Sequence[RunSpec]) -> list[str | None]:
        """Ask it."""
        return self._executor.rejects(specs)

    def run(self, tasks: Iterable[Task], on_point: OnPoint) -> Generator[RunResult]:
        """Have it perform runs."""
        return self._executor.run(tasks, on_point)


def from_settings(settings: Settings, surroundings: Surroundings) -> Executor:
    """Return the executor that the settings name, a built-in one or `module:Class`, imported from the root directory.

    Raises:
        SettingsError: there is no such executor, or what it needs is not installed.
    """
    executor: Executor = _class_of(settings)(settings, surroundings)
    return executor


def check_trees(settings: Settings) -> None:
    """Refuse an executor that would train the session's own files in place of another state's.

    Raises:
        SettingsError: it cannot be found, or does not say that it performs runs on trees.
    """
    if not (executor_kind(settings.executor).trees or getattr(_class_of(settings), "trees", False)):
        able = ", ".join(name for name, each in EXECUTORS.items() if each.trees)
        raise SettingsError(
            f"exprun_executor = {settings.executor!r} trains the files of the session, no other states of them: allowed are {able}, and "
            "module:Class with an attribute trees = True, which performs each task in task.ground.settings.root"
        )


def _class_of(settings: Settings) -> Any:
    """Return an executor's class, imported from the root directory."""
    module_name, _, class_name = executor_kind(settings.executor).place.partition(":")
    try:
        with at_root(settings.root):
            factory = getattr(importlib.import_module(module_name), class_name, None)
    except Exception as error:  # noqa: BLE001  # whatever a module of the user's raises
        raise SettingsError(
            f"exprun_executor = {settings.executor!r}: {module_name} cannot be imported from {settings.root} ({describe(error)}); "
            f"allowed are {', '.join(EXECUTORS)} and module:Class"
        ) from None
    if factory is None or not all(callable(getattr(factory, name, None)) for name in ("run", "rejects")):
        raise SettingsError(
            f"exprun_executor = {settings.executor!r}: {module_name} has no executor {class_name}, a class with the methods run and "
            f"rejects; allowed are {', '.join(EXECUTORS)} and module:Class"
        )
    return factory


def failed(spec: RunSpec, status: Literal["crashed", "timeout"], message: str, **provenance: Any) -> RunResult:
    """Return what stands for a run that cannot be trusted. It is never stored; `failure` finds the message again."""
    return RunResult(spec, status, {}, notes={"error": message}, provenance=provenance)


def failure(result: RunResult) -> str | None:
    """Return why a run cannot be trusted, None if it can."""
    if result.status in ("finished", "diverged"):
        return None
    return str(result.notes.get("error", f"seed {result.spec.seed} of {result.spec.variant}: {result.status}"))


_MEMORY_WORDS = (
    "memoryerror",
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "unable to allocate",
)


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an exception says that memory ran out: Python's, numpy's, torch's on either device."""
    return error is not None and any(word in describe(error).lower() for word in _MEMORY_WORDS)


def described(error: BaseException) -> str:
    """Return the message of a run's error, beginning with the words `out of memory` if that is what happened."""
    return f"out of memory: {error}" if out_of_memory(error.__cause__) else str(error)


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
