"""A process and all that it starts: what it says, its time limit, its end. One mechanism for our workers and for the user's commands.

It has a process group of its own, and a mark in its environment by which that is found, too, which leaves the group.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from pytest_exprun.running.sandbox.watchdog import Guard

MAX_LINE = 1 << 17
"""Bytes of one line that are held; a longer one is passed on in part, marked as incomplete."""
GRACE_SECONDS = 5.0
"""How long a process may take to end by itself after it was asked to."""
_DRAIN_SECONDS = 0.5
_POLL_SECONDS = 0.05
_CHUNK, _TURN = 1 << 16, 16
_MARK = "EXPRUN_RUN"
_PROC = Path("/proc/self/stat").exists()
"""Whether the system tells which processes there are: Linux does. Elsewhere only the group is known."""

OnBytes = Callable[[bytes], None]
OnLine = Callable[[bytes, bool], None]
"""Takes in a line without its end, and whether it is complete."""
Requests = Sequence[tuple[signal.Signals, float]]
"""Signals to send one after the other, each with the seconds there are to obey it."""


class Supervised:
    """One process.

    Args:
        argv: the program and its arguments; no shell reads them.
        environment: the whole environment of the process.
        cwd: its working directory.
        guard: kills it if this process dies.
        outputs: take in what it prints as it comes, and nothing at the end: one for both streams, or one for each, read apart.
        timeout: seconds it may take, 0 for any.
        when_late: what it is then asked before it is killed.
        told: what it reads from its standard input.
        passed: descriptors of ours that it keeps.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        guard: Guard,
        *,
        outputs: Sequence[OnBytes],
        timeout: float,
        when_late: Requests,
        told: bytes = b"",
        passed: Sequence[int] = (),
    ) -> None:
        self.overdue = False
        self._guard, self._mark, self._late = guard, secrets.token_hex(16), iter(when_late)
        self._process = subprocess.Popen(  # noqa: S603  # ourselves, or the user's own command
            argv,
            cwd=cwd,
            env={**environment, _MARK: self._mark},
            stdin=subprocess.PIPE if told else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if len(outputs) == 1 else subprocess.PIPE,
            pass_fds=passed,
            start_new_session=True,
        )
        self.pid = self._process.pid  # and its process group
        guard.watch(self.pid)
        self._deadline = time.monotonic() + timeout if timeout else float("inf")
        self._listeners: dict[int, OnBytes] = {}
        self._pipes: list[IO[bytes]] = []
        for pipe, take in zip((self._process.stdout, self._process.stderr), outputs, strict=False):
            assert pipe is not None
            self.listen(pipe, take)
        if self._process.stdin is not None:
            # It may be dead already; that shows soon enough.
            with contextlib.suppress(OSError), self._process.stdin as pipe:
                pipe.write(told)

    def listen(self, pipe: IO[bytes], take: OnBytes) -> None:
        """Hear one pipe more, and close it in the end."""
        os.set_blocking(pipe.fileno(), False)
        self._pipes.append(pipe)
        self._listeners[pipe.fileno()] = take

    @property
    def ended(self) -> bool:
        """Whether the process has ended; what it had sent before may still be there to `pump`."""
        return self._process.poll() is not None

    @property
    def status(self) -> int | None:
        """Its exit status, negative for the signal that killed it."""
        return self._process.returncode

    @property
    def descriptors(self) -> Sequence[int]:
        """What becomes readable when it has something to say; none when nobody can say anything any more."""
        return list(self._listeners)

    def pump(self) -> None:
        """Take in what there is, without waiting, and enforce the time limit."""
        if time.monotonic() > self._deadline and not self.ended:
            self.overdue = True
            number, patience = next(self._late, (signal.SIGKILL, GRACE_SECONDS))
            self._signal(number)
            self._deadline = time.monotonic() + patience
        for descriptor in self.descriptors:
            self._read(descriptor)

    def _read(self, descriptor: int) -> None:
        """Read what is there, but give others a turn: a run may print faster than this."""
        for _ in range(_TURN):
            try:
                data = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                return
            self._listeners[descriptor](data)
            if not data:
                del self._listeners[descriptor]
                return

    def must_end_within(self, seconds: float) -> None:
        """It has done its work: kill it without a question if it does not go."""
        self.overdue, self._late = False, iter(())
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def end(self, *first: signal.Signals) -> int:
        """End it and everything it started: ask first, then kill. Return how many processes there were besides it."""
        others = self._others()
        if _PROC and self.ended and not others:
            return 0
        try:
            for number in first:
                self._signal(number)
                if self._gone():
                    break
        finally:  # an impatient second Ctrl-C comes here at once
            self._signal(signal.SIGKILL)
            self._gone()
        return len(others)

    def close(self) -> None:
        """End everything now and release what belongs to it. What it had sent is lost."""
        self.end()
        self._guard.forget(self.pid)
        self._listeners.clear()
        for pipe in self._pipes:
            pipe.close()

    def _signal(self, number: signal.Signals) -> None:
        if number == signal.SIGUSR1:  # a question to our own worker; what that started would die of it
            self._process.send_signal(number)
            return
        if not (_PROC and self.ended):
            with contextlib.suppress(OSError):
                os.killpg(self.pid, number)
        for pid in self._others():
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    def _gone(self) -> bool:
        """Wait for the end of everything; whether it came in time."""
        ends, pause = time.monotonic() + GRACE_SECONDS, 0.005
        while not self.ended or self._others():
            if time.monotonic() > ends:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _POLL_SECONDS)
        return True

    def _others(self) -> set[int]:
        """Living processes of the group besides it, and those that left the group but carry the mark."""
        wanted, found = f"{_MARK}={self._mark}".encode(), set()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError, ValueError):
                state, _, group, *_ = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if state not in "ZX" and (
                    int(group) == self.pid or wanted in (folder / "environ").read_bytes().split(b"\0")
                ):
                    found.add(int(folder.name))
        return found - {self.pid}


