"""What a run may not do to the process that it runs in: end it, replace it, signal it, close what it did not open.

A trainer is called like a function, but many are written as if the process were theirs. In comes a call of foreign code; out comes what it
returned, or one line that says how it failed. What no Python code can hold (an exit in C, SIGKILL from outside) is the guard's to tell.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import getpid  # a run may replace the module's
from typing import Any, NoReturn, TypeVar

from pytest_exprun.running.sandbox.leftovers import Descriptors, open_files, own_streams
from pytest_exprun.running.sandbox.process_state import ESSENTIAL_KINDS
from pytest_exprun.running.sandbox.saved_state import capture, restore
from pytest_exprun.terms.errors import TrainerError, describe, one_line, text_of, their_frames
from pytest_exprun.terms.outcome import CurvePoint

T = TypeVar("T")


class Escape(SystemExit):  # no `except Exception` of a trainer may hold it
    """Raised where a run tries what it may not; the run is over."""


class ForeignError(TrainerError):
    """Foreign code failed: what happened as one line, and its own frames. The exception itself is not kept, its methods are foreign too."""

    def __init__(self, what: str, frames: str = "", verb: str = "raised ") -> None:
        super().__init__(f"{verb}{what}")
        self.what, self.frames = what, frames


@dataclass
class Ending:
    """How the process ends if something that a run left behind (a thread, an exit handler) calls os._exit(0) outside of a run.

    Attributes:
        status: the session's own; as long as there is none, an error.
        stderr: a descriptor that reaches the user.
        alone: the process is one run's own, which may end it: how it ended is told from outside.
    """

    status: int = 1
    stderr: int = 2
    alone: bool = False


ENDING = Ending()
_current: Confinement | None = None


class Confinement:
    """One call of foreign code in this process. What it forks is free."""

    def __init__(self) -> None:
        self._pid, self._thread = getpid(), threading.get_ident()
        self._others = set(sys._current_frames()) - {self._thread}  # noqa: SLF001  # the session's threads, started in C too
        self._lifted = threading.local()
        self._tried = ""
        self._passing: BaseException | None = None
        self.descriptors = Descriptors()
        self.handlers: dict[int, Any] = {number: signal.getsignal(number) for number in signal.valid_signals()}

    def heard_by(self, on_point: Callable[[CurvePoint], None]) -> Callable[[CurvePoint], None]:
        """Return the same callback, free to do what the run may not. What it raises ends the run whatever the trainer makes of it."""

        def hear(point: CurvePoint) -> None:
            if getpid() != self._pid:
                return
            self._lifted.now = True
            try:
                on_point(point)
            except BaseException as error:
                self._passing = error
                raise
            finally:
                self._lifted.now = False

        return hear

    def perform(self, call: Callable[[], T]) -> T:
        """Call it. A forked process never comes back from here.

        Raises:
            ForeignError: it raised anything at all, or tried what it may not.
            TrainerError: ours, raised inside.
        """
        value, error, failure = None, None, None
        with self._in_force():
            before = capture(ESSENTIAL_KINDS)
            try:
                value = call()
            except BaseException as raised:  # noqa: BLE001  # GeneratorExit, and what pytest's skip, fail and exit raise
                error = raised
            if getpid() != self._pid:
                _end_fork(error)
            restore(before, ESSENTIAL_KINDS)  # or nothing of what follows would work
            if error is not None:
                failure = _told(error)  # by its own methods, so in here
        if self._passing is not None:
            raise self._passing
        if self._tried:
            raise ForeignError(self._tried, getattr(failure, "frames", ""), verb="")
        if failure is not None:
            raise failure from failure.__cause__
        return value  # type: ignore[return-value]  # there was no error

    @contextlib.contextmanager
    def _in_force(self) -> Iterator[None]:
        """Stand between foreign code and the functions that it may not use freely, and mend the descriptors that it closed in C."""
        global _current  # noqa: PLW0603  # the process has one
        before = _current
        _current = self
        try:
            with self.descriptors.spared(), own_streams(), _replaced():
                yield
        finally:
            _current = before
        if closed := self.descriptors.closed:
            numbers = ", ".join(map(str, closed))
            self._tried = self._tried or f"closed descriptor {numbers}: {_NOT_OPENED}"

    def holds(self) -> bool:
        """Whether it is the run that calls: this process, no thread of the session's, none of our own callbacks."""
        own = getpid() == self._pid and threading.get_ident() not in self._others
        return own and not getattr(self._lifted, "now", False)

    def refuse(self, call: str, why: str) -> NoReturn:
        """End the run, also when a thread of its own asked for it."""
        self._tried = self._tried or f"tried {one_line(call)[:300]}: {why}"
        if threading.get_ident() != self._thread == threading.main_thread().ident:
            _REAL["pthread_kill"](self._thread, signal.SIGINT)
            raise SystemExit  # of which a thread ends without a word
        raise Escape(self._tried)


def _told(error: BaseException) -> BaseException:
    """Return what is to be raised for an exception: what is ours passes, and Ctrl-C."""
    if isinstance(error, TrainerError | KeyboardInterrupt):
        return error
    if isinstance(error, SystemExit):
        return ForeignError(f"stopped with exit status {one_line(text_of(error.code))}; its output says why", verb="")
    return ForeignError(describe(error), their_frames(error))


# What is refused, and why.

