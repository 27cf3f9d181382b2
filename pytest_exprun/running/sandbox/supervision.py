"""A command as a child process: its output line by line, its time limit, its end, and the end of whatever it started."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pytest_exprun.running.executors.child import Guard

MAX_LINE = 1 << 17
"""Bytes of one line that are held; a longer one is passed on in part, marked as incomplete."""
GRACE_SECONDS = 5.0
"""How long a process may take to end by itself after it was asked to."""
_DRAIN_SECONDS = 0.5
_POLL_SECONDS = 0.1
_CHUNK = 1 << 16
_MARK = "EXPRUN_RUN"
_LINE_END = re.compile(rb"[\r\n]+")

OnLine = Callable[[bytes, bool], None]
"""Takes in a line without its end, and whether it is complete."""


@dataclass
class Ended:
    """How a command ended.

    Attributes:
        status: exit status, negative for the signal that killed it.
        cpu_seconds: of the command and of all of its processes that it waited for.
        left_behind: processes of its that outlived it and were ended.
        timed_out: it was ended because it took too long.
    """

    status: int
    cpu_seconds: float
    left_behind: int = 0
    timed_out: bool = False


class _Stream:
    """Cuts one stream into lines. A carriage return ends a line too: each state of a progress bar is one."""

    def __init__(self, pipe: IO[bytes], on_line: OnLine, on_bytes: Callable[[bytes], None]) -> None:
        self.pipe, self._on_line, self._on_bytes = pipe, on_line, on_bytes
        self._rest, self._overlong = b"", False

    def read(self) -> bool:
        """Take in what there is; False at the end of the stream."""
        data = os.read(self.pipe.fileno(), _CHUNK)
        *lines, rest = _LINE_END.split(self._rest + data) if data else [self._rest, b""]
        if lines:
            # The log gets whole lines, so that those of the two streams do not mix.
            self._on_bytes((self._rest + data)[: len(self._rest) + len(data) - len(rest)])
        for line in lines:
            self._line(line)
        self._rest = rest
        if len(rest) > MAX_LINE:
            self._on_bytes(rest)
            self._line(rest)
            self._rest, self._overlong = b"", True
        return bool(data)

    def _line(self, line: bytes) -> None:
        complete = not self._overlong and len(line) <= MAX_LINE
        if line or self._overlong:
            self._on_line(line[:MAX_LINE], complete)
        self._overlong = False


def supervise(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    on_line: OnLine,
    on_bytes: Callable[[bytes], None],
    timeout: float = 0.0,
) -> Ended:
    """Run a command to its end. Whatever is raised here, from a callback too, ends it and everything it started first.

    Standard output and standard error are read apart, so that no line of one is torn by the other, and passed on as they come.

    Args:
        argv: the program and its arguments; no shell reads them.
        cwd: its working directory.
        environment: all of it.
        on_line: hears each line.
        on_bytes: takes in the output as it is, in whole lines where there are any.
        timeout: seconds it may take, 0 for any.

    Raises:
        OSError: it cannot be started.
    """
    mark = secrets.token_hex(16)
    before = _cpu_of_children()
    with contextlib.closing(Guard()) as guard:
        process = subprocess.Popen(  # noqa: S603  # the user's own command
            argv,
            cwd=cwd,
            env={**environment, _MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        guard.watch(process.pid)
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            streams = [_Stream(pipe, on_line, on_bytes) for pipe in (process.stdout, process.stderr)]
            timed_out, left = _follow(process, streams, mark, timeout)
        except BaseException as error:
            _end(process, mark, signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
            raise
        finally:
            guard.forget(process.pid)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
    return Ended(process.returncode, _cpu_of_children() - before, left, timed_out)


def _follow(
    process: subprocess.Popen[bytes], streams: Sequence[_Stream], mark: str, timeout: float
) -> tuple[bool, int]:
    """Read until the command has ended and its output too; return whether it was too late, and how many processes it left."""
    deadline = time.monotonic() + timeout if timeout else float("inf")
    timed_out, left = False, 0
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.pipe, selectors.EVENT_READ, stream)
        while process.poll() is None:
            _read(selector, process)
            if time.monotonic() > deadline and not timed_out:
                timed_out = True
                _end(process, mark, signal.SIGTERM)
        # A process that outlives the command holds its output open, and may go on printing: it must not hold us.
        for patience in (_DRAIN_SECONDS, GRACE_SECONDS):
            stops = time.monotonic() + patience
            while selector.get_map() and time.monotonic() < stops:
                _read(selector, process)
            left = left or _end(process, mark, signal.SIGTERM)
    return timed_out, left


def _read(selector: selectors.BaseSelector, process: subprocess.Popen[bytes]) -> None:
    """Take in what there is; wait a moment if there is nothing."""
    if not selector.get_map():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
        return
    for key, _ in selector.select(_POLL_SECONDS):
        if not key.data.read():
            selector.unregister(key.fileobj)


def _end(process: subprocess.Popen[bytes], mark: str, first: signal.Signals) -> int:
    """End the command and everything it started: ask first, then kill. Return how many processes there were besides it."""
    others = {pid for pid in _members(process.pid, mark) if pid != process.pid}
    number: signal.Signals = first
    try:
        for number in dict.fromkeys((first, signal.SIGTERM)):
            _signal(process, mark, number)
            if _gone(process, mark, GRACE_SECONDS):
                return len(others)
    finally:  # an impatient second Ctrl-C comes here at once
        _signal(process, mark, signal.SIGKILL)
        _gone(process, mark, GRACE_SECONDS)
    return len(others)


def _signal(process: subprocess.Popen[bytes], mark: str, number: signal.Signals) -> None:
    if process.poll() is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, number)
    for pid in _members(process.pid, mark):
        if pid != process.pid:
            with contextlib.suppress(OSError):
                os.kill(pid, number)


def _gone(process: subprocess.Popen[bytes], mark: str, seconds: float) -> bool:
    """Wait for the end of everything; whether it came in time."""
    ends = time.monotonic() + seconds
    pause = 0.005
    while process.poll() is None or any(True for _ in _members(process.pid, mark)):
        if time.monotonic() > ends:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _POLL_SECONDS)
    return True


def _members(group: int, mark: str) -> Iterator[int]:
    """Living processes of a group, and those that left it but carry our mark in their environment. Linux tells; elsewhere none is found."""
    wanted = f"{_MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            state, _, its_group, *_ = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if state not in "ZX" and (
                int(its_group) == group or wanted in (folder / "environ").read_bytes().split(b"\0")
            ):
                yield int(folder.name)


def _cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system