def wait_for(processes: Iterable[Supervised]) -> None:
    """Return when one of them has something to say, and after a short while at most."""
    poll = select.poll()
    for descriptor in (descriptor for process in processes for descriptor in process.descriptors):
        poll.register(descriptor, select.POLLIN)
    poll.poll(_POLL_SECONDS * 1000)


class Lines:
    """Cuts a stream into lines and holds one at most. A carriage return ends a line too: each state of a progress bar is one."""

    def __init__(self, on_line: OnLine, on_bytes: OnBytes) -> None:
        self._on_line, self._on_bytes = on_line, on_bytes
        self._rest, self._overlong = bytearray(), False

    def __call__(self, data: bytes) -> None:
        """Take in some bytes, none at the end of the stream."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1 if data else 0
        if end or not data:
            whole = bytes(self._rest) + data[:end]
            # The log gets whole lines, so that those of the two streams do not mix.
            self._on_bytes(whole)
            for line in whole.replace(b"\r", b"\n").split(b"\n"):
                self._line(line)
            self._rest.clear()
        self._rest += data[end:]
        if len(self._rest) > MAX_LINE:
            rest = bytes(self._rest)
            self._rest.clear()
            self._on_bytes(rest)
            self._line(rest)
            self._overlong = True

    def _line(self, line: bytes) -> None:
        complete = not self._overlong and len(line) <= MAX_LINE
        if line:
            self._on_line(line[:MAX_LINE], complete)
        self._overlong = False


class Ended(NamedTuple):
    """How a command ended.

    Attributes:
        status: exit status, negative for the signal that killed it.
        cpu_seconds: of the command and of all of its processes that it waited for.
        left_behind: processes of its that outlived it and were ended.
        timed_out: it was ended because it took too long.
    """

    status: int
    cpu_seconds: float
    left_behind: int
    timed_out: bool


def supervise(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    on_line: OnLine,
    on_bytes: OnBytes,
    timeout: float = 0.0,
) -> Ended:
    """Run a command to its end. Whatever is raised here, from a callback too, ends it and everything it started first.

    Standard output and standard error are read apart, so that no line of one is torn by the other, and passed on as they come:
    `on_line` hears each line, `on_bytes` takes in the output as it is, in whole lines where there are any.

    Raises:
        OSError: it cannot be started.
    """
    cpu = sum(os.times()[2:4])  # of children that were waited for
    outputs, when_late = [Lines(on_line, on_bytes) for _ in range(2)], [(signal.SIGTERM, GRACE_SECONDS)]
    with contextlib.ExitStack() as resources:
        guard = resources.enter_context(contextlib.closing(Guard()))
        process = Supervised(argv, environment, cwd, guard, outputs=outputs, timeout=timeout, when_late=when_late)
        resources.callback(process.close)
        try:
            _hear(process, lambda: not process.ended)
            # A process that outlives the command holds its output open, and may go on printing: it must not hold us.
            _hear(process, lambda: bool(process.descriptors), _DRAIN_SECONDS)
            left = process.end(signal.SIGTERM)
            _hear(process, lambda: bool(process.descriptors), GRACE_SECONDS)
        except BaseException as error:
            asked = [signal.SIGINT] if isinstance(error, KeyboardInterrupt) else []
            process.end(*asked, signal.SIGTERM)
            raise
        assert process.status is not None
        return Ended(process.status, sum(os.times()[2:4]) - cpu, left, process.overdue)


def _hear(process: Supervised, goes_on: Callable[[], bool], seconds: float = float("inf")) -> None:
    stops = time.monotonic() + seconds
    while goes_on() and time.monotonic() < stops:
        wait_for([process])
        process.pump()