_STANDARD_ERROR = 2
_UNHEARD = {
    getattr(signal, name, 0) for name in ("SIGINT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU")
}  # nobody sees the end
_HARMLESS = {0} | {getattr(signal, name, 0) for name in ("SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH")}
_NOT_ITS_OWN = "the process is not the run's own; return the metrics, or raise"
_NOT_OPENED = "that was open before the run, which may close what it opened"
Refuses = Callable[..., str]
"""Takes the arguments of a call; says why it is refused, or nothing."""


def _always(*_: object) -> str:
    return _NOT_ITS_OWN


def _in_the_session(*_: object) -> str:
    return "" if ENDING.alone else _NOT_ITS_OWN


def _of_itself(pid: object = 0, *_: object) -> str:
    return _NOT_ITS_OWN if pid in (0, getpid()) else ""


def _signal_to(pid: int, number: int) -> str:
    """Refuse what would end the session or those that wait for it; a run may signal itself where it has a handler of its own."""
    if pid in (-1, os.getppid()):
        return _NOT_ITS_OWN if number else ""
    return _own_signal(number) if pid in (0, getpid(), -os.getpgrp()) else ""


def _own_signal(signalnum: int) -> str:
    assert _current is not None
    handler = signal.getsignal(signalnum) if signalnum else None
    is_heard = handler is signal.SIG_IGN or (callable(handler) and handler is not _current.handlers.get(signalnum))
    is_free = ENDING.alone and signalnum not in _UNHEARD
    return "" if signalnum in _HARMLESS or is_heard or is_free else _NOT_ITS_OWN


def _signal_to_group(group: int, number: int) -> str:
    return _signal_to(-group, number)


def _closing(number: object) -> str:
    assert _current is not None
    return _NOT_OPENED if _current.descriptors.are_ours(number) else ""


def _over(_: object, number: int, *__: object) -> str:
    # To send the outputs elsewhere is usual, and is put back.
    return _closing(number) if number > _STANDARD_ERROR else ""


def _closing_range(low: int, high: int) -> str:
    assert _current is not None
    return next(
        (_NOT_OPENED for number in open_files() if low <= number < high and _current.descriptors.are_ours(number)), ""
    )


_REFUSALS: dict[str, tuple[tuple[str, ...], Refuses]] = {
    **dict.fromkeys(("_exit", "abort", "execv", "execve"), (("os", "posix"), _in_the_session)),
    **dict.fromkeys(("setsid", "setpgrp", "chroot"), (("os", "posix"), _always)),
    "setpgid": (("os", "posix"), _of_itself),
    "kill": (("os", "posix"), _signal_to),
    "killpg": (("os", "posix"), _signal_to_group),
    "close": (("os", "posix"), _closing),
    "dup2": (("os", "posix"), _over),
    "closerange": (("os", "posix"), _closing_range),
    "raise_signal": (("signal",), _own_signal),
    "pthread_kill": (("signal",), lambda _, number: _own_signal(number)),
}
_REAL: dict[str, Any] = {
    name: getattr(sys.modules[places[0]], name)
    for name, (places, _) in _REFUSALS.items()
    if hasattr(sys.modules[places[0]], name)
}


def _standing_before(name: str) -> Callable[..., Any]:
    """Return what is called in place of a function: itself, unless a run calls it that may not."""
    places, refuses = _REFUSALS[name]

    def call(*args: Any, **named: Any) -> Any:
        run = _current
        if run is not None and run.holds():
            with contextlib.suppress(TypeError, OSError):  # the real one says what is wrong with its arguments
                if why := refuses(*args, **named):
                    run.refuse(f"{places[0]}.{name}({', '.join(map(repr, args))})", why)
        elif name == "_exit" and getpid() == _PROCESS and not ENDING.alone:
            _exit_between_runs(*args)
        return _REAL[name](*args, **named)

    call.__name__ = call.__qualname__ = name
    return call


def _exit_between_runs(status: int = 0) -> None:
    """A thread or an exit handler that a run left behind must not turn the session green."""
    if status == 0 and ENDING.status:
        with contextlib.suppress(OSError):
            line = f"pytest-exprun: something that a run left behind called os._exit(0); the exit status is {ENDING.status}\n"
            os.write(ENDING.stderr, line.encode())
        _REAL["_exit"](ENDING.status)


_PROCESS = getpid()
_STANDING = {name: _standing_before(name) for name in _REAL}


@contextlib.contextmanager
def _replaced() -> Iterator[None]:
    """Put ours in place, and take it away again; os._exit stays ours, for what runs leave behind."""
    before = []
    for name, ours in _STANDING.items():
        for module in filter(None, map(sys.modules.get, _REFUSALS[name][0])):
            before.append((module, name, getattr(module, name)))
            setattr(module, name, ours)
    try:
        yield
    finally:
        for module, name, value in before:
            if name != "_exit":
                setattr(module, name, value)


def _end_fork(error: BaseException | None) -> NoReturn:
    """End a process that a run forked and that came back from it: the session goes on in its parent."""
    status = 1
    if error is None or isinstance(error, SystemExit):
        code = getattr(error, "code", None)
        status = code if isinstance(code, int) else int(code is not None)
    else:
        with contextlib.suppress(BaseException):
            print(their_frames(error), describe(error), sep="\n", file=sys.stderr)
    with contextlib.suppress(BaseException):
        sys.stderr.flush()
    _REAL["_exit"](status & 0xFF)
    raise AssertionError
