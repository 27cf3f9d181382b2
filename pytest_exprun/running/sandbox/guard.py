"""Ends the processes of a session that was killed: nothing may go on training that nobody waits for.

Run as a script by the session's process. Each line on standard input is

    +PID        watch the process group PID
    !SECONDS    in so many seconds begin to watch all processes that come from the session's own
    -PID        forget the group
    -!          forget the session's processes
    "TEXT       write TEXT to standard error if the session is gone after this; without TEXT nothing

When standard input ends or the session's process is gone, because it closed us or died in whatever way, everything watched is killed.
"""

# Every session that trains starts this: what is imported costs it more than all that it does. `signal` brings `enum`, and so on.
import os
import select
import time
from _signal import SIG_IGN, SIGHUP, SIGINT, SIGKILL, SIGTERM, signal  # type: ignore[import-not-found]  # no stub

_POLL_SECONDS = 0.2


def main() -> None:
    """Watch until the session is gone."""
    for number in (SIGINT, SIGTERM, SIGHUP):
        signal(number, SIG_IGN)
    session, told, rest = os.getppid(), Told(), b""
    # A child that the session forked holds our standard input open too, so its end alone would not tell.
    while (lives := os.getppid() == session) or _is_readable(0):
        if lives and time.monotonic() >= told.begins:
            found = descendants({session}) - {os.getpid(), session}
            told.tree = found if os.getppid() == session else told.tree
        if not _is_readable(_POLL_SECONDS):
            continue
        data = os.read(0, 1 << 16)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            told.take(line[:1], line[1:])
    if told.last_words:
        _try(os.write, 2, told.last_words + b"\n")
    kill(told.groups, told.tree)


class Told:
    """What is to be done when the session is gone."""

    def __init__(self) -> None:
        self.groups: set[int] = set()
        self.tree: set[int] = set()
        self.begins = float("inf")
        self.last_words = b""

    def take(self, sign: bytes, text: bytes) -> None:
        """Take in one line."""
        if sign == b'"':
            self.last_words = text
        elif sign == b"!":
            self.begins = time.monotonic() + float(text)
        elif text == b"!":
            self.tree, self.begins = set(), float("inf")
        else:
            (self.groups.add if sign == b"+" else self.groups.discard)(int(text))


def _is_readable(seconds: float) -> bool:
    return bool(select.select([0], [], [], seconds)[0])


def kill(groups: set[int], tree: set[int]) -> None:
    """Kill process groups, and processes with all that come from them by now."""
    for group in groups:
        _try(os.killpg, group, SIGKILL)
    for pid in descendants(tree) - {os.getpid()}:
        _try(os.kill, pid, SIGKILL)


def descendants(pids: set[int]) -> set[int]:
    """Return these processes and all that come from them. Linux tells; elsewhere none is found besides."""
    parents = dict(filter(None, map(_parent, os.listdir("/proc")))) if pids and os.path.isdir("/proc") else {}  # noqa: PTH112, PTH208  # quick
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found


def _parent(name: str) -> tuple[int, int] | None:
    """Return a process and its parent; nothing for what is no process, or has ended."""
    try:
        with open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123  # quick
            return int(name), int(stat.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _try(act: object, *arguments: object) -> None:
    """Do what somebody else may have done already."""
    try:
        act(*arguments)  # type: ignore[operator]
    except OSError:
        return


if __name__ == "__main__":
    main()
