"""A process and all that it starts: what it says is heard, its time is limited, nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from pytest_exprun.running.sandbox.supervision import MAX_LINE, Lines, Supervised, supervise, wait_for
from pytest_exprun.running.sandbox.watchdog import Guard
from tests.executor_contract import is_alive, wait_until

HEAD = """
import os, signal, subprocess, sys, time
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # in one piece
"""
STUBBORN = "signal.signal(signal.SIGTERM, lambda *_: say('asked')); say('ready')\nwhile True: time.sleep(60)"


@pytest.fixture
def guard():
    """Return a guard."""
    with contextlib.closing(Guard()) as guard:
        yield guard


@pytest.fixture
def start(guard):
    """Return a function that starts a Python and gathers what it says; in the end all are closed."""
    with contextlib.ExitStack() as resources:

        def start(
            source: str, *, timeout: float = 0.0, when_late=(), told: bytes = b""
        ) -> tuple[Supervised, bytearray]:
            said = bytearray()
            argv = [sys.executable, "-S", "-c", HEAD + source]
            options = {"outputs": [said.extend], "timeout": timeout, "when_late": when_late, "told": told}
            process = Supervised(argv, dict(os.environ), Path.cwd(), guard, **options)
            resources.callback(process.close)
            return process, said

        yield start


def until(true, process: Supervised) -> None:
    """Hear a process until something is true."""

    def heard() -> bool:
        wait_for([process])
        process.pump()
        return true()

    wait_until(heard, 60)


def test_what_it_is_told_and_what_it_says(start):
    """Standard input goes in, both streams come out; the exit status is known at the end."""
    process, said = start("say(sys.stdin.read()); print('oh', file=sys.stderr); sys.exit(3)", told=b"words")
    until(lambda: process.ended and not process.descriptors, process)
    assert bytes(said) == b"words\noh\n"
    assert (process.status, process.overdue) == (3, False)


def test_one_past_its_time_is_asked_and_then_killed(start, monkeypatch):
    """It had its chance to end by itself, and did not take it."""
    sent, send = [], Supervised._signal
    monkeypatch.setattr(Supervised, "_signal", lambda self, number: (sent.append(number), send(self, number)))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is started now ignores it from the beginning
    try:
        process, _ = start("time.sleep(600)", timeout=0.3, when_late=[(signal.SIGTERM, 0.1)])
    finally:
        signal.signal(signal.SIGTERM, before)
    until(lambda: process.ended, process)
    assert (process.status, process.overdue) == (-signal.SIGKILL, True)
    assert sent[:2] == [signal.SIGTERM, signal.SIGKILL]


def test_one_that_has_done_its_work_is_killed_without_a_question(start):
    """To linger is not to be late: it is told apart by whoever knows that the work was done."""
    process, said = start(STUBBORN, timeout=600, when_late=[(signal.SIGTERM, 600)])
    until(lambda: b"ready" in said, process)
    process.must_end_within(0.0)
    until(lambda: process.ended, process)
    assert (process.status, bytes(said), process.overdue) == (-signal.SIGKILL, b"ready\n", True)


FAMILY = """
sleeper = [sys.executable, "-S", "-c", "import time; print(flush=True); time.sleep(600)"]
children = [subprocess.Popen(sleeper, stdout=subprocess.PIPE, start_new_session=own) for own in (False, True)]
for child in children:
    child.stdout.readline()  # it is up
say(*(child.pid for child in children))
"""


@pytest.mark.parametrize("last", ["", "time.sleep(600)"])
def test_everything_that_it_started_ends_with_it(start, last):
    """In its group or not, whether it lives or is gone itself; how many there were is known."""
    process, said = start(FAMILY + last)
    until(lambda: said.endswith(b"\n"), process)
    if not last:
        until(lambda: process.ended, process)
    assert process.end() == 2
    assert not any(map(is_alive, map(int, said.split())))
    assert process.end() == 0


def test_it_is_asked_before_it_is_killed(start):
    """One signal after the other, as long as it does not go."""
    asks = "signal.signal(signal.SIGINT, lambda *_: say('once')); signal.signal(signal.SIGTERM, lambda *_: (say('twice'), os._exit(7)))"
    process, said = start(f"{asks}; say('ready')\nwhile True: time.sleep(60)")
    until(lambda: b"ready" in said, process)
    process.end(signal.SIGINT, signal.SIGTERM)
    process.pump()
    assert (process.status, bytes(said)) == (7, b"ready\nonce\ntwice\n")


def test_many_are_heard_at_once(start):
    """Whoever waits for several is woken by any of them."""
    processes = [start(f"say({number}); time.sleep(600)") for number in range(3)]

    def all_said() -> bool:
        wait_for([process for process, _ in processes])
        for process, _ in processes:
            process.pump()
        return all(said for _, said in processes)

    wait_until(all_said, 60)
    assert [bytes(said) for _, said in processes] == [b"0\n", b"1\n", b"2\n"]


def test_a_program_that_is_not_there(guard):
    """Whoever starts it is told as by the system."""
    with pytest.raises(OSError, match="nosuchprogram"):
        Supervised(["nosuchprogram"], {}, Path.cwd(), guard, outputs=[print], timeout=0, when_late=[])


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_come_out_whole_however_the_bytes_come_in(size):
    """A carriage return ends a line too, the end of the stream the last one; the raw bytes are passed on in whole lines."""
    text = b"one\n 5%|#\r50%|##\r\n\nlast"
    heard, raw = [], []
    lines = Lines(lambda line, complete: heard.append((line, complete)), raw.append)
    for at in range(0, len(text), size):
        lines(text[at : at + size])
    lines(b"")
    assert heard == [(b"one", True), (b" 5%|#", True), (b"50%|##", True), (b"last", True)]
    assert b"".join(raw) == text


def test_a_line_without_end_is_not_held():
    """Its beginning is heard as incomplete, its rest too, and the line after it is whole again."""
    heard = []
    lines = Lines(lambda line, complete: heard.append((len(line), complete)), lambda _: None)
    for _ in range(3):
        lines(b"x" * MAX_LINE)
    lines(b"yes\nnext\n")
    assert all(length <= MAX_LINE for length, _ in heard)
    assert [complete for _, complete in heard] == [False] * (len(heard) - 1) + [True]
    assert heard[-1] == (4, True)


def test_a_command_is_followed_to_its_end(tmp_path):
    """Both streams are heard in whole lines; what it left behind is counted and ended."""
    heard = []
    ended = supervise(
        [sys.executable, "-S", "-c", HEAD + FAMILY + "print('oh', file=sys.stderr); sys.exit(4)"],
        cwd=tmp_path,
        environment=dict(os.environ),
        on_line=lambda line, _: heard.append(line),
        on_bytes=lambda _: None,
    )
    pids, _ = sorted(heard)
    assert (ended.status, ended.left_behind, ended.timed_out, sorted(heard)[1]) == (4, 2, False, b"oh")
    assert not any(map(is_alive, map(int, pids.split())))


def test_a_second_ctrl_c_kills_at_once(start):
    """Who is impatient does not wait for a process that ignores the first."""
    process, said = start("signal.signal(signal.SIGINT, signal.SIG_IGN); say('ready'); time.sleep(600)")
    until(lambda: b"ready" in said, process)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    with pytest.raises(KeyboardInterrupt):
        process.end(signal.SIGINT)
    assert process.status == -signal.SIGKILL
