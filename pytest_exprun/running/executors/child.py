"""A worker process (module `worker` beside this one) as its parent sees it: its events, its output, its time limit, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.05
_DUMP_SECONDS = 1.0
"""How long a run past its time limit has to say where it is, before it is killed."""
_EXIT_SECONDS = 20.0
"""How long a worker may take to end after its result is known."""
_CHUNK = 1 << 16
_FINAL = {"result", "answers", "error"}


class Guard:
    """A small process that outlives this one just long enough to kill what this one started."""

    def __init__(self) -> None:
        script = Path(__file__).parents[1] / "sandbox" / "guard.py"
        self._process = subprocess.Popen(  # noqa: S603  # our own script
            [sys.executable, "-I", "-S", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
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


class Child:
    """One worker process in a process group of its own.

    Args:
        job: what `pytest_exprun.running.executors.worker` documents.
        environment: the whole environment of the process.
        cwd: its working directory.
        guard: kills it if this process dies.
        on_output: takes in what it prints.
        timeout: seconds it may take, 0 for any.
    """

    def __init__(
        self,
        job: Mapping[str, Any],
        environment: Mapping[str, str],
        cwd: str,
        guard: Guard,
        *,
        on_output: Callable[[bytes], None],
        timeout: float = 0.0,
    ) -> None:
        self.final: Mapping[str, Any] | None = None
        self.timed_out = self.lingered = False
        self._on_output, self._guard, self._line = on_output, guard, b""
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603  # ourselves
                [sys.executable, "-m", "pytest_exprun.running.executors.worker", str(writing)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[writing],
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        guard.watch(self._process.pid)
        assert self._process.stdout is not None
        self._channel, self._output = reading, self._process.stdout.fileno()
        for descriptor in (self._channel, self._output):
            os.set_blocking(descriptor, False)
        self._open = [self._channel, self._output]
        self._kill_at = time.monotonic() + timeout if timeout else float("inf")
        self._dumped = False
        self._give(job)

    def _give(self, job: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is dead already; that shows soon enough
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.close()

    @property
    def descriptors(self) -> list[int]:
        """What becomes readable when the worker has something to say."""
        return self._open

    def pump(self) -> list[Mapping[str, Any]]:
        """Take in what there is, without waiting; enforce the time limit; return the progress events."""
        self._enforce()
        if self._output in self._open:
            self._read(self._output, self._on_output)
        events: list[Mapping[str, Any]] = []
        if self._channel in self._open:
            self._read(self._channel, lambda data: events.extend(self._events(data)))
        for event in events:
            if event["event"] in _FINAL:
                self.final = event
                self._kill_at = min(self._kill_at, time.monotonic() + _EXIT_SECONDS)
        return [event for event in events if event["event"] not in _FINAL]

    def _events(self, data: bytes) -> list[Mapping[str, Any]]:
        *lines, self._line = (self._line + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _read(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        """Read what is there, but give others a turn: a run may print faster than this."""
        for _ in range(16):
            try:
                data = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._open.remove(descriptor)
                return
            take(data)

    def _enforce(self) -> None:
        late = time.monotonic() - self._kill_at
        if late < 0 or self._process.poll() is not None:
            return
        if self.final is not None:
            self.lingered = True
            self._signal(signal.SIGKILL)
        elif not self._dumped:
            self._dumped = self.timed_out = True
            self._process.send_signal(signal.SIGUSR1)  # faulthandler prints the stacks of all threads
        elif late > _DUMP_SECONDS:
            self._signal(signal.SIGKILL)

    @property
    def ended(self) -> bool:
        """Whether the process has ended; what it had sent before may still be there to `pump`."""
        return self._process.poll() is not None

    def _signal(self, number: int) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End the worker and everything it started, now, and release what belongs to it. What it had sent is lost."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._guard.forget(self._process.pid)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if self._channel >= 0:
            os.close(self._channel)
            self._channel = -1
        self._open = []

    def how_it_ended(self) -> str:
        """Return the exit status in words."""
        code = self._process.returncode
        if code is None or code >= 0:
            return f"ended with exit status {code} and no result"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"was killed by {name}"

    @property
    def pid(self) -> int:
        """The process, which is also its process group."""
        return self._process.pid


def wait_for(children: Iterable[Child]) -> None:
    """Return when one of the children has something to say, and after a short while at most."""
    descriptors: Sequence[int] = [descriptor for child in children for descriptor in child.descriptors]
    if descriptors:
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        poll.poll(POLL_SECONDS * 1000)
    else:
        time.sleep(POLL_SECONDS)


def oom_kills() -> int | None:
    """Return how many processes the kernel has killed for memory since it started; None where it does not tell."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None
